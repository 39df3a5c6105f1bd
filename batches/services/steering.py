"""Steering by hand: pause, recall, resume, reorder and cancel runs and jobs.

Whoever steers is named, and every act is in the audit log. What is wanted of a job is
written down first (its intent), in the transaction that marks its run; then what can be
done at once is done, and what cannot, for want of an answer or because another process
has the job, is done by whoever sends or polls it next.

To pause is to hold what is not sent: jobs that were never sent end, and their items go
back to the pool. To recall is to have batches cancelled at the provider too: what was
finished there is applied, the rest goes back. Neither uses up an attempt.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from batches.errors import BatchError, NotPossible
from batches.models import BatchJob, OpenItem, Run
from batches.providers.errors import ProviderError
from batches.querysets import BatchJobQuerySet, RunQuerySet
from batches.services.bundling_lock import take_bundling_lock
from batches.services.by_hand import work_on
from batches.services.canary import release_brake
from batches.services.deadlines import first_look, is_late, no_longer_late
from batches.services.events import audit
from batches.services.ingestion import ingest_job
from batches.services.leases import held
from batches.services.lifecycle import refresh_run, update_job
from batches.services.polling import poll_job
from batches.services.settlement import abandon, cancel_waiting, end_unsent
from batches.services.submission import PAUSED
from batches.signals import announce
from batches.states import (
    AT_PROVIDER,
    JOB_FINAL,
    RUN_FINAL,
    STOPPED,
    TO_SUBMIT,
    Intent,
    JobStatus,
    Priority,
)

log = logging.getLogger(__name__)

# The provider takes up to 10 minutes; before this a batch being cancelled is not lost.
CANCELLING_TAKES = timedelta(minutes=30)


@dataclass(frozen=True)
class Wish:
    """What is wanted of a job; `if_unsent`: only as long as it was not sent."""

    job: BatchJob
    intent: Intent
    if_unsent: bool = False


# --- runs -----------------------------------------------------------------------------


def possible_for_run(run: Run, *, failed: int) -> frozenset[str]:
    """Which acts a run as it is now would not refuse; `failed` are its failed items."""
    acts = set()
    if run.status not in RUN_FINAL:
        acts.add("cancel")
        if run.cancelled_at is None:
            acts |= {"resume" if run.paused_at else "pause", "recall", "set_priority"}
    if failed and (run.cancelled_at is None or run.status in RUN_FINAL):
        acts.add("retry")
    return frozenset(acts)


def pause_run(run: Run, *, by: str) -> Run:
    """Hold what is not sent of a run; what was sent goes on.

    Jobs that were never sent end, and what other runs had in them goes out in the next.
    Raises NotPossible.
    """
    with transaction.atomic():
        _take_in_hand(run)
        _check_unfinished(run)
        if run.paused_at is not None:
            return run
        noted = _note(_take_back(_unfinished_jobs(run)))
        _mark_run(run, "pause", by=by, paused_at=timezone.now())
    _see_to(noted)
    return run


def recall_run(run: Run, *, by: str) -> Run:
    """Pause a run, and call back what is at the provider in jobs that are its alone.

    What was finished there is applied, and what is in jobs shared with other runs goes
    on. Raises NotPossible, and ProviderError when a batch could not be cancelled there:
    polling tries again.
    """
    with transaction.atomic():
        _take_in_hand(run)
        _check_unfinished(run)
        jobs = _unfinished_jobs(run)
        alone = [Wish(j, Intent.RECALL) for j in jobs if not _others_need(j, run)]
        noted = _note([*_take_back(jobs), *alone])
        _mark_run(run, "recall", by=by, paused_at=run.paused_at or timezone.now())
    _see_to(noted)
    return run


def resume_run(run: Run, *, by: str) -> Run:
    """Let a paused run's items go. Raises NotPossible for one that is finished."""
    _check_unfinished(run)
    if run.paused_at is not None:
        with transaction.atomic():
            _mark_run(run, "resume", by=by, paused_at=None)
            release_brake(run, by=by)
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


