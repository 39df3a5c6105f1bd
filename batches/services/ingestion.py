"""Ingest: both files of a batch that ended, applied once, in bounded memory.

A file is downloaded whole to disk, checked against the provider's length, and read in
chunks. What a chunk's answers mean is judged before its transaction; inside it the open
items of this job decide what is applied, and everything they give back is written in
one commit, with the checkpoint. The checkpoint only saves work: a chunk that comes
twice changes nothing.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import transaction
from django.db.models.expressions import RawSQL
from django.utils import timezone

from batches.errors import BatchError
from batches.models import (
    BatchItem,
    BatchJob,
    ItemAttempt,
    ItemRequest,
    OpenItem,
    StrayLine,
)
from batches.models.money import to_nanos
from batches.providers.errors import ProviderError
from batches.providers.pricing import Rate, batch_rate
from batches.providers.registry import get_provider, is_sandbox
from batches.providers.result_lines import NOT_EXECUTED, ResultLine, read_line
from batches.services.bulk import one_of
from batches.services.leases import Slice, renew, worked_on
from batches.services.lifecycle import update_job
from batches.services.outcomes import (
    OpenHere,
    Outcome,
    fail_with_bug,
    open_here,
    write_outcomes,
)
from batches.services.polling import retry_time
from batches.services.settlement import end_job, settle_unanswered
from batches.services.spool import job_dir, remove_parts
from batches.states import AttemptOutcome, FileKind, Intent, JobStatus, StrayKind
from batches.workloads import Answer, Workload, get_workload

log = logging.getLogger(__name__)

CHUNK_LINES = 5_000
CHUNK_BYTES = 4 * 1024 * 1024
# A file that lacks lines the provider counts is fetched anew this often before the
# missing ones are believed to be missing.
MAX_REREADS = 3
ENDINGS = {
    "completed": JobStatus.PROCESSED,
    "expired": JobStatus.EXPIRED,
    "cancelled": JobStatus.CANCELLED,
    "failed": JobStatus.FAILED,
}


@dataclass(frozen=True, slots=True)
class RawLine:
    number: int  # 1-based
    raw: bytes


@dataclass(frozen=True)
class Chunk:
    """Consecutive lines of one file, and where the next one begins."""

    file_id: str
    kind: FileKind
    lines: list[RawLine]
    end_offset: int
    end_line: int


def ingest_jobs(*, now: datetime) -> int:
    """Read the results of every job that has them; returns how many jobs ended.

    Raises the last trouble, such as a ProviderError where a file could not be had; that
    job waits.
    """
    ended = 0
    trouble: list[BatchError] = []
    for job in BatchJob.objects.ready_to_ingest(now):
        with worked_on(job, now=now, trouble=trouble) as is_ours:
            if not is_ours:
                continue
            try:
                ingest_job(job)
            except ProviderError as err:
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
    for file_id, kind in _files_to_read(job):
        path = _fetch(job, file_id)
        start = job.checkpoint_offset if job.checkpoint_file_id == file_id else 0
        line = job.checkpoint_line if start else 0
        for chunk in read_chunks(path, file_id, kind, offset=start, line=line):
            apply_chunk(job, workload, chunk)
            renew(job)
    if _lacks_lines(job):
        _read_again(job)
        return
    settle_unanswered(job)
    ending = ENDINGS.get(job.provider_status, JobStatus.PROCESSED)
    end_job(job, ending, reason="both files are read", now=timezone.now())


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
        checkpoint_offset=0,
        checkpoint_line=0,
        lines_read=0,
        times_reread=job.times_reread + 1,
        not_before=retry_time(job),
        waiting_reason="its files have fewer lines than the provider counts; "
        "downloading them again",
    )


def read_chunks(
    path: Path, file_id: str, kind: FileKind, *, offset: int, line: int
) -> Iterator[Chunk]:
    """Cut a file into chunks of 5,000 lines or 4 MB; blank lines are passed over.

    Reads bytes and cuts at newlines alone. An empty file is one chunk without lines, so
    that it too leaves a checkpoint.
    """
    with path.open("rb") as file:
        file.seek(offset)
        lines: list[RawLine] = []
        size = 0
        for raw in file:
            line += 1
            size += len(raw)
            if stripped := raw.strip():
                lines.append(RawLine(line, stripped))
            if len(lines) >= CHUNK_LINES or size >= CHUNK_BYTES:
                offset += size
                yield Chunk(file_id, kind, lines, offset, line)
                lines, size = [], 0
        yield Chunk(file_id, kind, lines, offset + size, line)


def apply_chunk(job: BatchJob, workload: Workload, chunk: Chunk) -> None:
    """Judge a chunk's answers, then write all that comes of them in one commit."""
    now = timezone.now()
    lines, strays = _first_of_each(chunk)
    items = _open_in(job, list(lines))
    strays += _explain_strays(
        job, chunk, {k: v for k, v in lines.items() if k not in items}
    )
    for stray in strays:
        stray.job = job
    outcomes = _judge(job, workload, chunk, lines, items, batch_rate(job.model, now))
    with transaction.atomic():
        # The first write of the transaction locks the job's row, or finds it lost.
        update_job(
            job,
            checkpoint_file_id=chunk.file_id,
            checkpoint_bytes=_file_bytes(job, chunk),
            checkpoint_offset=chunk.end_offset,
            checkpoint_line=chunk.end_line,
            lines_read=job.lines_read + len(chunk.lines),
        )
        write_outcomes(job, workload, outcomes, now=now)
        StrayLine.objects.bulk_create(strays, ignore_conflicts=True)


