"""The only place where jobs, items and runs change their status.

A job is moved by one conditional update: the status *and* the lease epoch must still be
those that the mover saw. Zero rows changed means that another process has it now, and
whoever learns that stops at once.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone

from batches.errors import IllegalMove, LostLease
from batches.models import BatchItem, BatchJob, ItemAttempt, JobShare, OpenItem, Run
from batches.models.money import to_usd
from batches.services.bulk import joining_whole_sets, one_of
from batches.services.events import record_event
from batches.services.outbox import tell
from batches.signals import tell_run_finished
from batches.states import (
    BACK,
    ITEM_AFTER,
    ITEM_FINAL,
    ITEM_TRANSITIONS,
    JOB_FINAL,
    JOB_TRANSITIONS,
    RUN_FINAL,
    EventKind,
    ItemStatus,
    JobStatus,
    RunStatus,
    WebhookKind,
    run_status,
)


def update_job(job: BatchJob, **changes: Any) -> BatchJob:
    """Write columns of a job that we hold; raises LostLease when we no longer do."""
    changed = BatchJob.objects.filter(
        pk=job.pk, status=job.status, lease_epoch=job.lease_epoch
    ).update(**changes)
    if not changed:
        raise LostLease(
            f"Job {job.pk} is no longer {JobStatus(job.status)} in our hands; "
            "another process goes on with it."
        )
    for name, value in changes.items():
        setattr(job, name, value)
    return job


def move_job(
    job: BatchJob,
    to: JobStatus,
    *,
    reason: str = "",
    now: datetime | None = None,
    **changes: Any,
) -> BatchJob:
    """Move a job along an arrow of the table, with its event, in one transaction.

    `changes` are columns to write in the same update. Raises IllegalMove for a move
    that the table does not draw, LostLease when another process moved or claimed the
    job.
    """
    start = JobStatus(job.status)
    to = JobStatus(to)
    if to not in JOB_TRANSITIONS[start]:
        raise IllegalMove(f"Job {job.pk} cannot go from {start} to {to}.")
    now = now or timezone.now()
    if to != JobStatus.PENDING:
        changes.setdefault(f"{to}_at", now)
    if to in JOB_FINAL:
        changes["finished_at"] = now
        changes["lease_until"] = None
    with transaction.atomic():
        update_job(job, status=to, **changes)
        record_event(
            EventKind.BATCH_MOVED, now=now, job=job, message=reason, start=start, to=to
        )
    return job


def move_items(
    items: QuerySet[BatchItem],
    start: ItemStatus,
    to: ItemStatus,
    *,
    now: datetime,
    **changes: Any,
) -> int:
    """Move items that are alike in all that changes; returns how many really moved.

    Ingestion, where every item has figures of its own, goes through `end_items`.
    """
    check_items_may_move(start, to)
    changes["finished_at"] = now if to in ITEM_FINAL else None
    return items.filter(status=start).update(status=to, **changes)


SUMMED_FIELDS = ("input_tokens", "cached_tokens", "output_tokens", "cost_nanos")


def move_tried_items(job: BatchJob, item_ids: Sequence[int], *, now: datetime) -> int:
    """Move items of a job on from what their attempts in it came to; returns how many.

    Their attempts were inserted, and their open items closed or put back, in this
    transaction. Tokens and cost are added to those of earlier attempts; what goes out
    again leaves the job.
    """
    if not item_ids:
        return 0
    item, attempt = BatchItem._meta.db_table, ItemAttempt._meta.db_table
    for status in ITEM_AFTER.values():
        check_items_may_move(ItemStatus.IN_JOB, status)
    sums = ", ".join(f"{name} = {item}.{name} + a.{name}" for name in SUMMED_FIELDS)
    after = " ".join(
        f"WHEN '{kind.value}' THEN '{to.value}'" for kind, to in ITEM_AFTER.items()
    )
    back = ", ".join(f"'{kind.value}'" for kind in BACK)
    # The bounds keep the planner at the neighbours that these keys are, in a table of
    # millions too; what else lies between them is not in this job, or not tried in it.
    with connection.cursor() as cursor, joining_whole_sets(cursor):
        cursor.execute(
            f"""
            UPDATE {item} SET {sums}, error_code = a.error_code,
                status = CASE a.outcome {after} END,
                finished_at = CASE WHEN a.outcome IN ({back}) THEN NULL ELSE %s END,
                job_id = CASE WHEN a.outcome IN ({back}) THEN NULL ELSE %s END
            FROM {attempt} a
            WHERE a.item_id = {item}.id AND a.job_id = %s AND {item}.job_id = %s
                AND {item}.status = '{ItemStatus.IN_JOB.value}'
                AND a.item_id BETWEEN %s AND %s AND {item}.id BETWEEN %s AND %s
            """,  # noqa: S608
            [
                connection.ops.adapt_datetimefield_value(now),
                *[job.pk] * 3,
                *(min(item_ids), max(item_ids)) * 2,
            ],
        )
        return cursor.rowcount


def check_items_may_move(start: ItemStatus, to: ItemStatus) -> None:
    """Raises IllegalMove for a move that the table does not draw."""
    if to not in ITEM_TRANSITIONS[start]:
        raise IllegalMove(f"Items cannot go from {start} to {to}.")


@dataclass(frozen=True)
class RunFigures:
    """Where a run stands: `items` = `complete` + `failed` + `cancelled` + `open`.

    `first` are the requests that collection made, `follow_ups` those that answers asked
    for; `sent` counts items that have been in a job, each as often as it was sent.
    """

    first: int
    follow_ups: int
    complete: int
    failed: int
    cancelled: int
    sent: int
    cost_nanos: int
    reserved_nanos: int
    jobs: int

    @property
    def items(self) -> int:
        return self.first + self.follow_ups

    @property
    def open(self) -> int:
        return self.items - self.complete - self.failed - self.cancelled


_SUMS: dict[str, Any] = {
    "sent": Sum("sent"),
    "complete": Sum("complete"),
    "failed": Sum("failed"),
    "cancelled": Sum("cancelled"),
    "follow_ups": Sum("follow_ups"),
    "cost_nanos": Sum("cost_nanos"),
    "reserved_nanos": Sum(
        "reserved_nanos", filter=Q(job__finished_at__isnull=True), default=0
    ),
    "jobs": Count("job"),
}


def run_figures(run: Run) -> RunFigures:
    """Sum a run's shares, plus what was never sent."""
    return figures_of_runs([run])[run.pk]


