"""What a database under load holds: how many jobs in which state, and when they ended.

Work comes in streams, one for each kind of work and provider. A stream's items are cut
into runs and, elsewhere, into jobs, so that some jobs carry items of two runs.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import models

from batches.providers.registry import SANDBOX
from batches.states import AttemptOutcome, JobStatus

HISTORY = timedelta(days=90)
MOST_JOBS = 10_000
ITEMS_PER_JOB = 100
RUN_JOBS = 4.5  # how many jobs' worth of items a run has
WAITING_SHARE = 0.01
OPENAI = "openai"
# What is under way is the sandbox's: no worker asks a real provider after made-up jobs.
PROVIDERS = ((OPENAI, 0.6), (SANDBOX, 0.4))
UNDER_WAY_SHARE = 0.03
UNDER_WAY = (
    JobStatus.PENDING,
    JobStatus.UPLOADING,
    JobStatus.VALIDATING,
    JobStatus.IN_PROGRESS,
    JobStatus.FINALIZING,
    JobStatus.CANCELLING,
    JobStatus.COMPLETED,
)
# Of forty finished jobs these did not go as they should.
ENDED_BADLY = {7: JobStatus.EXPIRED, 17: JobStatus.CANCELLED, 27: JobStatus.FAILED}
FAILED, RETRIED, EXPIRED, FLAGGED = 0.03, 0.02, 0.3, 0.05
ANSWERED_BADLY = ("invalid_json", "language_mismatch", "placeholders_differ", "refused")
REFUSED, LIMITED = "context_length_exceeded", "rate_limit_exceeded"
NOT_TAKEN = "invalid_batch"
INPUT_TOKENS, CACHED_TOKENS, OUTPUT_TOKENS = 320, 128, 210
COST_NANOS = 83_000


@dataclass(frozen=True, slots=True)
class Done:
    """An item whose answer was applied, for the workload's own tables."""

    item_id: int
    position: int
    provider: str
    model: str
    at: datetime


class Content:
    """What one kind of work is about: rows of content, and what answers became.

    `weight` is how many of a hundred items are of this kind.
    """

    workload: str
    model: str
    weight: int

    def subject_model(self) -> type[models.Model]:
        raise NotImplementedError

    def write_subjects(self, upto: int, *, now: datetime) -> None:
        """Write the content that items below this position are about, where it lacks.

        Positions count a load's items of this kind, from 0.
        """
        raise NotImplementedError

    def subject(self, position: int) -> tuple[str, str]:
        """The key of an item's subject, and its target."""
        raise NotImplementedError

    def store(self, done: Sequence[Done]) -> None:
        """Write what came of answers, as the workload's `store` would."""
        raise NotImplementedError


@dataclass(slots=True)
class Fate:
    """What happens to one item in one job."""

    outcome: AttemptOutcome | None  # None while it is under way
    error_code: str = ""
    http_status: int | None = 200
    is_billed: bool = True
    is_flagged: bool = False

    @property
    def usage(self) -> tuple[int, int, int, int]:
        """Tokens in, of these cached, tokens out, and nano-dollars."""
        if not self.is_billed:
            return (0, 0, 0, 0)
        return (INPUT_TOKENS, CACHED_TOKENS, OUTPUT_TOKENS, COST_NANOS)


UNDER_WAY_FATE = Fate(None, is_billed=False)