def cancel_run(run: Run, *, by: str) -> Run:
    """End a run: what is not sent is cancelled, and jobs that no other run needs.

    What such a job has finished by then is applied, and so are results that are being
    read. A job that other runs need goes on: this run's answers in it are kept with
    their cost, and not applied. What comes back, or asks for more, does not go out but
    ends at the next bundling. Raises NotPossible for a run that is finished, and
    ProviderError when a batch could not be cancelled there: what is wanted of each job
    is written down first, and polling tries again.
    """
    now = timezone.now()
    with transaction.atomic():
        _take_in_hand(run)
        _check_open(run)
        jobs = _unfinished_jobs(run)
        alone = [Wish(j, Intent.CANCEL) for j in jobs if not _others_need(j, run)]
        shared = [job for job in jobs if _others_need(job, run)]
        noted = _note([*alone, *_take_back(shared)])
        _mark_run(run, "cancel", by=by, cancelled_at=run.cancelled_at or now)
        release_brake(run, by=by)
        cancel_waiting(run, now=now)
        refresh_run(run.pk, now=now)
    try:
        _see_to(noted)
    finally:
        refresh_run(run.pk, now=timezone.now())
    run.refresh_from_db()
    return run


def _take_in_hand(run: Run) -> None:
    """Keep everybody from making jobs of a run, and look how it is now."""
    take_bundling_lock()
    run.refresh_from_db(fields=["status", "paused_at", "cancelled_at"])


def _unfinished_jobs(*runs: Run) -> list[BatchJob]:
    """Jobs of runs that have not ended at their provider, in key order."""
    jobs = BatchJob.objects.unfinished().exclude(status=JobStatus.COMPLETED)
    return list(jobs.filter(shares__run__in=runs).distinct().order_by("pk"))


def _others_need(job: BatchJob, run: Run) -> bool:
    """Whether a run that was not cancelled has a share in it, beside this one."""
    others = job.shares.exclude(run=run)
    return others.filter(run__cancelled_at__isnull=True).exists()


def _take_back(jobs: Iterable[BatchJob]) -> list[Wish]:
    return [Wish(job, Intent.RECALL, if_unsent=True) for job in jobs]


def _note(wishes: Iterable[Wish]) -> list[BatchJob]:
    """Write down what is wanted of jobs; returns those that it was still time for.

    Jobs come before runs, each in key order, wherever both are written in one
    transaction: so nothing deadlocks. What was cancelled stays cancelled.
    """
    noted = {}
    for wish in sorted(wishes, key=lambda wish: wish.job.pk):
        jobs = BatchJob.objects.unfinished().exclude(status=JobStatus.COMPLETED)
        jobs = jobs.filter(pk=wish.job.pk)
        if wish.intent != Intent.CANCEL:
            jobs = jobs.exclude(intent=Intent.CANCEL)
        if wish.if_unsent:
            jobs = jobs.filter(create_sent_at__isnull=True)
        if jobs.update(intent=wish.intent):
            noted[wish.job.pk] = wish.job
    return list(noted.values())


def _see_to(jobs: Iterable[BatchJob]) -> None:
    """Do at once what can be done for jobs that something is wanted of.

    One job's trouble does not keep the others; the last is raised.
    """
    trouble: BatchError | None = None
    for job in jobs:
        try:
            work_on(job, _heed)
        except BatchError as err:
            trouble = err
    announce("submit")  # whoever sends sees to what we could not get
    if trouble:
        raise trouble


def _heed(job: BatchJob) -> None:
    """Do what can be done at once for a job that is to be stopped; we hold it."""
    if job.intent in STOPPED and job.status in TO_SUBMIT and job.create_sent_at is None:
        end_unsent(job)
    elif job.status in AT_PROVIDER:
        poll_job(job)  # which tells the provider first


def _check_open(run: Run) -> None:
    if run.status in RUN_FINAL:
        raise NotPossible(
            f"Run {run.pk} is finished ({run.get_status_display()}); "
            "start a new one for more work."
        )


