"""What must hold at any moment, whatever happened before: checked on rows and books.

The books are the sandbox's own storage, read from its files: what the provider accepted
and billed, told without HTTP, so that no fault of the sandbox touches the witness.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import orjson

from batches.models import (
    BatchItem,
    BatchJob,
    Event,
    Installation,
    ItemAttempt,
    JobShare,
    OpenItem,
    Run,
    StrayLine,
)
from batches.services.lifecycle import run_figures
from batches.services.recount import recount
from batches.states import (
    ITEM_FINAL,
    ITEM_TRANSITIONS,
    JOB_FINAL,
    JOB_TRANSITIONS,
    AttemptOutcome,
    EventKind,
    FileKind,
    ItemStatus,
    JobStatus,
    RunStatus,
    run_status,
)
from tests.gallery.models import Caption
from tests.sandbox.fixtures import FINAL, SandboxProcess

# After these nothing of an item goes out again.
ENDED_THERE = (AttemptOutcome.APPLIED, AttemptOutcome.CANCELLED)
UNDER_WAY = {RunStatus.PENDING, RunStatus.PROCESSING}


@dataclass(frozen=True)
class BilledLine:
    """A request that the provider executed; only those answered with 200 cost money."""

    custom_id: str
    http_status: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class AcceptedBatch:
    """A batch in the provider's books, with the marks that the engine put on it."""

    id: str
    status: str
    token: str
    has_begun: bool
    files: dict[FileKind, str]
    lines: list[BilledLine]

    @property
    def is_final(self) -> bool:
        return self.status in FINAL


class Books:
    """The provider's books for one installation, and its result files.

    A result file is kept from when it is first seen: the engine may have it deleted.
    """

    def __init__(self, sandbox: SandboxProcess) -> None:
        self.directory = sandbox.directory
        self._files: dict[str, list[bytes]] = {}

    def batches(self, installation: str) -> list[AcceptedBatch]:
        """The batches of an installation, oldest first."""
        address = f"file:{self.directory / 'sandbox.sqlite3'}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            rows = connection.execute(
                "SELECT seq, id, status, document FROM batches"
                " WHERE document ->> '$.metadata.installation' = ? ORDER BY seq",
                [installation],
            ).fetchall()
            found = [
                self._batch(key, status, orjson.loads(document), _lines(connection, n))
                for n, key, status, document in rows
            ]
        for batch in found:
            for file_id in batch.files.values():
                self.file_lines(file_id)
        return found

    def _batch(
        self, key: str, status: str, document: dict[str, Any], lines: list[BilledLine]
    ) -> AcceptedBatch:
        files = {
            FileKind.OUTPUT: document["output_file_id"],
            FileKind.ERROR: document["error_file_id"],
        }
        return AcceptedBatch(
            id=key,
            status=status,
            token=document["metadata"]["token"],
            has_begun=document["in_progress_at"] is not None,
            files={kind: file_id for kind, file_id in files.items() if file_id},
            lines=lines,
        )

    def file_lines(self, file_id: str) -> list[bytes]:
        """A result file's lines, cut at the byte 10 alone."""
        if file_id not in self._files:
            path = self.directory / "files" / file_id
            self._files[file_id] = path.read_bytes().split(b"\n")
        return self._files[file_id]


def _lines(connection: sqlite3.Connection, batch: int) -> list[BilledLine]:
    rows = connection.execute(
        "SELECT custom_id, status, input_tokens, cached_tokens, output_tokens"
        " FROM lines WHERE batch = ? ORDER BY line",
        [batch],
    )
    return [BilledLine(*row) for row in rows]