def _file_bytes(job: BatchJob, chunk: Chunk) -> int:
    return (job_dir(job) / f"{chunk.file_id}.result").stat().st_size


@dataclass(slots=True)
class Found:
    """A line that has an item's key, and its place."""

    line: RawLine
    read: ResultLine


def _first_of_each(chunk: Chunk) -> tuple[dict[int, Found], list[StrayLine]]:
    """Read lines: the first of each item, {item id: found}, and the strays."""
    found: dict[int, Found] = {}
    strays = []
    for line in chunk.lines:
        read = read_line(line.raw)
        key = _item_key(read.custom_id) if read else None
        if read is None:
            strays.append(_stray(chunk, line, StrayKind.MALFORMED))
        elif key is None:
            strays.append(_stray(chunk, line, StrayKind.UNKNOWN, read.custom_id))
        elif key in found:
            strays.append(_stray(chunk, line, StrayKind.REPEATED, read.custom_id))
        else:
            found[key] = Found(line, read)
    return found, strays


def _item_key(custom_id: str) -> int | None:
    """The item's key where a custom_id is one of ours: plain decimal text."""
    if custom_id.isascii() and custom_id.isdigit() and len(custom_id) <= 18:
        return int(custom_id)
    return None


def _stray(
    chunk: Chunk, line: RawLine, kind: StrayKind, custom_id: str = ""
) -> StrayLine:
    return StrayLine(
        file_id=chunk.file_id,
        line=line.number,
        kind=kind,
        custom_id=custom_id[:200],
        raw_line=_text(line.raw),
    )


def _text(raw: bytes) -> str:
    """Bytes as text that every database takes: PostgreSQL refuses NUL."""
    return raw.decode(errors="replace").replace("\0", "\ufffd")


def _open_in(job: BatchJob, item_ids: list[int]) -> dict[int, OpenHere]:
    """The items among these that are open in this job."""
    sql, param = one_of("item_id", item_ids)
    table = OpenItem._meta.db_table
    here = RawSQL(  # noqa: S611  # our own words; the keys are a parameter
        f"SELECT item_id FROM {table} WHERE job_id = %s AND {sql}",  # noqa: S608
        [job.pk, param],
    )
    return {
        item.item_id: item for item in open_here(BatchItem.objects.filter(pk__in=here))
    }


def _explain_strays(
    job: BatchJob, chunk: Chunk, closed: dict[int, Found]
) -> list[StrayLine]:
    """Record lines whose item is not open here, unless it was ended by that line."""
    tries = {
        item_id: (outcome, file_kind, line)
        for item_id, outcome, file_kind, line in ItemAttempt.objects.filter(
            job=job, item_id__in=list(closed)
        ).values_list("item_id", "outcome", "file_kind", "line")
    }
    strays = []
    for item_id, found in closed.items():
        attempt = tries.get(item_id)
        if attempt is None:
            kind = StrayKind.UNKNOWN
        elif attempt[1:] == (chunk.kind, found.line.number):
            continue  # read again, as after a crash or a second download
        elif attempt[0] == AttemptOutcome.RETURNED:
            kind = StrayKind.LATE
        else:
            kind = StrayKind.REPEATED
        strays.append(_stray(chunk, found.line, kind, found.read.custom_id))
    return strays


