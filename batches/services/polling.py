"""Poll: mirror what the provider says of a job, and move it along."""

import logging
from collections import defaultdict
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from batches.errors import BatchError, ProviderRests
from batches.models import BatchJob, Event
from batches.providers.errors import ProviderError
from batches.providers.registry import get_provider, is_sandbox
from batches.services.alerts import raise_alert
from batches.services.breaker import calls_to, jittered
from batches.services.deadlines import late_in_words, no_longer_late, tell_if_late
from batches.services.events import record_event
from batches.services.holds import (
    note_accepted,
    report_account_trouble,
    report_refusal,
)
from batches.services.installation import may_act
from batches.services.leases import worked_on
from batches.services.lifecycle import move_job, update_job
from batches.services.settlement import JOB_WIDE_CODES, refuse_job
from batches.services.token_queue import learn_accepted, learn_refusal
from batches.signals import announce
from batches.states import (
    AT_PROVIDER,
    JOB_TRANSITIONS,
    PLAIN_JOB_STATUS,
    STOPPED,
    EventKind,
    Intent,
    JobStatus,
)

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

# Refusals of a whole file for want of money: the account is in trouble, not the file.
ACCOUNT_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
# Refusals of a whole file that pass by themselves.
QUEUE_IS_FULL = "token_limit_exceeded"
PASSING_CODES = frozenset({QUEUE_IS_FULL, "rate_limit_exceeded"})
LONGEST_WAIT_SECONDS = 3_600
SANDBOX_LONGEST_WAIT_SECONDS = 30
# After so many refusals of one job a person is told: it may never fit the queue.
REFUSALS_TOLD = 6
ERRORS_TOLD = 5
# A file may be invisible for a while after its upload: the same one is asked for again
# after these, and only then is it uploaded anew.
FILE_WAITS_SECONDS = (30, 60, 120, 300)
SANDBOX_FILE_WAITS_SECONDS = (1, 2, 3, 4)
FILE_UNSEEN = "cannot find file"  # at create or at validation, whatever the code
NOT_VISIBLE = "its file is not visible at the provider yet"


def poll_time(job: BatchJob, now: datetime) -> datetime:
    """When to ask next; the sandbox answers in seconds, a provider in hours."""
    seconds = SANDBOX_POLL_SECONDS if is_sandbox(job.provider) else POLL_SECONDS
    return now + timedelta(seconds=seconds)


def retry_time(job: BatchJob) -> datetime:
    """When to try again what a provider would not, or could not, do just now."""
    seconds = SANDBOX_RETRY_SECONDS if is_sandbox(job.provider) else RETRY_SECONDS
    return timezone.now() + jittered(seconds)


def growing_wait(job: BatchJob) -> timedelta:
    """How long a job waits that was refused for load: longer with each submission."""
    first, longest = RETRY_SECONDS, LONGEST_WAIT_SECONDS
    if is_sandbox(job.provider):
        first, longest = SANDBOX_RETRY_SECONDS, SANDBOX_LONGEST_WAIT_SECONDS
    doublings = min(job.submission_number - 1, 16)
    return timedelta(seconds=min(first * 2**doublings, longest))


def poll_jobs(*, now: datetime) -> int:
    """Ask for every job that is due; returns how many moved.

    One job's trouble is logged on its row and does not keep the others; the last
    trouble is raised when all were asked. Jobs that are late are told of, whether
    the provider answers or not.
    """
    moved = 0
    trouble: list[BatchError] = []
    for job in BatchJob.objects.due_for_poll(now):
        with worked_on(job, now=now, trouble=trouble) as is_ours:
            if not is_ours:
                continue
            before = job.status
            try:
                with calls_to(job.provider, now=now):
                    poll_job(job)
            except ProviderRests as rest:
                wait_for_provider(job, rest)
                trouble.append(rest)
            except ProviderError as err:
                log.warning("[Batch Worker] Error checking job %d: %s", job.pk, err)
                report_refusal(job.provider, err)
                update_job(
                    job, next_poll_at=retry_time(job), waiting_reason=str(err)[:500]
                )
                trouble.append(err)
            tell_if_late(job, now=timezone.now())
            moved += job.status != before
    if trouble:
        raise trouble[-1]
    return moved


