"""Three addresses: how many, which, and again."""

from typing import Any

from ninja import Query, Router

from batches.api.auth import ApiRequest, Circle, callers
from batches.api.legacy.schemas import (
    BODY,
    ERRORS,
    CountsByStatusOut,
    LegacySummaryOut,
    RequestOut,
    RequestsIn,
    RequestsOut,
    RequeuedOut,
    RequeueIn,
)
from batches.models import BatchItem
from batches.models.api_key import Scope
from batches.monitoring.requests import counts_by_status, page_of
from batches.services.events import audit
from batches.services.requeue import requeue
from batches.states import ItemStatus

router = Router(by_alias=True, tags=["legacy"])
PLATFORM: dict[str, Any] = {"auth": callers(Scope.ADMIN, Circle.PLATFORM)}
# The largest key that a database takes; longer ids are nobody's.
MOST_DIGITS = 18


@router.get(
    "/summary",
    response={200: LegacySummaryOut, **ERRORS},
    summary="How many requests there are in each status",
    **PLATFORM,
)
def legacy_summary(request: ApiRequest) -> LegacySummaryOut:
    return LegacySummaryOut(summary=CountsByStatusOut(**counts_by_status()))


@router.get(
    "/requests",
    response={200: RequestsOut, **ERRORS},
    summary="Requests in one status, oldest first",
    **PLATFORM,
)
def legacy_requests(request: ApiRequest, wanted: Query[RequestsIn]) -> RequestsOut:
    after = int(wanted.cursor or 0)
    items = page_of(wanted.status, after=after, limit=wanted.limit + 1)
    page = items[: wanted.limit]
    return RequestsOut(
        requests=[_shown(item) for item in page],
        next_cursor=str(page[-1].pk) if len(items) > len(page) else None,
    )


@router.post(
    "/requests/requeue",
    response={200: RequeuedOut, **ERRORS, **BODY},
    summary="Send failed requests out again, in a new batch",
    **PLATFORM,
)
def requeue_requests(request: ApiRequest, wanted: RequeueIn) -> RequeuedOut:
    ids = set(wanted.request_ids)
    keys = {int(one) for one in ids if _is_key(one)}
    found = BatchItem.objects.filter(pk__in=keys)
    there = found.count()
    done = requeue(found, by=request.auth.actor)
    audit(
        "legacy.requeue",
        actor=request.auth.actor,
        after={"named": len(ids), "found": there, "requeued": done.requeued},
    )
    return RequeuedOut(
        requeued_count=done.requeued,
        not_found_count=len(ids) - there,
        skipped_count=there - done.requeued,
    )


def _is_key(text: str) -> bool:
    """Whether it is a key as we write one: `017` is not."""
    return (
        text.isascii()
        and text.isdecimal()
        and len(text) <= MOST_DIGITS
        and not text.startswith("0")
    )


def _shown(item: BatchItem) -> RequestOut:
    return RequestOut(
        id=str(item.pk),
        session_id=item.object_id,
        status=ItemStatus(item.status),
        type=item.workload,
        target=item.target,
        model=item.model,
        batch_id=item.job.public_id if item.job else None,
        run_id=item.run.public_id,
        error_code=item.error_code or None,
        attempts=item.attempts,
        prompt_tokens=item.input_tokens,
        completion_tokens=item.output_tokens,
        cost_usd=f"{item.cost_usd:f}",
        requested_at=item.created_at,
        completed_at=item.finished_at,
    )
