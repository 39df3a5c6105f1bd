"""Steering by hand: pause, resume, reorder and cancel, each with its effect first.

Whoever steers is named, and every act is in the audit log. An effect is what an act
would do, in items and dollars, for the question before it.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import TypeVar

from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone

from batches.errors import BatchError, UnknownPrice
from batches.models import (
    BatchJob,
    Hold,
    JobShare,
    OpenItem,
    Run,
)
from batches.providers.errors import ProviderError
from batches.providers.pricing import batch_rate
from batches.services.bundling import take_bundling_lock
from batches.services.deadlines import first_look, is_late, no_longer_late
from batches.services.events import audit
from batches.services.holds import held_until, hold_on_job, lift_hold, raise_hold
from batches.services.ingestion import ingest_job
from batches.services.leases import held
from batches.services.lifecycle import refresh_run, update_job
from batches.services.polling import poll_job
from batches.services.rendering import worst_case_nanos
from batches.services.settlement import abandon, cancel_unsent, cancel_waiting
from batches.services.submission import submit_job
from batches.signals import announce
from batches.states import (
    AT_PROVIDER,
    JOB_FINAL,
    RUN_FINAL,
    TO_SUBMIT,
    HoldScope,
    Intent,
    JobStatus,
    Priority,
)

log = logging.getLogger(__name__)

PAGE = 5_000
BY_HAND = "by_hand"  # the code of a hold that a person raised
# The provider takes up to 10 minutes; before this a batch being cancelled is not lost.
CANCELLING_TAKES = timedelta(minutes=30)

Row = TypeVar("Row", Run, BatchJob)


class NotPossible(BatchError):
    """What is asked for cannot be done to this row as it is now."""

    code = "conflict"


@dataclass(frozen=True)
class Effect:
    """What an act would change: items, and the most they may cost or have cost."""

    items: int
    nanos: int


# --- runs -----------------------------------------------------------------------------


def waiting_effect(*runs: Run) -> Effect:
    """What pausing, resuming or reordering runs is about: their items in no job."""
    return _sum_of(
        _worst_case(OpenItem.objects.filter(run__in=page, job__isnull=True))
        for page in _pages(runs)
    )


def possible_for_run(run: Run, *, failed: int) -> frozenset[str]:
    """Which acts a run as it is now would not refuse; `failed` are its failed items."""
    acts = set()
    if run.status not in RUN_FINAL:
        acts |= {"resume" if run.paused_at else "pause", "cancel", "set_priority"}
    if failed:
        acts.add("retry")
    return frozenset(acts)


def pause_run(run: Run, *, by: str) -> Run:
    """Hold what is not in a job yet; what was sent goes on. Raises NotPossible."""
    _check_unfinished(run)
    if run.paused_at is None:
        _mark_run(run, "pause", by=by, paused_at=timezone.now())
    return run


def resume_run(run: Run, *, by: str) -> Run:
    """Let a paused run's items go. Raises NotPossible for one that is finished."""
    _check_unfinished(run)
    if run.paused_at is not None:
        _mark_run(run, "resume", by=by, paused_at=None)
        announce("collect")
        announce("bundle")
    return run


def set_priority(run: Run, priority: Priority, *, by: str) -> Run:
    """Reorder what is not in a job yet. Raises NotPossible for a finished run."""
    _check_unfinished(run)
    with transaction.atomic():
        _mark_run(run, "set_priority", by=by, priority=priority)
        OpenItem.objects.filter(run=run, job__isnull=True).update(priority=priority)
    return run


def cancel_effect(*runs: Run) -> Effect:
    """What cancelling runs would end: all of their open items."""
    return _sum_of(
        _worst_case(OpenItem.objects.filter(run__in=page)) for page in _pages(runs)
    )


def cancel_run(run: Run, *, by: str) -> Run:
    """End a run: what waits is cancelled, and the jobs that are its alone.

    Items in a job shared with other runs go on and are applied, and so are results
    that are being read; what comes back of them, or asks for more, does not go out but
    ends at the next bundling. Raises NotPossible for a run that is finished, and
    ProviderError when a batch could not be cancelled there: what is wanted of each job
    is written down first, and polling tries again.
    """
    _check_unfinished(run)
    now = timezone.now()
    with transaction.atomic():
        take_bundling_lock()
        _mark_run(run, "cancel", by=by, cancelled_at=now)
        cancel_waiting(run, now=now)
        jobs = [
            job
            for job in BatchJob.objects.unfinished().filter(shares__run=run)
            if job.status != JobStatus.COMPLETED
            and not job.shares.exclude(run=run).exists()
        ]
        for job in jobs:
            _want_cancelled(job, by=by)
        refresh_run(run.pk, now=now)
    trouble: ProviderError | None = None
    for job in jobs:
        try:
            _cancel_now(job)
        except ProviderError as err:
            trouble = err
    refresh_run(run.pk, now=timezone.now())
    if trouble:
        raise trouble
    run.refresh_from_db()
    return run


