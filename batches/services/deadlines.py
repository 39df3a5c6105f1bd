"""Deadlines of our own: jobs that are at the provider for longer than they should be.

A late job is told of and polled on, and so is one whose results cannot be read; nothing
ends by itself here. Only a person gives it
up (`steering.abandon_job`). What was given up is still looked after: should it end
after all, a person learns what there is to have.
"""

import logging
from datetime import datetime, timedelta

from django.utils import timezone

from batches import config
from batches.models import Alert, BatchJob
from batches.providers.errors import ProviderError
from batches.providers.registry import get_provider
from batches.services.alerts import close_alerts, raise_alert
from batches.services.holds import ENGINE
from batches.services.leases import held
from batches.services.lifecycle import update_job
from batches.states import AT_PROVIDER, JobStatus, Severity

log = logging.getLogger(__name__)

LATE = "job_late"
VERY_LATE = "job_very_late"  # twice as long
# What BATCH_TIMEOUT_HOURS is at least: before it the setting need not be looked up.
SHORTEST_TIMEOUT = timedelta(hours=1)
# How often an abandoned job is asked after, and until when: as long as files last.
AFTERCARE_INTERVAL = timedelta(hours=6)
AFTERCARE = timedelta(days=30)
ENDED = frozenset({"completed", "expired", "cancelled", "failed"})


def timeout() -> timedelta:
    return timedelta(hours=config.get("BATCH_TIMEOUT_HOURS"))


def time_waited(job: BatchJob, now: datetime) -> timedelta:
    """Since the provider took it, or since its results are ready to be read; nothing
    for a job that waits for neither."""
    since = None
    if job.status in AT_PROVIDER:
        since = job.validating_at
    elif job.status == JobStatus.COMPLETED:
        since = job.completed_at
    return now - since if since else timedelta()


def is_late(job: BatchJob, now: datetime) -> bool:
    spent = time_waited(job, now)
    return spent > SHORTEST_TIMEOUT and spent > timeout()


def late_in_words(job: BatchJob, now: datetime) -> str:
    """For a late job's row; empty for one in time."""
    if not is_late(job, now):
        return ""
    hours = time_waited(job, now) // timedelta(hours=1)
    limit = config.get("BATCH_TIMEOUT_HOURS")
    return (
        f"the provider, for {hours} hours by now (BATCH_TIMEOUT_HOURS is {limit}); it "
        "is polled on until a person abandons it"
    )


def tell_if_late(job: BatchJob, *, now: datetime) -> None:
    """Raise the alert of a late job: once, and once more after twice the time."""
    if not is_late(job, now):
        return
    spent = time_waited(job, now)
    code, severity = LATE, Severity.MEDIUM
    if spent > 2 * timeout():
        code, severity = VERY_LATE, Severity.CRITICAL
    if Alert.objects.filter(job=job, code=code).exists():
        return
    hours = spent // timedelta(hours=1)
    what = f"has been at {job.provider}"
    if job.status == JobStatus.COMPLETED:
        what = f"has results that could not be read ({job.waiting_reason})"
    raise_alert(
        code,
        f"Job {job.pk} {what} for {hours} hours ({job.provider_status or 'no status'});"
        f" BATCH_TIMEOUT_HOURS is {config.get('BATCH_TIMEOUT_HOURS')}. It goes on being"
        " tried. If nothing more is to be expected of it, abandon it on its page.",
        key=str(job.pk),
        severity=severity,
        job=job,
    )


def tell_of_unread(*, now: datetime) -> int:
    """Tell of jobs whose results are ready for too long; counts them."""
    unread = BatchJob.objects.filter(
        status=JobStatus.COMPLETED, completed_at__lt=now - timeout()
    )
    for job in unread.order_by("pk"):
        tell_if_late(job, now=now)
    return len(unread)


def no_longer_late(job: BatchJob, *, by: str = ENGINE) -> None:
    """Close what was told of a job that is at its end."""
    close_alerts(LATE, VERY_LATE, key=str(job.pk), by=by)


def look_after_abandoned(*, now: datetime) -> int:
    """Ask now and then what became of jobs that were given up; counts those that ended.

    Their items are settled, so nothing is applied. Of one that ended after all, the
    provider's answer is kept and a person told: its files may have paid answers.
    """
    ended = 0
    due = BatchJob.objects.abandoned_to_look_after(now, since=now - AFTERCARE)
    for job in due:
        with held(job, now=now) as is_ours:
            if is_ours:
                ended += _look_after(job, now)
    return ended


def _look_after(job: BatchJob, now: datetime) -> bool:
    next_look = now + AFTERCARE_INTERVAL
    try:
        batch = get_provider(job.provider).retrieve(str(job.provider_batch_id))
    except ProviderError as err:
        log.info("[Batch Worker] Nothing new of abandoned job %d: %s", job.pk, err)
        update_job(job, next_poll_at=next_look)
        return False
    has_ended = batch.status in ENDED
    update_job(
        job,
        provider_status=batch.status,
        provider_answer=batch.raw,
        provider_total=batch.total,
        provider_completed=batch.completed,
        provider_failed=batch.failed,
        output_file_id=batch.output_file_id,
        error_file_id=batch.error_file_id,
        next_poll_at=None if has_ended else next_look,
    )
    if has_ended:
        raise_alert(
            "abandoned_job_ended",
            f"Job {job.pk}, which was abandoned, has ended at {job.provider} after all "
            f"({batch.status}, {batch.completed} of {batch.total} requests answered). "
            "Nothing of it is applied. Its files "
            f"({batch.output_file_id or 'no output'}, "
            f"{batch.error_file_id or 'no errors'}) stay there for 30 days.",
            key=str(job.pk),
            job=job,
        )
    return has_ended


def first_look() -> datetime:
    """When an abandoned job is asked after for the first time."""
    return timezone.now() + AFTERCARE_INTERVAL