def wait_for_provider(job: BatchJob, rest: ProviderRests) -> None:
    """Put a job that we hold aside, wherever it stands, until its provider is asked
    again."""
    when = "next_poll_at" if job.status in AT_PROVIDER else "not_before"
    update_job(job, waiting_reason=str(rest)[:500], **{when: rest.until})


def poll_job(job: BatchJob) -> None:
    """Ask once for a job that we hold, and write down what was said."""
    if not job.provider_batch_id:
        return
    if job.intent in STOPPED and job.status in CANCELLABLE and may_act():
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
        "waiting_reason": late_in_words(job, now),
    }
    was_refused = batch.status == "failed" and not batch.has_run
    if was_refused and job.status == JobStatus.VALIDATING:
        update_job(job, **mirrored)
        _take_refusal(job, batch)
        no_longer_late(job)
        return
    _move_along(job, batch, mirrored, now)
    log.info(
        "[Batch API] Job status: %s (%d/%d)",
        PLAIN_JOB_STATUS[JobStatus(job.status)],
        batch.completed + batch.failed,
        batch.total or job.items_total,
    )


def _move_along(
    job: BatchJob, batch: "RemoteBatch", mirrored: dict[str, Any], now: datetime
) -> None:
    """Take a job that was not refused where the provider's word says that it is."""
    to = _next_status(job, batch)
    was_validating = job.status == JobStatus.VALIDATING
    if to is None:
        update_job(job, **mirrored)
        return
    if to == JobStatus.COMPLETED:
        mirrored |= {
            "output_file_id": batch.output_file_id,
            "error_file_id": batch.error_file_id,
            "not_before": None,
            "waiting_reason": "",
        }
    told = ": ".join(part for part in (batch.status, refusal_in_words(batch)) if part)
    move_job(job, to, reason=f"provider: {told}", now=now, **mirrored)
    if was_validating and to != JobStatus.CANCELLING:
        note_accepted(job)
        learn_accepted(job)
    if to in (JobStatus.FINALIZING, JobStatus.COMPLETED):
        announce("submit")  # there is room in the provider's queue
    if to == JobStatus.COMPLETED:
        no_longer_late(job)
        announce("ingest")
        announce("bundle")


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
        reason="recalled by hand"
        if job.intent == Intent.RECALL
        else "cancelled by hand",
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
    codes = {str(error["code"]) for error in batch.errors}
    message = refusal_in_words(batch)
    if codes & ACCOUNT_CODES:
        report_account_trouble(
            job.provider, f"{job.provider} refused a file: {message}"
        )
        _go_out_again(job, message, retry_time(job))
    elif codes & PASSING_CODES:
        _wait_for_load(job, message, is_queue_full=QUEUE_IS_FULL in codes)
    elif any(_lacks_file(error) for error in batch.errors):
        wait_for_file(job, message)
    else:
        refuse_job(
            job,
            code=_leading_code(batch),
            message=message or "The provider refused the batch without a reason.",
            bad_lines=_errors_by_line(batch),
        )


def _leading_code(batch: "RemoteBatch") -> str:
    """The code that condemns every line alike, where there is one; else the first."""
    codes = [str(error["code"] or "batch_failed") for error in batch.errors]
    job_wide = [code for code in codes if code in JOB_WIDE_CODES]
    return next(iter([*job_wide, *codes]), "batch_failed")


def lacks_file(err: ProviderError) -> bool:
    """Whether a create was refused because its file is not (or not yet) to be seen."""
    return err.is_not_found or FILE_UNSEEN in str(err).lower()


def _lacks_file(error: dict[str, Any]) -> bool:
    is_about_it = error["param"] in ("file_id", "input_file_id")
    return is_about_it or FILE_UNSEEN in str(error["message"]).lower()