def _check_unfinished(run: Run) -> None:
    if run.status in RUN_FINAL:
        raise NotPossible(
            f"Run {run.pk} is finished ({run.get_status_display()}); "
            "start a new one for more work."
        )


def _mark_run(run: Run, action: str, *, by: str, **changes: object) -> None:
    before = {name: str(getattr(run, name)) for name in changes}
    with transaction.atomic():
        Run.objects.filter(pk=run.pk).update(**changes)
        for name, value in changes.items():
            setattr(run, name, value)
        after = {name: str(value) for name, value in changes.items()}
        audit(f"run.{action}", actor=by, target=str(run), before=before, after=after)


# --- jobs -----------------------------------------------------------------------------


def job_effect(*jobs: BatchJob) -> Effect:
    """What an act on jobs is about: their items that have no answer yet."""
    return _sum_of(
        _worst_case(OpenItem.objects.filter(job__in=page)) for page in _pages(jobs)
    )


def possible_for_job(job: BatchJob) -> frozenset[str]:
    """Which acts a job as it is now would not refuse, by the names of the audit log."""
    acts = set()
    if job.status in TO_SUBMIT:
        acts.add("submit")
    if job.status in AT_PROVIDER:
        acts.add("check_status")
    if is_late(job, timezone.now()):
        acts.add("abandon")
    if job.status == JobStatus.COMPLETED:
        acts.add("process_results")
    elif job.status not in JOB_FINAL:
        acts.add("cancel")
    if job.items_failed and job.status in JOB_FINAL:
        acts.add("retry")
    return frozenset(acts)


def cancel_job(job: BatchJob, *, by: str) -> BatchJob:
    """Cancel a job: at once if it was never sent, else at the provider.

    A batch that runs ends in its own time, and what it finished is read and applied.
    Raises NotPossible for a job that is final or whose results are being read,
    ProviderError when the provider could not be told; the intent is kept.
    """
    if job.status in JOB_FINAL or job.status == JobStatus.COMPLETED:
        raise NotPossible(
            f"Job {job.pk} cannot be cancelled: it is {job.get_status_display()}."
        )
    with transaction.atomic():
        _want_cancelled(job, by=by)
    _cancel_now(job)
    return job


def _want_cancelled(job: BatchJob, *, by: str) -> None:
    BatchJob.objects.filter(pk=job.pk).update(intent=Intent.CANCEL)
    audit("job.cancel", actor=by, target=str(job))


def _cancel_now(job: BatchJob) -> None:
    """Do what can be done at once for a job that is to be cancelled."""
    with held(job, now=timezone.now()) as is_ours:
        if is_ours and job.create_sent_at is None:
            cancel_unsent(job)
        elif is_ours and job.status in AT_PROVIDER:
            poll_job(job)  # which tells the provider first
    job.refresh_from_db()


def abandon_effect(*jobs: BatchJob) -> Effect:
    """What giving up on jobs would leave: their items, and the money that they reserved
    and that may be spent without a result."""
    return _sum_of(
        Effect(
            OpenItem.objects.filter(job__in=page).count(),
            JobShare.objects.filter(job__in=page).aggregate(
                n=Sum("reserved_nanos", default=0)
            )["n"],
        )
        for page in _pages(jobs)
    )


def abandon_job(job: BatchJob, *, by: str) -> BatchJob:
    """Give up on a job that is late: cancel it at the provider, or else end it here.

    A batch that the provider agrees to cancel, that has ended meanwhile, or whose
    results can be read after all, goes its usual way. One that was being cancelled
    already, or whose provider does not give what is asked for, ends failed; its items
    may have been billed, so they are retried by hand only, and its reserved money
    counts as spent. Raises NotPossible for a job that is not late, or whose cancelling
    may still succeed.
    """
    now = timezone.now()
    _check_abandonable(job, now)
    before = job.status
    with transaction.atomic():
        BatchJob.objects.filter(pk=job.pk).update(intent=Intent.CANCEL)
        audit("job.abandon", actor=by, target=str(job), before={"status": job.status})
    with held(job, now=now) as is_ours:
        if not is_ours:
            raise NotPossible(
                f"Job {job.pk} is being worked on just now; try again in a minute."
            )
        try:
            if before == JobStatus.COMPLETED:
                ingest_job(job)
            else:
                poll_job(job)  # which tells the provider first
            is_lost = before == job.status == JobStatus.CANCELLING
        except ProviderError as err:
            log.warning("[Batch Worker] Abandoning job %d unheard: %s", job.pk, err)
            is_lost = True
        if is_lost:
            with transaction.atomic():
                abandon(job, by=by)
                if before != JobStatus.COMPLETED:
                    update_job(job, next_poll_at=first_look())
                no_longer_late(job, by=by)
    job.refresh_from_db()
    return job