def figures_of_runs(runs: Sequence[Run]) -> dict[int, RunFigures]:
    """The figures of each run by its key, in one query whatever their number."""
    shares = JobShare.objects.filter(run__in=runs).order_by().values("run")
    # Under names of their own: a sum called like its column hides the column.
    rows = shares.annotate(**{f"sum_{name}": what for name, what in _SUMS.items()})
    by_run = {row["run"]: row for row in rows}
    return {run.pk: _figures(run, by_run.get(run.pk, {})) for run in runs}


def sum_figures(figures: Iterable[RunFigures]) -> RunFigures:
    """Of several runs together; a job that they share counts once for each."""
    kept = list(figures)
    return RunFigures(
        **{
            one.name: sum(getattr(each, one.name) for each in kept)
            for one in fields(RunFigures)
        }
    )


def _figures(run: Run, row: Mapping[str, Any]) -> RunFigures:
    sums = {name: int(row.get(f"sum_{name}") or 0) for name in _SUMS}
    return RunFigures(
        first=run.items_collected,
        follow_ups=sums["follow_ups"] + run.unsent_follow_ups,
        complete=sums["complete"] + run.unsent_complete,
        failed=sums["failed"] + run.unsent_failed,
        cancelled=sums["cancelled"] + run.unsent_cancelled,
        sent=sums["sent"],
        cost_nanos=sums["cost_nanos"],
        reserved_nanos=sums["reserved_nanos"],
        jobs=sums["jobs"],
    )