class Witness:
    """Looks at every row after every step, and remembers how it was before."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.jobs: dict[int, JobStatus] = {}
        self.items: dict[int, ItemStatus] = {}
        self.held: dict[int, str] = {}  # run: why nothing of it may go out
        self.last_event = 0
        self.settled: set[int] = set()  # final jobs whose files were compared

    def look(self) -> None:
        """Check everything; the rows must be at rest meanwhile."""
        assert recount(repair=False) == []
        self._figures_of_runs_add_up()
        self._held_runs_sent_nothing()
        self._jobs_moved_along_arrows()
        self._items_moved_along_arrows()
        check_results()
        installation = Installation.objects.first()
        if installation is not None:
            batches = self.books.batches(installation.public_id.hex)
            check_bills(batches)
            self._nothing_is_lost(batches)

    def _figures_of_runs_add_up(self) -> None:
        counted: defaultdict[int, Counter[str]] = defaultdict(Counter)
        for run_id, status in BatchItem.objects.values_list("run_id", "status"):
            counted[run_id][status] += 1
        busy = set(
            JobShare.objects.filter(job__finished_at__isnull=True).values_list(
                "run_id", flat=True
            )
        )
        for run in Run.objects.all():
            figures, here = run_figures(run), counted[run.pk]
            ended = [here[ItemStatus(status)] for status in ITEM_FINAL]
            assert figures.items == here.total(), run
            assert figures.open == here.total() - sum(ended), run
            assert (figures.complete, figures.failed, figures.cancelled) == (
                here[ItemStatus.COMPLETE],
                here[ItemStatus.FAILED],
                here[ItemStatus.CANCELLED],
            ), run
            # While a job is read its run's status waits for that job's end.
            if run.pk not in busy:
                stored, right = RunStatus(run.status), _status_of(run)
                # Whoever died after making a job left its start to be told by its end.
                assert stored == right or {stored, right} <= UNDER_WAY, (run, right)

    def _jobs_moved_along_arrows(self) -> None:
        moves = Event.objects.filter(
            kind=EventKind.BATCH_MOVED, pk__gt=self.last_event
        ).order_by("pk")
        for event in moves:
            start, to = JobStatus(event.data["start"]), JobStatus(event.data["to"])
            seen = self.jobs.get(event.job_id, JobStatus.PENDING)
            assert start == seen, f"{event.job} was {seen}, and moved from {start}"
            assert to in JOB_TRANSITIONS[start], f"{event.job}: {start} to {to}"
            self.jobs[event.job_id] = to
            self.last_event = event.pk
        for job in BatchJob.objects.all():
            seen = self.jobs.setdefault(job.pk, JobStatus.PENDING)
            assert job.status == seen, f"{job} is {job.status}; its events say {seen}"

    def _items_moved_along_arrows(self) -> None:
        for key, status in BatchItem.objects.values_list("pk", "status"):
            before = self.items.get(key)
            if before is not None:
                assert status in REACHABLE[before], f"item {key}: {before}, {status}"
            self.items[key] = ItemStatus(status)

    def _held_runs_sent_nothing(self) -> None:
        """No job that is new since the last look has items of a run held all along."""
        for share in JobShare.objects.select_related("run", "job"):
            why = self.held.get(share.run_id)
            if share.job_id not in self.jobs and why and why == _why_held(share.run):
                raise AssertionError(f"{share.job} sends items of {share.run}: {why}")
        self.held = {
            run.pk: why for run in Run.objects.all() if (why := _why_held(run))
        }

    def _nothing_is_lost(self, batches: list[AcceptedBatch]) -> None:
        """Every line of every file of a job that ended is an attempt or a stray."""
        jobs = {job.token: job for job in BatchJob.objects.all()}
        for batch in batches:
            assert batch.token in jobs, f"{batch.id} was accepted; no job knows it"
            job = jobs[batch.token]
            if job.status not in JOB_FINAL:
                continue
            if not batch.has_begun:
                continue  # refused before anything ran
            assert job.provider_batch_id == batch.id, (
                f"{batch.id} ran, but {job} ended with {job.provider_batch_id}"
            )
            if job.pk in self.settled:
                continue
            assert batch.is_final, f"{job} ended before its batch"
            check_lines(job, batch, self.books)
            self.settled.add(job.pk)
        for share in JobShare.objects.filter(job__status__in=JOB_FINAL):
            assert share.in_flight == 0, f"{share} is final, with items in flight"


def _status_of(run: Run) -> RunStatus:
    items = Counter(run.items.values_list("status", flat=True))
    return run_status(
        is_collected=run.collected_at is not None,
        is_cancelled=run.cancelled_at is not None,
        items=items.total(),
        open_=items.total() - sum(items[ItemStatus(s)] for s in ITEM_FINAL),
        complete=items[ItemStatus.COMPLETE],
        sent=sum(run.shares.values_list("sent", flat=True)),
    )


def _why_held(run: Run) -> str:
    """Why nothing of a run may get into a new job; empty where it may.

    Retrying failed items of a cancelled run takes it up again.
    """
    if run.paused_at:
        return f"paused at {run.paused_at}"
    if run.cancelled_at:
        return f"cancelled at {run.cancelled_at}"
    return ""


def _reachable(
    arrows: Mapping[ItemStatus, Iterable[ItemStatus]],
) -> dict[ItemStatus, set[ItemStatus]]:
    """What each status can come to, in any number of moves; itself included."""
    found = {status: {status, *arrows[status]} for status in arrows}
    for _ in found:
        for reached in found.values():
            reached |= {further for status in reached for further in found[status]}
    return found


REACHABLE = _reachable(ITEM_TRANSITIONS)


def check_results() -> None:
    """Each applied answer has one result, and no other item has any."""
    applied = Counter(
        ItemAttempt.objects.filter(
            outcome__in=(AttemptOutcome.APPLIED, AttemptOutcome.REUSED)
        ).values_list("item_id", flat=True)
    )
    assert not [key for key, count in applied.items() if count > 1]
    results = Counter(Caption.objects.values_list("item_id", flat=True))
    assert results == applied
    complete = BatchItem.objects.filter(status=ItemStatus.COMPLETE)
    assert set(applied) <= set(complete.values_list("pk", flat=True))
    final = BatchItem.objects.filter(status__in=ITEM_FINAL)
    assert not OpenItem.objects.filter(item__in=final)


def check_bills(batches: list[AcceptedBatch]) -> None:
    """No request was executed twice in a batch, nor in two unless the first failed."""
    billed: defaultdict[str, list[AcceptedBatch]] = defaultdict(list)
    for batch in batches:
        times = Counter(line.custom_id for line in batch.lines)
        assert not times or max(times.values()) == 1, f"{batch.id} ran a line twice"
        for custom_id in times:
            billed[custom_id].append(batch)
    outcomes: dict[tuple[int, str], str] = {
        (item_id, token): outcome
        for item_id, token, outcome in ItemAttempt.objects.filter(
            job__isnull=False
        ).values_list("item_id", "job__token", "outcome")
    }
    for custom_id, ran_in in billed.items():
        for batch, next_batch in zip(ran_in, ran_in[1:], strict=False):
            assert batch.token != next_batch.token, (
                f"item {custom_id} was executed twice for one job: "
                f"{batch.id}, {next_batch.id}"
            )
            outcome = outcomes.get((int(custom_id), batch.token))
            assert outcome not in (None, *ENDED_THERE), (
                f"item {custom_id} went out again in {next_batch.id} although its "
                f"answer in {batch.id} came to {outcome}"
            )


def check_lines(job: BatchJob, batch: AcceptedBatch, books: Books) -> None:
    """Every line of a batch's files became an attempt or a stray line, and one only."""
    attempts = {
        (attempt.file_kind, attempt.line): attempt
        for attempt in ItemAttempt.objects.filter(job=job, line__isnull=False)
    }
    strays = set(StrayLine.objects.filter(job=job).values_list("file_id", "line"))
    for kind, file_id in batch.files.items():
        for number, raw in enumerate(books.file_lines(file_id), start=1):
            if raw.strip():
                has_attempt = (kind, number) in attempts
                is_stray = (file_id, number) in strays
                assert has_attempt != is_stray, (
                    f"line {number} of {file_id} ({job}): attempt {has_attempt}, "
                    f"stray {is_stray}"
                )
    spent = {
        (str(item_id), *figures)
        for item_id, *figures in ItemAttempt.objects.filter(
            job=job, http_status=200
        ).values_list("item_id", "input_tokens", "cached_tokens", "output_tokens")
    }
    ledger = {
        (line.custom_id, line.input_tokens, line.cached_tokens, line.output_tokens)
        for line in batch.lines
        if line.http_status == 200
    }
    assert spent <= ledger, f"{job} counts other tokens than were billed"
    answered = set(
        ItemAttempt.objects.filter(job=job).values_list("item_id", flat=True)
    )
    assert {int(line.custom_id) for line in batch.lines} <= answered
