"""Ingest: both files of a batch that ended, applied once, in bounded memory.

A file is downloaded whole to disk, checked against the provider's length, and read in
chunks. What a chunk's answers mean is judged before its transaction; inside it the open
items of this job decide what is applied, and everything they give back is written in
one commit, with the checkpoint. The checkpoint only saves work: a chunk that comes
twice changes nothing.
"""

import gc
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from batches.errors import BatchError, ProviderRests
from batches.models import BatchJob, ItemAttempt, ItemRequest, OpenItem, StrayLine
from batches.providers.errors import ProviderError
from batches.providers.pricing import Rate
from batches.providers.registry import get_provider, is_sandbox
from batches.providers.result_lines import ResultLine
from batches.services.attempts import APPLIED, Outcome
from batches.services.breaker import calls_to
from batches.services.bulk import in_keys
from batches.services.failures import Failure, classify
from batches.services.holds import report_account_trouble, report_refusal
from batches.services.leases import Slice, lease_end, renew, worked_on
from batches.services.lifecycle import update_job
from batches.services.outcomes import fail_with_bug, write_outcomes
from batches.services.polling import retry_time, wait_for_provider
from batches.services.prices import settling_rate
from batches.services.result_files import (
    Chunk,
    first_of_each,
    read_chunks,
    stray,
)
from batches.services.settlement import end_job, settle_unanswered
from batches.services.spool import job_dir, remove_parts
from batches.services.workload_calls import judge_answers
from batches.states import AttemptOutcome, FileKind, Intent, JobStatus, StrayKind
from batches.workloads import Answer, Workload, get_workload

log = logging.getLogger(__name__)

# A file that lacks lines the provider counts is fetched anew this often before the
# missing ones are believed to be missing.
MAX_REREADS = 3
GARBAGE_THRESHOLD = 50_000
# Requests are several times as long as their answers: few are in memory at a time.
JUDGED_AT_ONCE = 1_000
ENDINGS = {
    "completed": JobStatus.PROCESSED,
    "expired": JobStatus.EXPIRED,
    "cancelled": JobStatus.CANCELLED,
    "failed": JobStatus.FAILED,
}


def ingest_jobs(*, now: datetime) -> int:
    """Read the results of every job that has them; returns how many jobs ended.

    One whose file cannot be had, or whose workload is not installed, says so and waits;
    the last such trouble is raised when all were tried.
    """
    ended = 0
    trouble: list[BatchError] = []
    for job in BatchJob.objects.ready_to_ingest(now):
        with worked_on(job, now=now, trouble=trouble) as is_ours:
            if not is_ours:
                continue
            try:
                with calls_to(job.provider, now=now):
                    ingest_job(job)
            except ProviderRests as rest:
                wait_for_provider(job, rest)
                trouble.append(rest)
            except ProviderError as err:
                report_refusal(job.provider, err)
                log.warning("[Batch Worker] Error reading job %d: %s", job.pk, err)
                update_job(
                    job, not_before=retry_time(job), waiting_reason=str(err)[:500]
                )
                trouble.append(err)
            ended += job.finished_at is not None
    if trouble:
        raise trouble[-1]
    return ended


def ingest_job(job: BatchJob) -> None:
    """Apply all results of a job that we hold, settle what has none, and end it."""
    workload = get_workload(job.workload)
    looks_first = _was_read_before(job)
    work = Slice(job)
    for file_id, kind in _files_to_read(job):
        path = _fetch(job, file_id)
        start = job.checkpoint_line if job.checkpoint_file_id == file_id else 0
        for chunk in read_chunks(path, file_id, kind, start=start):
            with rare_garbage():
                apply_chunk(job, workload, chunk, looks_first=looks_first)
            work.go_on()
    if _lacks_lines(job):
        _read_again(job)
        return
    settle_unanswered(job)
    ending = ENDINGS.get(job.provider_status, JobStatus.PROCESSED)
    end_job(job, ending, reason="both files are read", now=timezone.now())


