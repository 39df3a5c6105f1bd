"""Bundle: from the pool of waiting items to jobs, each paid for before it exists.

All of it happens under one lock, so that two bundlers never see the same money, slots
or items: an advisory lock on PostgreSQL, the write transaction itself on SQLite.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Count, F, Min, Q
from django.utils import timezone

from batches import config
from batches.errors import BatchError
from batches.models import BatchItem, BatchJob, Hold, JobShare, OpenItem, Run
from batches.providers.pricing import Rate, batch_rate
from batches.services.budget import Budget
from batches.services.bulk import is_postgres, one_of
from batches.services.events import record_event
from batches.services.holds import active_holds, held_until, is_probe_due
from batches.services.lifecycle import move_items, refresh_run
from batches.services.rendering import worst_case_nanos
from batches.services.settlement import cancel_waiting
from batches.signals import announce
from batches.states import TO_SUBMIT, EventKind, ItemStatus, Priority

log = logging.getLogger(__name__)

# The provider's bounds for one batch: 50,000 requests and 209,715,200 bytes.
MAX_FILE_BYTES = 209_715_200
BUNDLING_LOCK = 7_301_001  # any number that nothing else in the database uses

GROUP = ("provider", "account", "endpoint", "model", "workload")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One waiting item, with what bundling needs to know of it."""

    item_id: int
    run_id: int
    body_bytes: int
    input_tokens: int
    output_limit: int

    def worst_case_nanos(self, rate: Rate) -> int:
        return worst_case_nanos(
            rate, input_tokens=self.input_tokens, output_limit=self.output_limit
        )


def bundle(*, now: datetime | None = None) -> list[BatchJob]:
    """Make jobs of all that waits and may go; returns them, in the order made.

    A group that cannot be bundled, for want of a price say, tells why on its runs and
    does not keep the others; the last such BatchError is raised when all were tried.
    """
    now = now or timezone.now()
    jobs: list[BatchJob] = []
    trouble: BatchError | None = None
    with transaction.atomic():
        take_bundling_lock()
        _end_what_nobody_wants(now)
        holds = active_holds()
        for group, waits_for in _groups(now):
            try:
                with transaction.atomic():
                    jobs += _bundle_group(group, waits_for, holds, now)
            except BatchError as err:
                log.error("[Batch Worker] Error bundling %s: %s", group, err)
                _say_what_waits(group, f"something to be mended: {err}", now)
                trouble = err
    for run_id in sorted({share.run_id for job in jobs for share in job.shares.all()}):
        refresh_run(run_id, now=now)
    if jobs:
        announce("submit")
    for job in jobs:
        log.info(
            "[Batch API] Created %s batch job with %d requests",
            job.workload,
            job.items_total,
        )
    if trouble:
        raise trouble
    return jobs


def _end_what_nobody_wants(now: datetime) -> None:
    """What answers and endings put into the pool after their run was cancelled."""
    cancelled = Run.objects.unfinished().filter(cancelled_at__isnull=False)
    for run in cancelled.order_by("pk"):
        if cancel_waiting(run, now=now):
            refresh_run(run.pk, now=now)


def _bundle_group(
    group: dict[str, str], waits_for: str, holds: Sequence[Hold], now: datetime
) -> list[BatchJob]:
    """Make the jobs of one group, as far as holds and money go."""
    most = None
    for hold in holds:
        if not hold.covers(
            provider=group["provider"],
            workload=group["workload"],
            account=group["account"],
        ):
            continue
        if not is_probe_due(hold, now) or _has_job_to_send(group):
            _say_what_waits(group, held_until(hold), now)
            return []
        most, waits_for = 1, ""  # the one job that is to probe the hold
    if waits_for:
        _say_what_waits(group, waits_for, now)
        return []
    jobs: list[BatchJob] = []
    budget = Budget(group["provider"], now=now)
    while most is None or len(jobs) < most:
        wanted = _most_wanted(group, budget, now)
        if not wanted:
            _say_what_waits(group, budget.reason, now)
            break
        jobs.append(_make_job(group, wanted, now))
    return jobs


def _has_job_to_send(group: dict[str, str]) -> bool:
    return BatchJob.objects.filter(**group, status__in=TO_SUBMIT).exists()


def take_bundling_lock() -> None:
    """Keep others from making jobs until this transaction ends."""
    if is_postgres():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [BUNDLING_LOCK])