RUN_EVENTS = {
    RunStatus.PROCESSING: EventKind.RUN_STARTED,
    RunStatus.COMPLETED: EventKind.RUN_COMPLETED,
    RunStatus.FAILED: EventKind.RUN_FAILED,
    RunStatus.CANCELLED: EventKind.RUN_CANCELLED,
}


RUN_WEBHOOKS = {
    RunStatus.COMPLETED: WebhookKind.RUN_FINISHED,
    RunStatus.FAILED: WebhookKind.RUN_FAILED,
}


def _run_in_short(run: Run, figures: RunFigures) -> dict[str, Any]:
    """What a webhook says of a run; whoever wants more asks the API for its id."""
    return {
        "id": str(run.public_id),
        "workload": run.workload,
        "status": run.status,
        "items": figures.items,
        "complete": figures.complete,
        "failed": figures.failed,
        "cancelled": figures.cancelled,
        "costUsd": f"{to_usd(figures.cost_nanos):f}",
    }


def refresh_run(run_id: int, *, now: datetime) -> Run:
    """Set a run's status from its shares and flags: the one function that does.

    Safe to repeat; writes an event only where the status changes. Takes the run's row
    lock, so that two jobs that end together leave the status of both.
    """
    with transaction.atomic():
        run = Run.objects.select_for_update(no_key=True).get(pk=run_id)
        figures = run_figures(run)
        status = run_status(
            is_collected=run.collected_at is not None,
            is_cancelled=run.cancelled_at is not None,
            items=figures.items,
            open_=figures.open,
            complete=figures.complete,
            sent=figures.sent,
        )
        if status == run.status:
            return run
        run.status = status
        run.finished_at = now if status in RUN_FINAL else None
        if status == RunStatus.PROCESSING and run.started_at is None:
            run.started_at = now
        run.save(update_fields=["status", "finished_at", "started_at"])
        if status in RUN_EVENTS:
            record_event(
                RUN_EVENTS[status],
                now=now,
                run=run,
                items=figures.items,
                complete=figures.complete,
                failed=figures.failed,
                cancelled=figures.cancelled,
            )
        if status in RUN_WEBHOOKS:
            tell(RUN_WEBHOOKS[status], _run_in_short(run, figures))
        if status in RUN_FINAL:
            tell_run_finished(run)
    return run


class ClosedItem(msgspec.Struct, gc=False):
    """What an open item leaves behind, for whatever ends it."""

    item_id: int
    run_id: int
    content_type_id: int
    object_id: str
    target: str
    prompt_version_id: int | None
    raised_limit: int | None


def close_open_items(job_id: int, item_ids: Collection[int]) -> dict[int, ClosedItem]:
    """Delete open items of a job and say which there were, by item id.

    This deletion is the guard of everything that ends an item: what it returns may be
    written, and nothing else; whoever comes second gets nothing.
    """
    if not item_ids:
        return {}
    sql, param = one_of("item_id", item_ids)
    table = OpenItem._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            # The bounds have neighbours found as such, in the index of the job's items.
            f"DELETE FROM {table} WHERE job_id = %s "  # noqa: S608
            f"AND item_id BETWEEN %s AND %s AND {sql} "
            f"RETURNING {', '.join(ClosedItem.__struct_fields__)}",
            [job_id, min(item_ids), max(item_ids), param],
        )
        return {row[0]: ClosedItem(*row) for row in cursor.fetchall()}


def close_waiting_items(item_ids: Iterable[int]) -> dict[int, ClosedItem]:
    """As `close_open_items`, of items that are in no job; under the bundling lock."""
    sql, param = one_of("item_id", item_ids)
    table = OpenItem._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE job_id IS NULL AND {sql} "  # noqa: S608
            f"RETURNING {', '.join(ClosedItem.__struct_fields__)}",
            [param],
        )
        return {row[0]: ClosedItem(*row) for row in cursor.fetchall()}