def _check_unfinished(run: Run) -> None:
    _check_open(run)
    if run.cancelled_at is not None:
        raise NotPossible(
            f"Run {run.pk} was cancelled, which is for good; what it still has at the "
            "provider is settled when that answers."
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


def possible_for_job(job: BatchJob) -> frozenset[str]:
    """Which acts a job as it is now would not refuse, by the names of the audit log."""
    acts = set()
    if job.status in TO_SUBMIT and job.intent != Intent.PAUSE:
        acts.add("submit")
    if job.status in TO_SUBMIT and job.create_sent_at is None and not job.intent:
        acts.add("pause")
    if job.intent == Intent.PAUSE or _paused_with(job).exists():
        acts.add("resume")
    if job.status in AT_PROVIDER:
        acts.add("check_status")
    if is_late(job, timezone.now()):
        acts.add("abandon")
    if job.status == JobStatus.COMPLETED:
        acts.add("process_results")
    elif job.status not in JOB_FINAL:
        acts |= {"cancel"} if job.intent == Intent.CANCEL else {"cancel", "recall"}
    if job.items_failed and job.status in JOB_FINAL:
        acts.add("retry")
    return frozenset(acts)


def pause_job(job: BatchJob, *, by: str) -> BatchJob:
    """Keep a job from being sent. Raises NotPossible where it may be sent already."""
    with transaction.atomic():
        unsent = BatchJob.objects.filter(
            pk=job.pk, status__in=TO_SUBMIT, create_sent_at__isnull=True
        )
        if not unsent.exclude(intent__in=STOPPED).update(
            intent=Intent.PAUSE, waiting_reason=PAUSED
        ):
            raise NotPossible(
                f"Job {job.pk} cannot be paused: {_how_it_is(job)}. What was sent can "
                "be recalled; what is finished cannot."
            )
        audit("job.pause", actor=by, target=str(job))
    job.refresh_from_db()
    return job


def recall_job(job: BatchJob, *, by: str) -> BatchJob:
    """Take a job back: cancel its batch, and pause the runs that it is of.

    What was finished at the provider is applied; the rest goes back to the pool, where
    it waits with its run until that, or this job, is resumed. Raises NotPossible for a
    job that is cancelled, final, or whose results are being read; ProviderError when
    the provider could not be told: polling tries again.
    """
    if job.status in JOB_FINAL or job.status == JobStatus.COMPLETED:
        raise NotPossible(f"Job {job.pk} cannot be recalled: {_how_it_is(job)}.")
    now = timezone.now()
    with transaction.atomic():
        take_bundling_lock()
        runs = list(
            Run.objects.unfinished()
            .filter(shares__job=job, cancelled_at__isnull=True, paused_at__isnull=True)
            .order_by("pk")
        )
        others = [other for other in _unfinished_jobs(*runs) if other.pk != job.pk]
        noted = _note([Wish(job, Intent.RECALL), *_take_back(others)])
        if job.pk not in {one.pk for one in noted}:
            job.refresh_from_db()
            raise NotPossible(f"Job {job.pk} cannot be recalled: {_how_it_is(job)}.")
        audit("job.recall", actor=by, target=str(job))
        for run in runs:
            _mark_run(run, "pause", by=by, paused_at=now)
    _see_to(noted)
    job.refresh_from_db()
    return job


def resume_job(job: BatchJob, *, by: str) -> BatchJob:
    """Let a paused job be sent, or what a recalled one gave back.

    Raises NotPossible for a job that nothing is held of.
    """
    paused = list(_paused_with(job))
    with transaction.atomic():
        was_paused = BatchJob.objects.filter(pk=job.pk, intent=Intent.PAUSE).update(
            intent=Intent.NONE, waiting_reason=""
        )
        if not was_paused and not paused:
            raise NotPossible(f"Job {job.pk} is not paused, and nothing of it is held.")
        audit("job.resume", actor=by, target=str(job))
        announce("submit")
    for run in paused:
        resume_run(run, by=by)
    job.refresh_from_db()
    return job


def _paused_with(job: BatchJob) -> RunQuerySet:
    """The paused runs that a recalled job took something back for."""
    if job.intent != Intent.RECALL:
        return Run.objects.none()
    return Run.objects.unfinished().filter(
        shares__job=job, paused_at__isnull=False, cancelled_at__isnull=True
    )


def cancel_job(job: BatchJob, *, by: str) -> BatchJob:
    """Cancel a job: at once if it was never sent, else at the provider.

    A batch that runs ends in its own time, and what it finished is read and applied.
    Raises NotPossible for a job that is final or whose results are being read,
    ProviderError when the provider could not be told; the intent is kept.
    """
    with transaction.atomic():
        if not _note([Wish(job, Intent.CANCEL)]):
            job.refresh_from_db()
            raise NotPossible(f"Job {job.pk} cannot be cancelled: {_how_it_is(job)}.")
        audit("job.cancel", actor=by, target=str(job))
    _see_to([job])
    job.refresh_from_db()
    return job


def _how_it_is(job: BatchJob) -> str:
    wanted = ", and is to be cancelled" if job.intent == Intent.CANCEL else ""
    return f"it is {job.get_status_display()}{wanted}"


def recall_jobs(jobs: BatchJobQuerySet, *, by: str) -> list[BatchJob]:
    """Recall all of these that may have been sent; a hold must keep what comes back.

    Returns them; raises as `recall_job` does, after all were tried.
    """
    sent = jobs.unfinished().filter(create_sent_at__isnull=False).order_by("pk")
    with transaction.atomic():
        noted = _note([Wish(job, Intent.RECALL) for job in sent])
        for job in noted:
            audit("job.recall", actor=by, target=str(job))
    _see_to(noted)
    return noted


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
