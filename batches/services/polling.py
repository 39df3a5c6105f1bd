"""Poll: mirror what the provider says of a job, and move it along."""

import logging
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from django.utils import timezone

from batches.errors import BatchError
from batches.models import BatchJob
from batches.providers.errors import ProviderError
from batches.providers.registry import get_provider, is_sandbox
from batches.services.leases import worked_on
from batches.services.lifecycle import move_job, update_job
from batches.services.settlement import refuse_job
from batches.signals import announce
from batches.states import JOB_TRANSITIONS, PLAIN_JOB_STATUS, Intent, JobStatus

if TYPE_CHECKING:
    from batches.providers.openai_batch import RemoteBatch

log = logging.getLogger(__name__)

POLL_SECONDS = 120
SANDBOX_POLL_SECONDS = 1
RETRY_SECONDS = 60
SANDBOX_RETRY_SECONDS = 2

# What the provider calls the states between; every other word is an ending or unknown.
UNDER_WAY = {
    "validating": JobStatus.VALIDATING,
    "in_progress": JobStatus.IN_PROGRESS,
    "finalizing": JobStatus.FINALIZING,
    "cancelling": JobStatus.CANCELLING,
}
CANCELLABLE = (JobStatus.VALIDATING, JobStatus.IN_PROGRESS, JobStatus.FINALIZING)
ENDED = frozenset({"completed", "expired", "cancelled", "failed"})

# Refusals of a whole file that cost nothing and pass: it goes out again by itself.
PASSING_CODES = frozenset(
    {
        "token_limit_exceeded",
        "insufficient_quota",
        "billing_hard_limit_reached",
        "rate_limit_exceeded",
    }
)


def poll_time(job: BatchJob, now: datetime) -> datetime:
    """When to ask next; the sandbox answers in seconds, a provider in hours."""
    seconds = SANDBOX_POLL_SECONDS if is_sandbox(job.provider) else POLL_SECONDS
    return now + timedelta(seconds=seconds)


def retry_time(job: BatchJob) -> datetime:
    """When to try again what a provider would not, or could not, do just now."""
    seconds = SANDBOX_RETRY_SECONDS if is_sandbox(job.provider) else RETRY_SECONDS
    return timezone.now() + timedelta(seconds=seconds)


def poll_jobs(*, now: datetime) -> int:
    """Ask for every job that is due; returns how many moved.

    One job's trouble is logged on its row and does not keep the others; the last
    trouble is raised when all were asked.
    """
    moved = 0
    trouble: list[BatchError] = []
    for job in BatchJob.objects.due_for_poll(now):
        with worked_on(job, now=now, trouble=trouble) as is_ours:
            if not is_ours:
                continue
            before = job.status
            try:
                poll_job(job)
            except ProviderError as err:
                log.warning("[Batch Worker] Error checking job %d: %s", job.pk, err)
                update_job(
                    job, next_poll_at=retry_time(job), waiting_reason=str(err)[:500]
                )
                trouble.append(err)
            moved += job.status != before
    if trouble:
        raise trouble[-1]
    return moved


def poll_job(job: BatchJob) -> None:
    """Ask once for a job that we hold, and write down what was said."""
    if not job.provider_batch_id:
        return
    if job.intent == Intent.CANCEL and job.status in CANCELLABLE:
        cancel_at_provider(job)
    batch = get_provider(job.provider).retrieve(job.provider_batch_id)
    now = timezone.now()
    mirrored = {
        "provider_status": batch.status,
        "provider_answer": batch.raw,
        "provider_total": batch.total,
        "provider_completed": batch.completed,
        "provider_failed": batch.failed,
        "next_poll_at": poll_time(job, now),
        "waiting_reason": "",
    }
    was_refused = batch.status == "failed" and not batch.has_run
    if was_refused and job.status == JobStatus.VALIDATING:
        update_job(job, **mirrored)
        _take_refusal(job, batch)
        return
    to = _next_status(job, batch)
    if to is None:
        update_job(job, **mirrored)
    else:
        files = {}
        if to == JobStatus.COMPLETED:
            files = {
                "output_file_id": batch.output_file_id,
                "error_file_id": batch.error_file_id,
                "not_before": None,
            }
        move_job(
            job, to, reason=f"provider: {batch.status}", now=now, **mirrored, **files
        )
    if job.status == JobStatus.COMPLETED:
        announce("ingest")
    log.info(
        "[Batch API] Job status: %s (%d/%d)",
        PLAIN_JOB_STATUS[JobStatus(job.status)],
        batch.completed + batch.failed,
        batch.total or job.items_total,
    )


def cancel_at_provider(job: BatchJob) -> None:
    """Have a batch cancelled; one that ended meanwhile is left as it ended."""
    assert job.provider_batch_id  # noqa: S101  # the database holds it so
    try:
        batch = get_provider(job.provider).cancel(job.provider_batch_id)
    except ProviderError as err:
        if err.status != HTTPStatus.CONFLICT:
            raise
        return
    move_job(
        job,
        JobStatus.CANCELLING,
        reason="cancelled by hand",
        provider_status=batch.status,
    )


def _next_status(job: BatchJob, batch: "RemoteBatch") -> JobStatus | None:
    """Where the provider's word takes the job; None where it stays.

    Every ending goes by way of `completed`: what files there are is read first, and the
    ending follows when they are. A word that we do not know is not an ending.
    """
    if batch.status in ENDED:
        return JobStatus.COMPLETED
    to = UNDER_WAY.get(batch.status)
    if to is None or to not in JOB_TRANSITIONS[JobStatus(job.status)]:
        return None
    return to


def _take_refusal(job: BatchJob, batch: "RemoteBatch") -> None:
    """The whole file was refused, nothing ran: go out again later, or not at all."""
    codes = {error["code"] for error in batch.errors}
    message = "; ".join(
        f"line {error['line']}: {error['message']}"
        if error["line"]
        else str(error["message"])
        for error in batch.errors[:5]
    )
    lacks_file = any(error["param"] == "file_id" for error in batch.errors)
    passes = bool(codes & PASSING_CODES) or lacks_file
    if passes:
        # This settles the attempt: only now may another create be sent.
        move_job(
            job,
            JobStatus.PENDING,
            reason=message,
            provider_batch_id=None,
            create_sent_at=None,
            file_doomed_at=None,
            file_deleted_at=None,
            input_file_id="" if lacks_file or job.file_doomed_at else job.input_file_id,
            submission_number=job.submission_number + 1,
            not_before=retry_time(job),
            waiting_reason=message[:500],
        )
        return
    refuse_job(
        job,
        code=str(batch.errors[0]["code"] if batch.errors else "batch_failed"),
        message=message or "The provider refused the batch without a reason.",
        bad_lines={
            int(error["line"]): error for error in batch.errors if error.get("line")
        },
    )
