"""New items: the row, its open item, its request, written together and in bulk."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from batches.models import BatchItem, ItemAttempt, ItemRequest, OpenItem, Run
from batches.services.bulk import insert_rows, reserve_keys
from batches.services.rendering import Rendered, render
from batches.states import AttemptOutcome, ItemStatus
from batches.workloads import FollowUp, Request, Subject, Target, Workload, get_workload

ITEM_FIELDS = (
    "id",
    "run",
    "job",
    "parent",
    "provider",
    "workload",
    "model",
    "endpoint",
    "content_type",
    "object_id",
    "target",
    "fingerprint",
    "prompt_version",
    "status",
    "attempts",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "cost_nanos",
    "error_code",
    "created_at",
    "finished_at",
)
OPEN_FIELDS = (
    "item",
    "run",
    "job",
    "provider",
    "endpoint",
    "model",
    "workload",
    "account",
    "priority",
    "content_type",
    "object_id",
    "target",
    "scope",
    "fingerprint",
    "input_tokens",
    "output_limit",
    "body_bytes",
    "ready_at",
    "prompt_version",
    "tries",
    "returns",
    "raised_limit",
    "may_reuse",
)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the requests of a run go; alike for all that one page makes."""

    provider: str
    endpoint: str
    model: str


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to be: with a request, or with the reason why there is none."""

    subject: Subject
    target: Target
    request: Request | None = None
    rendered: Rendered | None = None
    parent_id: int | None = None
    prompt_version_id: int | None = None


def asked_for(
    follow_up: FollowUp, to: Destination, prompt_version_id: int | None
) -> NewItem:
    """The item that an answer asks for, on its way to where its parent went, under the
    prompt of its parent."""
    rendered = render(
        follow_up.request, provider=to.provider, endpoint=to.endpoint, model=to.model
    )
    return NewItem(
        subject=follow_up.subject,
        target=Target(follow_up.target),
        request=follow_up.request,
        rendered=rendered,
        parent_id=follow_up.parent_item_id,
        prompt_version_id=prompt_version_id,
    )


def insert_items(
    run: Run, destination: Destination, new: Sequence[NewItem], *, now: datetime
) -> list[int]:
    """Write items in the caller's transaction; returns their keys, in order.

    An item without a request ends failed at once, with an attempt that says why. Raises
    IntegrityError when one of them is under way already.
    """
    keys = reserve_keys(BatchItem, len(new))
    scope = get_workload(run.workload).scope(run.pk)
    items, opens, requests, attempts = [], [], [], []
    for key, item in zip(keys, new, strict=True):
        failed = item.rendered is None
        items.append(
            (
                key,
                run.pk,
                None,
                item.parent_id,
                destination.provider,
                run.workload,
                destination.model,
                destination.endpoint,
                item.subject.content_type_id,
                item.subject.object_id,
                item.target.key,
                item.rendered.fingerprint if item.rendered else b"",
                item.prompt_version_id,
                ItemStatus.FAILED.value if failed else ItemStatus.PENDING.value,
                0,
                0,
                0,
                0,
                0,
                item.target.error_code,
                now,
                now if failed else None,
            )
        )
        if item.rendered is None or item.request is None:
            attempts.append(
                ItemAttempt(
                    item_id=key,
                    outcome=AttemptOutcome.FAILED,
                    error_code=item.target.error_code,
                    error_message=item.target.error_message,
                    prompt_version_id=item.prompt_version_id,
                    created_at=now,
                )
            )
            continue
        context = (
            orjson.dumps(item.request.context).decode() if item.request.context else ""
        )
        requests.append((key, item.rendered.body, context))
        opens.append(
            (
                key,
                run.pk,
                None,
                destination.provider,
                destination.endpoint,
                destination.model,
                run.workload,
                run.account,
                int(run.priority),
                item.subject.content_type_id,
                item.subject.object_id,
                item.target.key,
                scope,
                item.rendered.fingerprint,
                item.rendered.input_tokens,
                item.rendered.output_limit,
                item.rendered.line_bytes,
                now,
                item.prompt_version_id,
                0,
                0,
                None,
                not run.force_refresh,
            )
        )
    insert_rows(BatchItem, ITEM_FIELDS, items)
    insert_rows(OpenItem, OPEN_FIELDS, opens)
    insert_rows(ItemRequest, ("item", "body", "context"), requests)
    ItemAttempt.objects.bulk_create(attempts)
    return list(keys)


def not_under_way(
    workload: Workload, follow_ups: Iterable[FollowUp], run_of: Callable[[int], int]
) -> list[FollowUp]:
    """Those that no open item is at; of several about the same work, the first.

    `run_of` gives the run of a parent item.
    """
    follow_ups = list(follow_ups)
    subjects = {follow_up.subject.object_id for follow_up in follow_ups}
    opened = OpenItem.objects.filter(workload=workload.key, object_id__in=subjects)
    under_way = set(
        opened.values_list("content_type_id", "object_id", "target", "scope")
    )
    left = []
    for follow_up in follow_ups:
        subject = follow_up.subject
        scope = workload.scope(run_of(follow_up.parent_item_id))
        work = (subject.content_type_id, subject.object_id, follow_up.target, scope)
        if work not in under_way:
            under_way.add(work)
            left.append(follow_up)
    return left
