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

from django.utils import timezone

from batches import config
from batches.errors import BatchError, LostLease, MachineTrouble, SliceEnded
from batches.models import BatchJob
from batches.providers.errors import ProviderError
from batches.providers.registry import get_provider
from batches.services.events import record_event
from batches.services.installation import installation_id
from batches.services.leases import Slice, worked_on
from batches.services.lifecycle import move_job, update_job
from batches.services.polling import poll_time, retry_time
from batches.services.settlement import cancel_unsent, refuse_job
from batches.services.spool import write_input_file
from batches.signals import announce
from batches.states import EventKind, Intent, JobStatus

if TYPE_CHECKING:
    from batches.providers.openai_batch import BatchProvider, RemoteBatch

log = logging.getLogger(__name__)

# Clocks differ: how far before a job's making its batches are looked for.
LIST_MARGIN = timedelta(minutes=10)
# Refusals at upload or create that wait for better times instead of ending the job.
PASSING = frozenset({401, 403, 429})


def submit_jobs(*, now: datetime) -> int:
    """Take every job that is due a step further; returns how many reached the provider.

    Raises the last trouble, such as a ProviderError where a provider could not be
    reached, after all jobs were tried; the jobs wait.
    """
    sent = 0
    trouble: list[BatchError] = []
    for job in BatchJob.objects.ready_to_submit(now):
        with worked_on(job, now=now, trouble=trouble) as is_ours:
            if not is_ours:
                continue
            try:
                submit_job(job)
            except ProviderError as err:
                trouble.append(err)
            sent += job.status == JobStatus.VALIDATING
    if trouble:
        raise trouble[-1]
    return sent


def submit_job(job: BatchJob) -> None:
    """Take a job that we hold as far as it goes now.

    Raises ProviderError when the provider could not be reached or gave no clear answer;
    the job is put aside until a better hour.
    """
    try:
        _submit(job, get_provider(job.provider))
    except ProviderError as err:
        _wait(job, str(err), retry_time(job))
        raise


def _submit(job: BatchJob, provider: "BatchProvider") -> None:
    if job.create_sent_at is None and job.intent == Intent.CANCEL:
        cancel_unsent(job)
        return
    if job.status == JobStatus.PENDING:
        move_job(job, JobStatus.UPLOADING, waiting_reason="", not_before=None)
    if job.create_sent_at is not None and not _recover(job, provider):
        return
    if job.intent == Intent.CANCEL:
        cancel_unsent(job)
        return
    try:
        if not job.input_file_id:
            _upload(job, provider)
        if not _adopt_unexpected(job, provider):
            _create(job, provider)
    except ProviderError as err:
        if not err.is_definite:
            raise
        _take_refusal(job, err)


def _upload(job: BatchJob, provider: "BatchProvider") -> None:
    work = Slice(job, silence_seconds=provider.longest_silence_seconds)
    path = write_input_file(job, on_block=work.go_on)
    try:
        file_id = provider.upload(path, _file_name(job), on_block=work.go_on)
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


def _create(job: BatchJob, provider: "BatchProvider") -> None:
    lease_seconds = config.get("LEASE_SECONDS")
    sent_at = timezone.now()
    update_job(
        job,
        create_sent_at=sent_at,
        lease_until=sent_at + timedelta(seconds=lease_seconds),
    )
    # Narrows the window in which two could be sending; the commit above is the proof.
    if timezone.now() > sent_at + timedelta(seconds=lease_seconds / 2):
        raise LostLease(f"Job {job.pk} was held up just before it was sent.")
    try:
        batch = provider.create(
            file_id=job.input_file_id, endpoint=job.endpoint, metadata=_metadata(job)
        )
    except ProviderError as err:
        if err.is_definite:
            update_job(job, create_sent_at=None)
        raise
    _take_batch(job, batch, reason=f"created as {batch.id}")
    log.info("[Batch API] Submitted job %d as %s", job.pk, batch.id)


def _take_batch(job: BatchJob, batch: "RemoteBatch", *, reason: str) -> None:
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
        next_poll_at=poll_time(job, now),
        not_before=None,
        waiting_reason="",
    )
    announce("poll")