def refusal_in_words(batch: "RemoteBatch") -> str:
    """What the provider says is wrong with a batch, in its own words.

    The first errors of many: `provider_answer` has all of them, as they came.
    """
    told = [_error_in_words(error) for error in batch.errors[:ERRORS_TOLD]]
    if len(batch.errors) > ERRORS_TOLD:
        told.append(f"and {len(batch.errors) - ERRORS_TOLD} more")
    return "; ".join(told)


def _error_in_words(error: dict[str, Any]) -> str:
    said = str(error["message"] or error["code"])
    return f"line {error['line']}: {said}" if error["line"] else said


def _go_out_again(
    job: BatchJob, message: str, at: datetime, *, file_id: str | None = None
) -> None:
    """Settle an attempt that was refused: only now may another create be sent.

    The file goes out again too, unless it was given up or `file_id` says otherwise.
    """
    if file_id is None:
        file_id = "" if job.file_doomed_at else job.input_file_id
    changes: dict[str, Any] = {
        "provider_batch_id": None,
        "create_sent_at": None,
        "file_doomed_at": None,
        "file_deleted_at": None,
        "input_file_id": file_id,
        "submission_number": job.submission_number + 1,
        "not_before": at,
        "waiting_reason": message[:500],
    }
    move_job(job, JobStatus.PENDING, reason=message, **changes)


def _wait_for_load(job: BatchJob, message: str, *, is_queue_full: bool) -> None:
    """A refusal for load: as soon as there is room where that can be known, else after
    waits that grow."""
    if is_queue_full and learn_refusal(job, message):
        _go_out_again(job, message, timezone.now())
        announce("submit")
        return
    if job.submission_number >= REFUSALS_TOLD:
        raise_alert(
            "refused_often",
            f"Job {job.pk} was refused {job.submission_number} times and goes on "
            f"trying: {message} Nothing else of this installation is queued there. "
            f"Either others fill the queue, or one request alone is above its limit "
            f"(this job has {job.items_total}, of {job.queued_tokens:,} tokens): then "
            "cancel the job, and ask the provider for a higher limit.",
            key=str(job.pk),
            job=job,
        )
    wait = growing_wait(job)
    _go_out_again(job, message, timezone.now() + jittered(wait.total_seconds()))


def wait_for_file(job: BatchJob, message: str) -> None:
    """The provider does not see the file that it took: ask again for the same one.

    Only after the last of the waits is it uploaded anew, and a person told of it. The
    job is in our hands, and its attempt is settled: refused at create, or failed at
    validation.
    """
    waits = FILE_WAITS_SECONDS
    if is_sandbox(job.provider):
        waits = SANDBOX_FILE_WAITS_SECONDS
    notes = Event.objects.filter(
        job=job, kind=EventKind.BATCH_NOTE, data__file=job.input_file_id
    )
    asked = notes.count()
    now = timezone.now()
    if job.file_doomed_at:  # we deleted it ourselves, so that this attempt had to fail
        _go_out_again(job, message, now)
        return
    if asked >= len(waits):
        raise_alert(
            "file_not_visible",
            f"The provider does not see files that it took, so the file of job {job.pk}"
            f" is uploaded anew: {message}",
            key=str(job.pk),
            job=job,
        )
        _go_out_again(job, message, now, file_id="")
        return
    with transaction.atomic():
        record_event(
            EventKind.BATCH_NOTE,
            now=now,
            job=job,
            message=f"{NOT_VISIBLE}; asking again in {waits[asked]} s",
            file=job.input_file_id,
        )
        until = now + timedelta(seconds=waits[asked])
        _go_out_again(job, f"{NOT_VISIBLE}: {message}", until)


def _errors_by_line(batch: "RemoteBatch") -> dict[int, list[dict[str, Any]]]:
    """{line: its errors} where every error names a line; else {}."""
    if not all(error["line"] for error in batch.errors):
        return {}
    by_line: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for error in batch.errors:
        by_line[int(error["line"])].append(error)
    return dict(by_line)