@dataclass(slots=True)
class JobPlan:
    """One job of a stream: its new items are those from `first` up to `end`."""

    key: int
    status: JobStatus
    first: int
    end: int
    created_at: datetime
    finished_at: datetime | None
    is_last: bool
    sums: "defaultdict[tuple[int, AttemptOutcome | None, str], Counter[str]]" = field(
        default_factory=lambda: defaultdict(Counter)
    )

    @property
    def ended_at(self) -> datetime:
        return self.finished_at or self.created_at

    def fate(self, chance: random.Random) -> Fate:
        """Draw what happens to an item."""
        if self.finished_at is None:
            return UNDER_WAY_FATE
        if self.status == JobStatus.CANCELLED:
            return Fate(AttemptOutcome.CANCELLED, "", None, is_billed=False)
        if self.status == JobStatus.FAILED:
            return Fate(AttemptOutcome.FAILED, NOT_TAKEN, None, is_billed=False)
        drawn = chance.random()
        if self.status == JobStatus.EXPIRED and drawn < EXPIRED and not self.is_last:
            return Fate(AttemptOutcome.RETURNED, "batch_expired", None, is_billed=False)
        if drawn < FAILED * 0.8:
            code = ANSWERED_BADLY[int(drawn * 1_000) % len(ANSWERED_BADLY)]
            return Fate(AttemptOutcome.FAILED, code)
        if drawn < FAILED:
            return Fate(AttemptOutcome.FAILED, REFUSED, 400, is_billed=False)
        if drawn < FAILED + RETRIED and not self.is_last:
            return Fate(AttemptOutcome.RETRIED, LIMITED, 429, is_billed=False)
        return Fate(AttemptOutcome.APPLIED, is_flagged=drawn > 1 - FLAGGED)

    def count(self, run: int, fate: Fate, items: int = 1) -> None:
        """Add to what this job's items of a run came to."""
        input_tokens, cached, output, cost = fate.usage
        of = self.sums[run, fate.outcome, fate.error_code]
        of["attempts"] += items
        of["flagged"] += items * fate.is_flagged
        of["input_tokens"] += items * input_tokens
        of["cached_tokens"] += items * cached
        of["output_tokens"] += items * output
        of["cost_nanos"] += items * cost


@dataclass(frozen=True, slots=True)
class Stream:
    """Items of one kind of work at one provider; `offset` is its first position."""

    content: Content
    provider: str
    offset: int
    items: int
    waiting: int  # the last ones, which are in no job
    jobs: int
    under_way: int

    @property
    def job_size(self) -> int:
        return max(1, -(-(self.items - self.waiting) // self.jobs))

    @property
    def run_size(self) -> int:
        return max(1, round(self.job_size * RUN_JOBS))

    @property
    def runs(self) -> int:
        return -(-self.items // self.run_size)

    def run_of(self, position: int) -> int:
        """Which of its runs an item is of, counted from 0."""
        return (position - self.offset) // self.run_size

    def run_positions(self, number: int) -> range:
        """The positions of one of its runs' items."""
        first = self.offset + number * self.run_size
        return range(first, min(self.end, first + self.run_size))

    @property
    def end(self) -> int:
        return self.offset + self.items

    def plans(self, keys: Iterable[int], *, now: datetime) -> Iterator[JobPlan]:
        """Its jobs, oldest first; finished ones are spread over HISTORY."""
        end = self.offset + self.items - self.waiting
        finished = self.jobs - self.under_way
        for number, key in enumerate(keys):
            first = min(end, self.offset + number * self.job_size)
            ended = now - HISTORY * (finished - number - 0.5) / max(1, finished)
            is_final = number < finished
            yield JobPlan(
                key=key,
                status=ENDED_BADLY.get(number % 40, JobStatus.PROCESSED)
                if is_final
                else UNDER_WAY[key % len(UNDER_WAY)],
                first=first,
                end=min(end, first + self.job_size),
                created_at=ended - timedelta(hours=5, minutes=number % 50)
                if is_final
                else now - timedelta(minutes=5 * (self.jobs - number)),
                finished_at=ended if is_final else None,
                is_last=number == self.jobs - 1,
            )


def streams(contents: Sequence[Content], *, items: int, jobs: int) -> list[Stream]:
    """Share items and jobs out; of each kind, the sandbox's part is the last."""
    found: list[Stream] = []
    for content in contents:
        offset = 0
        whole = items * content.weight // 100
        if content is contents[-1]:
            whole = items - sum(stream.items for stream in found)
        for provider, share in PROVIDERS:
            own = round(whole * share) if provider == OPENAI else whole - offset
            own_jobs = max(2, round(jobs * own / items))
            is_sandbox = provider == SANDBOX
            found.append(
                Stream(
                    content=content,
                    provider=provider,
                    offset=offset,
                    items=own,
                    waiting=round(own * WAITING_SHARE) if is_sandbox else 0,
                    jobs=own_jobs,
                    under_way=max(1, round(own_jobs * UNDER_WAY_SHARE))
                    if is_sandbox
                    else 0,
                )
            )
            offset += own
    return found
