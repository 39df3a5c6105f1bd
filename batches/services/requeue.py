"""Retry by hand: failed items go out again, with their attempts counted anew."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import orjson
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from batches.errors import NotPossible
from batches.models import BatchItem, BatchJob, JobShare, OpenItem, Run
from batches.providers.tokens import count_request
from batches.services.bulk import insert_rows
from batches.services.effects import Effect
from batches.services.events import audit, record_event
from batches.services.items import OPEN_FIELDS
from batches.services.lifecycle import move_items, refresh_run
from batches.services.prospects import Prospect, Request, prospect_of_requests
from batches.services.rendering import LINE_BYTES, output_limit
from batches.signals import announce
from batches.states import EventKind, ItemStatus
from batches.workloads import get_workload

PAGE = 1_000
# Above this the price of the others is that of the first ones, on average.
PRICED = 2_000


@dataclass(frozen=True)
class Requeued:
    """`requeued` go out again; `skipped` cannot: nothing was ever sent of them (their
    subject must be mended), the same work is under way or was done since, or their run
    is still being cancelled."""

    requeued: int
    skipped: int


def failed_of_run(*runs: Run) -> QuerySet[BatchItem]:
    return BatchItem.objects.filter(run__in=runs, status=ItemStatus.FAILED)


def failed_of_job(*jobs: BatchJob) -> QuerySet[BatchItem]:
    return BatchItem.objects.filter(job__in=jobs, status=ItemStatus.FAILED)


def requeue(items: QuerySet[BatchItem], *, by: str) -> Requeued:
    """Put failed items back into the pool; audited, and safe to repeat."""
    done = skipped = 0
    keys = list(items.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(keys), PAGE):
        page = keys[start : start + PAGE]
        moved = _requeue_page(page, timezone.now())
        done += moved
        skipped += len(page) - moved
    if done:
        audit("items.requeue", actor=by, after={"requeued": done, "skipped": skipped})
    return Requeued(done, skipped)


def retry_run(run: Run, *, by: str) -> Requeued:
    """Send a run's failed items out again. Raises NotPossible when none can go."""
    return _requeue_some(failed_of_run(run), f"Run {run.pk}", by=by)


def retry_job(job: BatchJob, *, by: str) -> Requeued:
    """Send a job's failed items out again. Raises NotPossible when none can go."""
    return _requeue_some(failed_of_job(job), f"Job {job.pk}", by=by)


def _requeue_some(items: QuerySet[BatchItem], name: str, *, by: str) -> Requeued:
    found = requeue(items, by=by)
    if not found.requeued:
        raise NotPossible(
            f"{name} has no failed item that can go out again: nothing was sent of "
            "those there are, the same work is under way or was done since, their run "
            "is being cancelled, or their job is not finished."
            if found.skipped
            else f"{name} has no failed items."
        )
    return found


def requeue_effect(items: QuerySet[BatchItem]) -> Effect:
    """How many failed items would go out again, and the most that they may cost."""
    found = requeue_prospect(items)
    return Effect(found.items, found.costs.worst, found.costs.input_tokens)


def requeue_prospect(items: QuerySet[BatchItem]) -> Prospect:
    """What failed items would come to that go out again. Nothing is reused: who asks
    again by hand wants another answer."""
    able = _able(items)
    count = able.count()
    some = able.select_related("request").order_by("pk")[:PRICED]
    found = prospect_of_requests(_as_request(item) for item in some)
    if count <= PRICED:
        return found
    return found.scaled(count, PRICED)


def _as_request(item: BatchItem) -> Request:
    body = orjson.loads(item.request.body)
    return Request(
        item.workload,
        item.provider,
        item.model,
        item.target,
        input_tokens=count_request(item.endpoint, item.model, body),
        output_limit=output_limit(item.endpoint, body),
    )