def _judge(
    job: BatchJob,
    workload: Workload,
    chunk: Chunk,
    lines: dict[int, Found],
    items: dict[int, OpenHere],
    rate: Rate,
) -> list[Outcome]:
    """What each line comes to; pure but for reading the requests that judging needs."""
    requests: dict[int, tuple[str, str]] = {}
    if workload.reads_request:
        requests = {
            key: (body, context)
            for key, body, context in ItemRequest.objects.filter(
                pk__in=list(items)
            ).values_list("item_id", "body", "context")
        }
    outcomes = {}
    answers = []
    for key, item in items.items():
        found = lines[key]
        outcomes[key] = _outcome(job, item, found, chunk.kind, rate)
        if not found.read.error_code:
            answers.append(_answer(job, item, found.read, *requests.get(key, ("", ""))))
    _add_verdicts(workload, answers, outcomes)
    for key, outcome in outcomes.items():
        if outcome.outcome != AttemptOutcome.APPLIED:
            outcome.raw_line = _text(lines[key].line.raw)
    return list(outcomes.values())


def _add_verdicts(
    workload: Workload, answers: Sequence[Answer], outcomes: dict[int, Outcome]
) -> None:
    """Judge all at once; where that raises, one by one, and the culprit fails alone."""
    if not answers:
        return
    try:
        verdicts = workload.judge(answers)
    except Exception as err:
        if len(answers) == 1:
            fail_with_bug(outcomes[answers[0].item_id], workload, err)
            return
        for answer in answers:
            _add_verdicts(workload, [answer], outcomes)
        return
    for verdict in verdicts:
        outcome = outcomes[verdict.answer.item_id]
        if verdict.error_code:
            outcome.outcome = AttemptOutcome.FAILED
            outcome.error_code = verdict.error_code
            outcome.error_message = verdict.error_message
            if verdict.error_code in {"invalid_json", "schema_mismatch"}:
                log.warning(
                    "[Batch API] Failed to parse %s result: item %d: %s",
                    workload.key.replace("_", " "),
                    outcome.item_id,
                    verdict.error_message,
                )
        else:
            outcome.verdict = verdict


def _outcome(
    job: BatchJob, item: OpenHere, found: Found, kind: FileKind, rate: Rate
) -> Outcome:
    read = found.read
    outcome = AttemptOutcome.APPLIED
    if read.error_code in NOT_EXECUTED:
        was_cancelled = job.intent == Intent.CANCEL
        outcome = AttemptOutcome.CANCELLED if was_cancelled else AttemptOutcome.RETURNED
    elif read.error_code:
        outcome = AttemptOutcome.FAILED
    cost = rate.cost_usd(
        input_tokens=read.input_tokens,
        cached_tokens=read.cached_tokens,
        output_tokens=read.output_tokens,
    )
    return Outcome(
        item_id=item.item_id,
        outcome=outcome,
        before=item,
        error_code=read.error_code,
        error_message=read.error_message,
        http_status=read.http_status,
        finish_reason=read.finish_reason[:32],
        input_tokens=read.input_tokens,
        cached_tokens=read.cached_tokens,
        output_tokens=read.output_tokens,
        cost_nanos=to_nanos(cost),
        price_version=rate.version,
        model_snapshot=read.model[:100],
        file_kind=kind,
        line=found.line.number,
        answer=(read.text or read.refusal).replace("\0", "\ufffd"),
    )


def _answer(
    job: BatchJob, item: OpenHere, read: ResultLine, body: str, context: str
) -> Answer:
    return Answer(
        item_id=item.item_id,
        content_type_id=item.content_type_id,
        object_id=item.object_id,
        target=item.target,
        provider=job.provider,
        model=job.model,
        is_sandbox=is_sandbox(job.provider),
        text=read.text,
        finish_reason=read.finish_reason,
        refusal=read.refusal,
        fingerprint=read.fingerprint,
        prompt_version_id=item.prompt_version_id,
        body=body,
        context=context,
    )