@contextmanager
def rare_garbage() -> Iterator[None]:
    """Have Python look for garbage more rarely while the block runs.

    A chunk makes thousands of objects that live until it is written, and hardly a
    cycle: looking through them again and again would find nothing.
    """
    before = gc.get_threshold()
    gc.set_threshold(GARBAGE_THRESHOLD, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _was_read_before(job: BatchJob) -> bool:
    """Whether lines are to come that were applied before: then it pays to look first.

    Each line read settled one item, unless files are read anew, or hold odd lines.
    """
    left = OpenItem.objects.filter(job=job).count()
    return job.lines_read != job.items_total - left


def _files_to_read(job: BatchJob) -> list[tuple[str, FileKind]]:
    """Both files, output first, from the one that the checkpoint stands in."""
    files = [
        (file_id, kind)
        for file_id, kind in (
            (job.output_file_id, FileKind.OUTPUT),
            (job.error_file_id, FileKind.ERROR),
        )
        if file_id
    ]
    ids = [file_id for file_id, _ in files]
    return (
        files[ids.index(job.checkpoint_file_id) :]
        if job.checkpoint_file_id in ids
        else files
    )


def _fetch(job: BatchJob, file_id: str) -> Path:
    """The file on this machine's disk, downloaded unless it is there whole."""
    path = job_dir(job) / f"{file_id}.result"
    expected = job.checkpoint_bytes if job.checkpoint_file_id == file_id else None
    if not path.exists() or (expected is not None and path.stat().st_size != expected):
        provider = get_provider(job.provider)
        work = Slice(job, silence_seconds=provider.longest_silence_seconds)
        remove_parts(job)
        provider.download(file_id, path, on_block=work.go_on)
        renew(job)
    return path


def _lacks_lines(job: BatchJob) -> bool:
    counted = job.provider_completed + job.provider_failed
    return job.lines_read < counted and job.times_reread < MAX_REREADS


def _read_again(job: BatchJob) -> None:
    for path in job_dir(job).glob("*.result"):
        path.unlink()
    update_job(
        job,
        checkpoint_file_id="",
        checkpoint_bytes=None,
        checkpoint_line=0,
        lines_read=0,
        times_reread=job.times_reread + 1,
        not_before=retry_time(job),
        waiting_reason="its files have fewer lines than the provider counts; "
        "downloading them again",
    )


def apply_chunk(
    job: BatchJob, workload: Workload, chunk: Chunk, *, looks_first: bool
) -> None:
    """Judge a chunk's answers, then write all that comes of them in one commit.

    With `looks_first` only lines whose item is still open here are judged: judging is
    dear, and all else was applied before.
    """
    now = timezone.now()
    found, strays = first_of_each(chunk)
    fresh = found
    if looks_first:
        here = in_keys(OpenItem.objects.filter(job=job), "item_id", found)
        open_ids = set(here.values_list("item_id", flat=True))
        fresh = {key: line for key, line in found.items() if key in open_ids}
    outcomes = _judge(job, workload, chunk, fresh, settling_rate(job, now))
    with transaction.atomic():
        # The first write of the transaction locks the job's row, or finds it lost.
        update_job(
            job,
            checkpoint_file_id=chunk.file_id,
            checkpoint_bytes=_file_bytes(job, chunk),
            checkpoint_line=chunk.end,
            lines_read=job.lines_read + len(chunk.numbers),
            lease_until=lease_end(now),
        )
        written = write_outcomes(job, workload, outcomes, now=now)
        strays += _explain_strays(job, chunk, found, found.keys() - written)
        for stray_line in strays:
            stray_line.job = job
        StrayLine.objects.bulk_create(strays, ignore_conflicts=True)
    _report_account_trouble(job, outcomes)


def _file_bytes(job: BatchJob, chunk: Chunk) -> int:
    return (job_dir(job) / f"{chunk.file_id}.result").stat().st_size


def _explain_strays(
    job: BatchJob, chunk: Chunk, found: dict[int, ResultLine], closed: Collection[int]
) -> list[StrayLine]:
    """Record lines whose item is not open here, unless it was ended by that line."""
    if not closed:
        return []
    tried = in_keys(ItemAttempt.objects.filter(job=job), "item_id", closed)
    tries = {
        item_id: (outcome, file_kind, line)
        for item_id, outcome, file_kind, line in tried.values_list(
            "item_id", "outcome", "file_kind", "line"
        )
    }
    strays = []
    for item_id in closed:
        line = found[item_id]
        attempt = tries.get(item_id)
        if attempt is None:
            kind = StrayKind.UNKNOWN
        elif attempt[1:] == (chunk.kind, line.number):
            continue  # read again, as after a crash or a second download
        elif attempt[0] == AttemptOutcome.RETURNED:
            kind = StrayKind.LATE
        else:
            kind = StrayKind.REPEATED
        strays.append(stray(chunk, line.number or 0, kind, line.custom_id))
    return strays


def _judge(
    job: BatchJob,
    workload: Workload,
    chunk: Chunk,
    lines: dict[int, ResultLine],
    rate: Rate,
) -> list[Outcome]:
    """What each line comes to; pure but for reading the requests that judging needs."""
    outcomes: dict[int, Outcome] = {}
    answered: list[Outcome] = []
    kind, version, price = chunk.kind, rate.version, rate.nanos
    for item_id, read in lines.items():
        outcomes[item_id] = outcome = Outcome(
            item_id,
            APPLIED,
            None,
            "",
            "",
            read,
            price(
                read.input_tokens,
                read.cached_tokens,
                read.output_tokens,
                read.written_tokens,
            ),
            version,
            kind,
        )
        if read.error_code:
            _fail(job, outcome, read.error_code, read.error_message)
        else:
            answered.append(outcome)
    for start in range(0, len(answered), JUDGED_AT_ONCE):
        answers = _answers(job, workload, answered[start : start + JUDGED_AT_ONCE])
        _add_verdicts(job, workload, answers, outcomes)
        for answer in answers:
            answer.body = ""  # by far the most of what is in memory
    for outcome in outcomes.values():
        if outcome.outcome is not APPLIED and outcome.read.number:
            outcome.raw_line = chunk.raw(outcome.read.number)
    return list(outcomes.values())


def _answers(
    job: BatchJob, workload: Workload, answered: Sequence[Outcome]
) -> list[Answer]:
    """What there is to judge, with the requests where the workload reads them."""
    keys = [outcome.item_id for outcome in answered]
    requests = _requests(workload, keys) if workload.reads_request else {}
    provider, model, pretended = job.provider, job.model, is_sandbox(job.provider)
    unread = ("", "")
    answers = []
    for outcome in answered:
        item_id, read = outcome.item_id, outcome.read
        body, context = requests.get(item_id, unread)
        answers.append(
            Answer(
                item_id,
                provider,
                model,
                pretended,
                read.text,
                read.finish_reason,
                read.refusal,
                read.fingerprint,
                body,
                context,
            )
        )
    return answers


def _requests(
    workload: Workload, item_ids: Collection[int]
) -> dict[int, tuple[str, str]]:
    """Body and context of requests, by item; bodies only where judging needs them."""
    # The bounds have neighbours read as such, and not looked for one by one.
    rows = ItemRequest.objects.filter(
        item_id__gte=min(item_ids), item_id__lte=max(item_ids)
    )
    rows = in_keys(rows, "item_id", item_ids)
    if workload.judges_by_context:
        contexts = rows.values_list("item_id", "context")
        return {item_id: ("", context) for item_id, context in contexts}
    return {
        item_id: (body, context)
        for item_id, body, context in rows.values_list("item_id", "body", "context")
    }


def _fail(job: BatchJob, outcome: Outcome, code: str, message: str) -> None:
    """Say of a line that it failed; what comes of its item is settled when written."""
    read = outcome.read
    outcome.error_code, outcome.error_message = code, message
    outcome.failure = classify(
        code, http_status=read.http_status, finish_reason=read.finish_reason
    )
    outcome.outcome = AttemptOutcome.FAILED
    if outcome.failure is Failure.NOT_EXECUTED and job.intent == Intent.CANCEL:
        outcome.outcome, outcome.failure = AttemptOutcome.CANCELLED, None


def _add_verdicts(
    job: BatchJob,
    workload: Workload,
    answers: Sequence[Answer],
    outcomes: dict[int, Outcome],
) -> None:
    found = judge_answers(workload, answers)
    for item_id, err in found.bugs.items():
        fail_with_bug(outcomes[item_id], workload, err)
    for verdict in found.verdicts:
        outcome = outcomes[verdict.answer.item_id]
        outcome.verdict = verdict
        if not verdict.error_code:
            continue
        _fail(job, outcome, verdict.error_code, verdict.error_message)
        if verdict.error_code in {"invalid_json", "schema_mismatch"}:
            log.warning(
                "[Batch API] Failed to parse %s result: item %d: %s",
                workload.key.replace("_", " "),
                outcome.item_id,
                verdict.error_message,
            )


def _report_account_trouble(job: BatchJob, outcomes: Sequence[Outcome]) -> None:
    """Hold the provider where lines say that the account is to blame."""
    for outcome in outcomes:
        if outcome.failure is Failure.ACCOUNT:
            report_account_trouble(
                job.provider,
                f"Lines of job {job.pk} were refused as {outcome.error_code}: "
                f"{outcome.error_message}",
            )
            return
