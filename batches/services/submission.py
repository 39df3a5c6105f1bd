"""Submit: a job reaches the provider once, whatever dies on the way.

One commit of `create_sent_at` permits exactly one `batches.create`, by the process that
committed it. Whoever finds it set never sends: it waits until a late answer could have
shown itself, lists, and adopts what matches the job's number and file. If nothing does,
it dooms and deletes the file, so that a create still under way must fail, waits again
from the confirmed delete, lists again, and only then begins anew under the next number.
The order of these steps was checked by exhausting the states of two workers and a slow
provider; each step guards against a double payment that a simpler order allows.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from batches import config
from batches.errors import (
    BatchError,
    HeldBack,
    LostLease,
    MachineTrouble,
    ProviderRests,
    SliceEnded,
)
from batches.models import BatchJob, Hold
from batches.providers.errors import ProviderError
from batches.providers.registry import get_provider
from batches.services.account import (
    OurBatch,
    file_name,
    hold_for_unknown,
    look_back_to,
    metadata,
    our_batches,
)
from batches.services.alerts import raise_alert
from batches.services.breaker import calls_to
from batches.services.cutting import cut_job
from batches.services.events import record_event
from batches.services.holds import held_until, hold_on_job, report_refusal, take_probe
from batches.services.installation import NotTheOriginal, check_may_act
from batches.services.leases import Slice, worked_on
from batches.services.lifecycle import move_job, update_job
from batches.services.polling import (
    lacks_file,
    poll_time,
    retry_time,
    wait_for_file,
    wait_for_provider,
)
from batches.services.settlement import end_unsent, refuse_job
from batches.services.spool import write_input_file
from batches.services.token_queue import room_for
from batches.signals import announce
from batches.states import STOPPED, EventKind, Intent, JobStatus

if TYPE_CHECKING:
    from batches.providers.openai_batch import BatchProvider, RemoteBatch

log = logging.getLogger(__name__)

# Refusals at upload or create that wait for better times instead of ending the job.
PASSING = frozenset({401, 403, 429})
LOOKING = "the answer to its submission was lost; looking for it"
PAUSED = "a person to resume it: it was paused by hand"


def submit_jobs(*, now: datetime) -> int:
    """Take every job that is due a step further; returns how many reached the provider.

    While nothing may be made, jobs whose create got no answer are still looked for.
    Raises the last trouble, such as a ProviderError where a provider could not be
    reached, after all jobs were tried; the jobs wait.
    """
    sent = 0
    trouble: list[BatchError] = []
    due = BatchJob.objects.ready_to_submit(now)
    if not config.creation_enabled():
        due = due.filter(create_sent_at__isnull=False)
    for job in due:
        with worked_on(job, now=now, trouble=trouble) as is_ours:
            if not is_ours:
                continue
            try:
                with calls_to(job.provider, now=now):
                    submit_job(job)
            except ProviderRests as rest:
                wait_for_provider(job, rest)
                trouble.append(rest)
            except NotTheOriginal as err:
                trouble.append(err)  # a person has to say which it is
            except HeldBack as held:
                log.info("[Batch Worker] Job %d waits: %s", job.pk, held)
            except ProviderError as err:
                trouble.append(err)
            sent += job.status == JobStatus.VALIDATING
    if trouble:
        raise trouble[-1]
    return sent


def submit_job(job: BatchJob) -> None:
    """Take a job that we hold as far as it goes now.

    Raises ProviderError when the provider could not be reached or gave no clear answer;
    the job is put aside until a better hour. Raises HeldBack when it must not go out;
    it waits, and says for what.
    """
    try:
        check_may_act()
        _submit(job, get_provider(job.provider))
    except HeldBack as err:
        _wait(job, str(err), job.not_before)
        raise
    except ProviderError as err:
        report_refusal(job.provider, err)
        if job.status == JobStatus.UPLOADING:  # not put aside yet
            _wait(job, str(err), retry_time(job))
        raise


def _submit(job: BatchJob, provider: "BatchProvider") -> None:
    if job.create_sent_at is None:
        if _is_stopped(job) or _waits_under(job, hold_on_job(job)):
            return
        if _waits_for_room(job, provider):
            return
    elif _waits_to_look(job):
        return
    if job.status == JobStatus.PENDING:
        move_job(job, JobStatus.UPLOADING, waiting_reason="", not_before=None)
    if job.create_sent_at is not None and not _recover(job, provider):
        return
    _send(job, provider)


def _send(job: BatchJob, provider: "BatchProvider") -> None:
    if _is_unwanted(job) or _waits_under(job, hold_on_job(job)):
        return
    _check_switches()
    if not job.input_file_id and not _upload(job, provider):
        return
    # Before sending: is there a batch that this database forgot?
    if _adopt(job, provider) or _is_unwanted(job):
        return
    if not _waits_under(job, take_probe(job)):
        _create(job, provider)


def _is_unwanted(job: BatchJob) -> bool:
    """Whether somebody stopped the job meanwhile; if so, does what was asked for."""
    job.refresh_from_db(fields=["intent"])
    return _is_stopped(job)


def _is_stopped(job: BatchJob) -> bool:
    """Whether a person wants an unsent job not to go out; if so, sees to it."""
    if job.intent in STOPPED:
        end_unsent(job)
    elif job.intent == Intent.PAUSE:
        _wait(job, PAUSED, job.not_before)
    else:
        return False
    return True


def _check_switches() -> None:
    """Raises HeldBack while nothing may be made and sent."""
    if not config.creation_enabled():
        raise HeldBack(
            "Nothing is sent: BATCH_PROCESSING_ENABLED or BATCH_CREATION_ENABLED is "
            "off, or STAGING is on."
        )


def _upload(job: BatchJob, provider: "BatchProvider") -> bool:
    """Send the input file; False where the provider will not have it."""
    work = Slice(job, silence_seconds=provider.longest_silence_seconds)
    path = write_input_file(job, on_block=work.go_on)
    try:
        file_id = provider.upload(path, file_name(job), on_block=work.go_on)
    except ProviderError as err:
        if not err.is_definite:
            raise
        _take_refusal(job, err)
        return False
    except SliceEnded as end:
        raise MachineTrouble(
            f"{end} The upload of {path.stat().st_size:,} bytes began too late or went "
            "too slowly, and begins anew. If that repeats, run `manage.py "
            "process_batches`, which may take longer than a worker's task."
        ) from end
    try:
        update_job(job, input_file_id=file_id)
    except LostLease:
        provider.delete_file(file_id)  # ours alone: nobody else knows of it
        raise
    path.unlink(missing_ok=True)
    return True


def _create(job: BatchJob, provider: "BatchProvider") -> None:
    lease_seconds = config.get("LEASE_SECONDS")
    sent_at = timezone.now()
    with transaction.atomic():
        update_job(
            job,
            create_sent_at=sent_at,
            lease_until=sent_at + timedelta(seconds=lease_seconds),
        )
        _check_still_wanted(job)
    # Narrows the window in which two could be sending; the commit above is the proof.
    if timezone.now() > sent_at + timedelta(seconds=lease_seconds / 2):
        raise LostLease(f"Job {job.pk} was held up just before it was sent.")
    try:
        batch = provider.create(
            file_id=job.input_file_id, endpoint=job.endpoint, metadata=metadata(job)
        )
    except ProviderError as err:
        if not err.is_definite:
            _wait(job, f"{LOOKING} ({err})", _time_to_look())
            raise
        update_job(job, create_sent_at=None)
        _take_refusal(job, err)
        return
    _take_batch(job, batch, reason=f"created as {batch.id}")
    log.info("[Batch API] Submitted job %d as %s", job.pk, batch.id)


def _check_still_wanted(job: BatchJob) -> None:
    """Raises LostLease where a person stopped the job since we looked.

    We have its row locked: who comes to stop it later finds that it may have been sent.
    """
    wanted = BatchJob.objects.values_list("intent", flat=True).get(pk=job.pk)
    if wanted != job.intent:
        raise LostLease(f"Job {job.pk} was stopped just before it was sent.")


def _take_batch(
    job: BatchJob, batch: "RemoteBatch", *, reason: str, number: int | None = None
) -> None:
    now = timezone.now()
    move_job(
        job,
        JobStatus.VALIDATING,
        reason=reason,
        now=now,
        provider_batch_id=batch.id,
        provider_status=batch.status,
        provider_answer=batch.raw,
        create_sent_at=job.create_sent_at or now,
        input_file_id=batch.input_file_id or job.input_file_id,
        submission_number=max(job.submission_number, number or 0),
        next_poll_at=poll_time(job, now),
        not_before=None,
        waiting_reason="",
    )
    announce("poll")


def _waits_to_look(job: BatchJob) -> bool:
    """The first wait of whoever finds a create without an answer, from his claim on.

    A job that is still being sent was left by a process that died or was overtaken; one
    that waits has its time. This only makes it rare that a file has to be deleted.
    """
    if job.file_doomed_at is not None:
        return False
    if job.status == JobStatus.UPLOADING:
        _wait(job, LOOKING, _time_to_look())
        return True
    return job.not_before is not None and job.not_before > timezone.now()


def _time_to_look() -> datetime:
    seconds = config.get("PROVIDER_TIMEOUT_SECONDS")
    seconds += config.get("PROVIDER_VISIBILITY_SECONDS")
    return timezone.now() + timedelta(seconds=seconds)


def _recover(job: BatchJob, provider: "BatchProvider") -> bool:
    """A create was sent and its answer is not known: find out, without sending.

    Returns whether the job is free to be sent anew (under the next number).
    """
    if job.file_doomed_at is None:
        if _adopt(job, provider):
            return False
        update_job(job, file_doomed_at=timezone.now())
    if job.file_deleted_at is None:
        provider.delete_file(job.input_file_id)
        update_job(job, file_deleted_at=timezone.now())
    assert job.file_deleted_at is not None  # noqa: S101  # set above
    seconds = config.get("PROVIDER_DELETE_SECONDS")
    seconds += config.get("PROVIDER_VISIBILITY_SECONDS")
    until = job.file_deleted_at + timedelta(seconds=seconds)
    if timezone.now() < until:
        _wait(job, LOOKING, until)
        return False
    if _adopt(job, provider):
        return False
    record_event(
        EventKind.BATCH_NOTE,
        now=timezone.now(),
        job=job,
        message=f"submission {job.submission_number} never arrived; sending anew",
    )
    update_job(
        job,
        input_file_id="",
        create_sent_at=None,
        file_doomed_at=None,
        file_deleted_at=None,
        submission_number=job.submission_number + 1,
    )
    return True


def _adopt(job: BatchJob, provider: "BatchProvider") -> bool:
    """List what is ours, and take the batch that is this job's, if there is one.

    Batches of ours that no job knows hold all submission, this one included.
    """
    found = our_batches(provider, look_back_to(job, timezone.now()))
    hold_for_unknown(found, job.provider)
    return adopt_one_of(job, found)


def adopt_one_of(job: BatchJob, batches: Iterable[OurBatch]) -> bool:
    """Take the batch that settles this job's submission; we hold the job.

    That is the one of its number and file. Any other that is taken alerts: one of an
    older number, or of another file, that ran all the same; one of this or a later
    number that the database has forgotten, since it went back in time.
    """
    ours = [found for found in batches if settles(job, found)]
    if not ours:
        return False
    found = max(ours, key=lambda one: (one.batch.has_run, one.number))
    if job.status == JobStatus.PENDING:
        move_job(job, JobStatus.UPLOADING, waiting_reason="", not_before=None)
    batch = found.batch
    if _is_expected(job, found):
        reason = f"found as {batch.id}; its answer was lost"
    else:
        reason = f"adopted {batch.id} of submission {found.number}, not known here"
        raise_alert(
            "unexpected_batch",
            f"Job {job.pk} adopted batch {batch.id} of its submission {found.number}, "
            "which it did not know. Was an older state of the database restored? Its "
            "results are read; nothing needs to be done for this job.",
            key=batch.id,
            job=job,
        )
    _take_batch(job, batch, reason=reason, number=found.number)
    return True


def settles(job: BatchJob, found: OurBatch) -> bool:
    """Whether a batch is to be adopted by this job, which knows of none."""
    if found.token != job.token:
        return False
    is_forgotten = found.number > job.submission_number or (
        found.number == job.submission_number and job.create_sent_at is None
    )
    return is_forgotten or _is_expected(job, found) or found.batch.has_run


def _is_expected(job: BatchJob, found: OurBatch) -> bool:
    return (
        job.create_sent_at is not None
        and found.number == job.submission_number
        and found.batch.input_file_id == job.input_file_id
    )


def _take_refusal(job: BatchJob, err: ProviderError) -> None:
    """The provider said no in its own words: nothing was accepted or billed."""
    report_refusal(job.provider, err)
    if err.status in PASSING or err.is_account_trouble:
        _wait(job, str(err), retry_time(job))
    elif job.input_file_id and lacks_file(err):
        wait_for_file(job, str(err))
    else:
        refuse_job(job, code=err.error_code or f"http_{err.status}", message=str(err))


def _waits_under(job: BatchJob, hold: Hold | None) -> bool:
    """Put a job aside that a hold keeps back; False where there is none."""
    if hold is not None:
        _wait(job, held_until(hold), job.not_before)
    return hold is not None


def _waits_for_room(job: BatchJob, provider: "BatchProvider") -> bool:
    """Put a job aside that the provider's queue has no room for.

    One that is too large for the room there is gives back what does not fit. Nothing
    leaves a job before it is certain that no batch of it runs that this database
    forgot: what left it would be paid again.
    """
    room = room_for(job)
    if room.cut_to is not None:
        if _adopt(job, provider) or _waits_under(job, hold_on_job(job)):
            return True
        why = room.reason or f"the queue takes {room.cut_to:,} input tokens"
        cut_job(job, room.cut_to, reason=why, at_least_one=not room.reason)
        room = room_for(job)
    if room.reason:
        _wait(job, room.reason, None)
    return bool(room.reason)


def _wait(job: BatchJob, reason: str, until: datetime | None) -> None:
    """Put a job aside until a better hour; nothing is used up."""
    reason = reason[:500]
    if job.status == JobStatus.UPLOADING:
        move_job(
            job,
            JobStatus.PENDING,
            reason=reason,
            not_before=until,
            waiting_reason=reason,
        )
    elif (job.not_before, job.waiting_reason) != (until, reason):
        update_job(job, not_before=until, waiting_reason=reason)
