"""Stages by hand: send, ask after or read one job now, without waiting for its time."""

from collections.abc import Callable, Sequence

from django.utils import timezone

from batches.errors import BatchError, HeldBack, NotPossible
from batches.models import BatchJob
from batches.providers.errors import ProviderError
from batches.services.events import audit
from batches.services.holds import held_until, hold_on_job
from batches.services.ingestion import ingest_job
from batches.services.leases import worked_on
from batches.services.polling import poll_job
from batches.services.submission import submit_job
from batches.states import AT_PROVIDER, TO_SUBMIT, Intent, JobStatus


def submit_now(job: BatchJob, *, by: str) -> BatchJob:
    """Send a waiting job without waiting for its time.

    Raises NotPossible, for one that is paused or under a hold too.
    """
    if job.intent == Intent.PAUSE:
        raise NotPossible(f"Job {job.pk} is paused; resume it first.")
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
    work_on(job, stage)
    return job


def work_on(job: BatchJob, stage: Callable[[BatchJob], None]) -> None:
    """Run a stage for a job, unless another process has it.

    Raises whatever BatchError it meets; trouble of this machine, a full disk say, comes
    as one too, and stands on the job's row as it does when a worker meets it.
    """
    trouble: list[BatchError] = []
    with worked_on(job, now=timezone.now(), trouble=trouble) as is_ours:
        try:
            if is_ours:
                stage(job)
        except (HeldBack, ProviderError) as err:
            trouble.append(err)  # the job says itself what it waits for
    if trouble:
        raise trouble[-1]
    job.refresh_from_db()