def _check_abandonable(job: BatchJob, now: datetime) -> None:
    if not is_late(job, now):
        raise NotPossible(
            f"Job {job.pk} is {job.get_status_display()} and not late; only a job that "
            "has waited for its provider longer than BATCH_TIMEOUT_HOURS is abandoned."
        )
    if job.status == JobStatus.CANCELLING and job.cancelling_at is not None:
        until = job.cancelling_at + CANCELLING_TAKES
        if now < until:
            raise NotPossible(
                f"Job {job.pk} is being cancelled, and what it has finished is still "
                f"to come; it can be abandoned from {until:%H:%M} UTC on."
            )


def submit_now(job: BatchJob, *, by: str) -> BatchJob:
    """Send a waiting job without waiting for its time.

    Raises NotPossible, for one under a hold too.
    """
    if job.status in TO_SUBMIT and (hold := hold_on_job(job)):
        raise NotPossible(f"Job {job.pk} waits for {held_until(hold)}")
    return _do_now(job, "submit", TO_SUBMIT, submit_job, by=by)


def check_now(job: BatchJob, *, by: str) -> BatchJob:
    """Ask the provider how a job stands. Raises NotPossible, ProviderError."""
    return _do_now(job, "check_status", AT_PROVIDER, poll_job, by=by)


def process_now(job: BatchJob, *, by: str) -> BatchJob:
    """Read a job's results now; safe to repeat. Raises NotPossible, ProviderError."""
    return _do_now(job, "process_results", (JobStatus.COMPLETED,), ingest_job, by=by)


def _do_now(
    job: BatchJob,
    action: str,
    statuses: Sequence[JobStatus],
    stage: Callable[[BatchJob], None],
    *,
    by: str,
) -> BatchJob:
    """Run one stage for one job, unless another process is at it already."""
    if job.status not in statuses:
        wanted = " or ".join(str(status.label) for status in statuses)
        raise NotPossible(
            f"Job {job.pk} is {job.get_status_display()}; this is for one that is "
            f"{wanted}."
        )
    audit(f"job.{action}", actor=by, target=str(job))
    with held(job, now=timezone.now()) as is_ours:
        if is_ours:
            stage(job)
    job.refresh_from_db()
    return job


# --- holds ----------------------------------------------------------------------------


def hold_work(scope: HoldScope, *, key: str = "", reason: str, by: str) -> Hold:
    """Keep new work from going out: all of it, or what `key` names.

    What is at the provider is read all the same. Raises BadHold for a key that is
    missing or too much, NotPossible where it is on hold by hand already.
    """
    if not raise_hold(scope, BY_HAND, reason, key=key, by=by):
        raise NotPossible(
            "That is on hold by hand already; lift the hold there is to give another "
            "reason."
        )
    return Hold.objects.active().get(scope=scope, key=key, code=BY_HAND)


def lift(hold: Hold, *, by: str) -> Hold:
    """Let held work go. Raises NotPossible for a hold that was lifted before."""
    if not lift_hold(hold, by=by):
        raise NotPossible(f"The hold on {hold.what()} was lifted before.")
    hold.refresh_from_db()
    return hold


def lift_effect(*holds: Hold) -> Effect:
    """What holds keep back: items in the pool and in unsent jobs, each once.

    What has no price cannot be sent, so it adds no money.
    """
    held_back = OpenItem.objects.filter(
        Q(job__isnull=True) | Q(job__status__in=TO_SUBMIT)
    ).filter(reduce(or_, (_covered(hold) for hold in holds), Q(pk__in=[])))
    priced = [
        model
        for model in held_back.order_by().values_list("model", flat=True).distinct()
        if _has_price(model)
    ]
    nanos = _worst_case(held_back.filter(model__in=priced)).nanos
    return Effect(held_back.count(), nanos)


def _covered(hold: Hold) -> Q:
    if hold.scope == HoldScope.ALL:
        return Q(pk__isnull=False)
    return Q(**{hold.scope: hold.key})  # a scope's word is the column's name


def _has_price(model: str) -> bool:
    try:
        batch_rate(model, timezone.now())
    except UnknownPrice:
        return False
    return True


def _pages(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Few enough rows at once for a database's limit of parameters."""
    for start in range(0, len(rows), PAGE):
        yield rows[start : start + PAGE]


def _sum_of(effects: Iterable[Effect]) -> Effect:
    found = list(effects)
    return Effect(sum(e.items for e in found), sum(e.nanos for e in found))


def _worst_case(items: QuerySet[OpenItem]) -> Effect:
    """How many open items, and the most that they may cost."""
    count = nanos = 0
    now = timezone.now()
    sums = items.values("model", "input_tokens", "output_limit").annotate(
        n=Count("item")
    )
    for row in sums.order_by():
        each = worst_case_nanos(
            batch_rate(row["model"], now),
            input_tokens=row["input_tokens"],
            output_limit=row["output_limit"],
        )
        count += row["n"]
        nanos += each * row["n"]
    return Effect(count, nanos)