def _groups(now: datetime) -> Iterator[tuple[dict[str, str], str]]:
    """What may share a file, and why it waits for a fuller one; empty if it does not.

    Only runs that said so wait, below BATCH_MIN_SIZE, and no longer than
    BATCH_MAX_WAIT_MINUTES; an urgent run in the group takes the others along.
    """
    impatient = Q(run__may_wait=False) | Q(priority=Priority.HIGH)
    groups = (
        OpenItem.objects.waiting(now)
        .filter(run__paused_at__isnull=True)
        .values(*GROUP)
        .annotate(
            waiting=Count("item"),
            impatient=Count("item", filter=impatient),
            oldest=Min("ready_at"),
        )
        .order_by(*GROUP)
    )
    longest_wait = timedelta(minutes=config.get("BATCH_MAX_WAIT_MINUTES"))
    enough = config.get("BATCH_MIN_SIZE")
    for group in list(groups):
        goes_at = group["oldest"] + longest_wait
        may_go = group["impatient"] or group["waiting"] >= enough or goes_at <= now
        yield (
            {name: group[name] for name in GROUP},
            ""
            if may_go
            else f"a job of {enough} ({group['waiting']} are there), "
            f"until {goes_at:%H:%M} UTC at the latest",
        )


def _most_wanted(group: dict[str, str], budget: Budget, now: datetime) -> list[Wanted]:
    """The next job's items: as many as count, bytes and money allow, in their order."""
    rate = batch_rate(group["model"], now)
    waiting = (
        OpenItem.objects.waiting(now)
        .filter(**group, run__paused_at__isnull=True)
        .wanted_first()
        .values_list("item_id", "run_id", "body_bytes", "input_tokens", "output_limit")
    )
    chosen: list[Wanted] = []
    size = 0
    for row in waiting[: config.get("BATCH_MAX_REQUESTS")]:
        item = Wanted(*row)
        size += item.body_bytes
        if chosen and size > MAX_FILE_BYTES:
            break
        if not budget.take(item.worst_case_nanos(rate)):
            break
        chosen.append(item)
    return chosen


def _say_what_waits(group: dict[str, str], waits_for: str, now: datetime) -> None:
    """On each run, why some of its items are still in the pool; once, as an event."""
    waiting = OpenItem.objects.waiting(now).filter(**group, run__paused_at__isnull=True)
    counts = dict(waiting.values_list("run_id").annotate(n=Count("item")).order_by())
    for run in Run.objects.filter(pk__in=counts).order_by("pk"):
        reason = f"{counts[run.pk]} items wait for {waits_for}"[:500]
        if run.waiting_reason != reason:
            Run.objects.filter(pk=run.pk).update(waiting_reason=reason)
            record_event(EventKind.RUN_WAITS, now=now, run=run, message=reason)


def _make_job(group: dict[str, str], wanted: list[Wanted], now: datetime) -> BatchJob:
    """Write a job, its shares with the money they reserve, and its items' places."""
    job = BatchJob.objects.create(
        **group,
        items_total=len(wanted),
        file_bytes=sum(item.body_bytes for item in wanted),
        queued_tokens=sum(item.input_tokens for item in wanted),
        created_at=now,
    )
    shares = _shares(job, wanted, now)
    JobShare.objects.bulk_create(shares)
    Run.objects.filter(pk__in=[share.run_id for share in shares]).exclude(
        waiting_reason=""
    ).update(waiting_reason="")
    sql, param = one_of("item_id", (item.item_id for item in wanted))
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {OpenItem._meta.db_table} SET job_id = %s WHERE {sql}",  # noqa: S608
            [job.pk, param],
        )
    move_items(
        BatchItem.objects.filter(
            pk__in=OpenItem.objects.filter(job=job).values("item_id")
        ),
        ItemStatus.PENDING,
        ItemStatus.IN_JOB,
        now=now,
        job=job,
        attempts=F("attempts") + 1,
    )
    record_event(EventKind.BATCH_CREATED, now=now, job=job, items=job.items_total)
    return job


def _shares(job: BatchJob, wanted: Iterable[Wanted], now: datetime) -> list[JobShare]:
    rate = batch_rate(job.model, now)
    sent: Counter[int] = Counter()
    reserved: Counter[int] = Counter()
    for item in wanted:
        sent[item.run_id] += 1
        reserved[item.run_id] += item.worst_case_nanos(rate)
    return [
        JobShare(
            job=job, run_id=run_id, sent=sent[run_id], reserved_nanos=reserved[run_id]
        )
        for run_id in sorted(sent)
    ]