def _adopt_unexpected(job: BatchJob, provider: "BatchProvider") -> bool:
    """Before sending: is there a batch of ours that this database forgot?

    That happens when the database went back in time (a restored backup).
    """
    for batch in _ours(job, provider):
        number = int(batch.metadata["number"])
        if number >= job.submission_number or batch.has_run:
            _alert(job, f"adopted {batch.id}, which this database did not know")
            _take_batch(job, batch, reason=f"adopted {batch.id}, sent before")
            return True
    return False


def _recover(job: BatchJob, provider: "BatchProvider") -> bool:
    """A create was sent and its answer is not known: find out, without sending.

    Returns whether the job is free to be sent anew (under the next number).
    """
    visible = timedelta(seconds=config.get("PROVIDER_VISIBILITY_SECONDS"))
    if job.file_doomed_at is None:
        assert job.create_sent_at is not None  # noqa: S101  # the caller's question
        timeout = timedelta(seconds=config.get("PROVIDER_TIMEOUT_SECONDS"))
        if _must_wait(job, job.create_sent_at + timeout + visible):
            return False
        if _adopt_expected(job, provider):
            return False
        update_job(job, file_doomed_at=timezone.now())
    if job.file_deleted_at is None:
        provider.delete_file(job.input_file_id)
        update_job(job, file_deleted_at=timezone.now())
    assert job.file_deleted_at is not None  # noqa: S101  # set above
    deletion = timedelta(seconds=config.get("PROVIDER_DELETE_SECONDS"))
    if _must_wait(job, job.file_deleted_at + deletion + visible):
        return False
    if _adopt_expected(job, provider):
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


def _adopt_expected(job: BatchJob, provider: "BatchProvider") -> bool:
    """Adopt the batch of this very submission, or an older one that ran after all."""
    for batch in _ours(job, provider):
        number = int(batch.metadata["number"])
        is_current = (
            number == job.submission_number and batch.input_file_id == job.input_file_id
        )
        if is_current or batch.has_run:
            if not is_current:
                _alert(
                    job, f"adopted {batch.id}, an older submission that ran after all"
                )
            _take_batch(job, batch, reason=f"found as {batch.id}; its answer was lost")
            return True
    return False


def _ours(job: BatchJob, provider: "BatchProvider") -> Iterable["RemoteBatch"]:
    """Batches of the account that carry this installation's id and this job's token."""
    since = int((job.created_at - LIST_MARGIN).timestamp())
    mark = _metadata(job)
    for batch in provider.batches_since(since):
        if all(
            batch.metadata.get(key) == mark[key] for key in ("installation", "token")
        ):
            yield batch


def _take_refusal(job: BatchJob, err: ProviderError) -> None:
    """The provider said no in its own words: nothing was accepted or billed."""
    if err.status in PASSING or err.is_account_trouble:
        _wait(job, str(err), retry_time(job))
    elif err.is_not_found and job.input_file_id:
        # A file may be invisible for a while after its upload: ask again for the same.
        _wait(job, str(err), retry_time(job))
    else:
        refuse_job(job, code=err.error_code or f"http_{err.status}", message=str(err))


def _must_wait(job: BatchJob, until: datetime) -> bool:
    if timezone.now() >= until:
        return False
    update_job(
        job,
        not_before=until,
        waiting_reason="the answer to its submission was lost; looking for it",
    )
    return True


def _wait(job: BatchJob, reason: str, until: datetime) -> None:
    """Put a job aside until a better hour; nothing is used up."""
    if job.status == JobStatus.UPLOADING:
        move_job(
            job,
            JobStatus.PENDING,
            reason=reason,
            not_before=until,
            waiting_reason=reason[:500],
        )
    else:
        update_job(job, not_before=until, waiting_reason=reason[:500])


def _alert(job: BatchJob, message: str) -> None:
    log.warning("[Batch API] Job %d: %s", job.pk, message)
    record_event(EventKind.BATCH_NOTE, now=timezone.now(), job=job, message=message)


def _metadata(job: BatchJob) -> dict[str, str]:
    return {
        "installation": installation_id(),
        "token": job.token,
        "number": str(job.submission_number),
    }


def _file_name(job: BatchJob) -> str:
    return f"{installation_id()}-{job.token}-{job.submission_number}.jsonl"