def _able(items: QuerySet[BatchItem]) -> QuerySet[BatchItem]:
    """Of these, the failed ones that something can be sent of now."""
    under_way = OpenItem.objects.filter(
        object_id=OuterRef("object_id"),
        target=OuterRef("target"),
        workload=OuterRef("workload"),
        content_type=OuterRef("content_type"),
    ).filter(Q(scope="") | Q(run=OuterRef("run")))
    done_since = BatchItem.objects.filter(
        object_id=OuterRef("object_id"),
        target=OuterRef("target"),
        workload=OuterRef("workload"),
        content_type=OuterRef("content_type"),
        status=ItemStatus.COMPLETE,
        pk__gt=OuterRef("pk"),
    )
    return (
        items.filter(status=ItemStatus.FAILED)
        .filter(~Exists(under_way), ~Exists(done_since), request__isnull=False)
        # A run that is being cancelled ends first: what it has in flight stays ended.
        .filter(Q(run__cancelled_at__isnull=True) | Q(run__finished_at__isnull=False))
        # What a job under way counts is its holder's alone.
        .filter(Q(job__isnull=True) | Q(job__finished_at__isnull=False))
    )


def _requeue_page(keys: list[int], now: datetime) -> int:
    with transaction.atomic():
        items = list(
            _able(BatchItem.objects.filter(pk__in=keys))
            .select_for_update(of=("self",))
            .select_related("request", "run")
            .order_by("pk")
        )
        items = _one_of_each_work(items)
        insert_rows(OpenItem, OPEN_FIELDS, [_open_row(item, now) for item in items])
        _give_back(items)
        moved = BatchItem.objects.filter(pk__in=[item.pk for item in items])
        move_items(
            moved,
            ItemStatus.FAILED,
            ItemStatus.PENDING,
            now=now,
            job=None,
            attempts=0,
            error_code="",
        )
        _take_up_again({item.run_id for item in items}, now)
        for run_id, count in sorted(Counter(item.run_id for item in items).items()):
            # Locked, so that a run's events are committed in the order of their ids.
            run = Run.objects.select_for_update(no_key=True).get(pk=run_id)
            record_event(EventKind.RUN_RETRY, now=now, run=run, items=count)
            refresh_run(run_id, now=now)
        if items:
            announce("bundle")
    return len(items)


def _take_up_again(run_ids: set[int], now: datetime) -> None:
    """Runs that were cancelled go on with what is sent again, and collect no more.

    One that was cancelled just now, and has not ended, stays so: bundling ends these.
    """
    Run.objects.filter(
        pk__in=run_ids, cancelled_at__isnull=False, finished_at__isnull=False
    ).update(cancelled_at=None, collected_at=Coalesce(F("collected_at"), now))


def _one_of_each_work(items: list[BatchItem]) -> list[BatchItem]:
    """The latest of items about the same work: two runs may have failed at it."""
    latest = {
        (*_work(item), get_workload(item.workload).scope(item.run_id)): item
        for item in items
    }
    return sorted(latest.values(), key=lambda item: item.pk)


def _work(item: BatchItem) -> tuple[str, int, str, str]:
    return item.workload, item.content_type_id, item.object_id, item.target


def _open_row(item: BatchItem, now: datetime) -> tuple[object, ...]:
    body = orjson.loads(item.request.body)
    return (
        item.pk,
        item.run_id,
        None,
        item.provider,
        item.endpoint,
        item.model,
        item.workload,
        item.run.account,
        int(item.run.priority),
        item.content_type_id,
        item.object_id,
        item.target,
        get_workload(item.workload).scope(item.run_id),
        bytes(item.fingerprint),
        count_request(item.endpoint, item.model, body),
        output_limit(item.endpoint, body),
        len(item.request.body.encode()) + LINE_BYTES,
        now,
        item.prompt_version_id,
        0,
        0,
        None,
        False,  # who asks again by hand wants another answer
    )


def _give_back(items: list[BatchItem]) -> None:
    """In the figures of jobs and runs: what counted as failed went back."""
    in_jobs = Counter((item.job_id, item.run_id) for item in items if item.job_id)
    for (job_id, run_id), count in sorted(in_jobs.items()):
        JobShare.objects.filter(job_id=job_id, run_id=run_id).update(
            failed=F("failed") - count, returned=F("returned") + count
        )
        BatchJob.objects.filter(pk=job_id).update(
            items_failed=F("items_failed") - count,
            items_returned=F("items_returned") + count,
        )
    unsent = Counter(item.run_id for item in items if item.job_id is None)
    for run_id, count in sorted(unsent.items()):
        Run.objects.filter(pk=run_id).update(unsent_failed=F("unsent_failed") - count)
