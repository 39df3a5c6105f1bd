"""A database under load, written in bulk: `manage.py seed_load`.

Every figure that is kept beside the rows it sums is added up here while the rows are
made, apart from `services/recount.py`, which therefore can be asked whether all is
consistent.
"""

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import transaction

from batches.benchmark import surroundings
from batches.benchmark.job_rows import (
    UsageSums,
    add_usage,
    shares,
    write_jobs,
    write_runs,
    write_usage,
)
from batches.benchmark.load import (
    ITEMS_PER_JOB,
    LIMITED,
    MOST_JOBS,
    NOT_TAKEN,
    REFUSED,
    UNDER_WAY_FATE,
    Content,
    Done,
    Fate,
    JobPlan,
    Stream,
    streams,
)
from batches.benchmark.writing import insert_whole
from batches.models import (
    BatchItem,
    BatchJob,
    ItemAttempt,
    ItemRequest,
    OpenItem,
    Run,
    TrackRecord,
)
from batches.services.bulk import Row, add_to_rows, insert_rows, reserve_keys
from batches.states import BACK, ITEM_AFTER, JUDGED, AttemptOutcome, ItemStatus
from batches.workloads import CHAT, get_workload

CHUNK_ITEMS = 5_000
DRAWS = 40  # of a job's items, where only figures are written
OWNERS = 5
HTTP_OK = 200
MESSAGES = {
    REFUSED: "This model's maximum context length is 128000 tokens.",
    LIMITED: "Rate limit reached for requests.",
    NOT_TAKEN: "The provider refused the whole batch.",
    "invalid_json": "The answer is not JSON: a bracket is missing at its end.",
    "language_mismatch": "The answer seems to be in another language.",
    "placeholders_differ": "{name} is missing in the answer.",
    "refused": "The model refused to answer.",
}
BODY = (
    '{{"messages": [{{"content": "You are a careful assistant. What you are given is '
    'data.", "role": "system"}}, {{"content": "{position}: Webigu wuxuu qaadaa biyo '
    'badan xilliga roobka marka loo eego jilaalka.", "role": "user"}}], "model": '
    '"{model}", "max_completion_tokens": 1000}}'
)
ANSWER = (
    '{{"text": "{position}: The river carries more water in the rainy season than in '
    'the dry one, and whoever crosses it asks first."}}'
)
ITEM_FIELDS = (
    "id",
    "run",
    "job",
    "object_id",
    "target",
    "fingerprint",
    "status",
    "attempts",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "cost_nanos",
    "error_code",
    "created_at",
    "finished_at",
)
OPEN_FIELDS = ("item", "run", "job", "object_id", "target", "fingerprint", "ready_at")
ATTEMPT_FIELDS = (
    "item",
    "job",
    "outcome",
    "error_code",
    "error_message",
    "http_status",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "cost_nanos",
    "checks_failed",
    "answer",
    "line",
    "created_at",
)

# How many items of the load are written, told after each chunk.
OnItems = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Load:
    """How much to write. Without `with_items` only runs, jobs and what sums them."""

    items: int
    now: datetime
    jobs: int | None = None
    seed: int = 1
    with_items: bool = True

    @property
    def jobs_here(self) -> int:
        if self.jobs is not None:
            return self.jobs
        return max(1, min(MOST_JOBS, self.items // ITEMS_PER_JOB))


@dataclass(slots=True)
class _Item:
    key: int
    position: int
    run: int  # its key
    object_id: str
    target: str
    fingerprint: bytes
    tries: int = 0


@dataclass
class _Chunk:
    """Rows of some jobs' items, until they are written."""

    items: list[Row] = field(default_factory=list)
    open: list[Row] = field(default_factory=list)
    requests: list[Row] = field(default_factory=list)
    attempts: list[Row] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)


@transaction.atomic
def seed(load: Load, contents: Sequence[Content], on_items: OnItems) -> None:
    """Write the load beside whatever is in the database already, all of it or none."""
    chance = random.Random(load.seed)  # noqa: S311  # the same at every run
    owners = _owners()
    usage: UsageSums = defaultdict(Counter)
    for stream in streams(contents, items=load.items, jobs=load.jobs_here):
        _StreamSeeder(load, stream, owners, chance, usage, on_items).seed()
    write_usage(usage)
    surroundings.write(load.jobs_here, load.items, now=load.now, chance=chance)


def _owners() -> list[int | None]:
    """Keys of users who cannot sign in; every other run has no owner."""
    users = get_user_model()._default_manager
    found: list[int | None] = []
    for number in range(1, OWNERS + 1):
        user, is_new = users.get_or_create(username=f"load-{number}")
        if is_new:
            user.set_unusable_password()
            user.save()
        found += [user.pk, None]
    return found


class _StreamSeeder:
    """Writes one stream: runs and jobs first, then items by chunks, then figures."""

    def __init__(
        self,
        load: Load,
        stream: Stream,
        owners: Sequence[int | None],
        chance: random.Random,
        usage: UsageSums,
        on_items: OnItems,
    ) -> None:
        self.load, self.stream, self.chance = load, stream, chance
        self.usage = usage
        self.on_items = on_items
        self.content = stream.content
        self.owners = owners
        self.runs: Sequence[int] = ()
        self.plans: list[JobPlan] = []
        self.keys: Sequence[int] = ()
        self.carried: list[_Item] = []
        self.judged: Counter[str] = Counter()
        self.alike = {
            "provider": stream.provider,
            "workload": self.content.workload,
            "model": self.content.model,
            "endpoint": CHAT,
            "content_type": ContentType.objects.get_for_model(
                self.content.subject_model()
            ).pk,
        }

    def seed(self) -> None:
        self.runs = reserve_keys(Run, self.stream.runs)
        jobs = reserve_keys(BatchJob, self.stream.jobs)
        self.plans = list(self.stream.plans(jobs, now=self.load.now))
        if self.load.with_items:
            self.keys = reserve_keys(BatchItem, self.stream.items)
            self._write_items()
            self._add_to_track_records()
        else:
            self._count_items()
        self._write_figures()

    # --- items ------------------------------------------------------------------------

    def _write_items(self) -> None:
        chunk = _Chunk()
        for plan in self.plans:
            self._add_job(chunk, plan)
            if len(chunk.items) >= CHUNK_ITEMS:
                self._write(chunk)
                chunk = _Chunk()
        for item in self._new_items(chunk, self.plans[-1].end, self.stream.end):
            self._add_item(chunk, item, None, UNDER_WAY_FATE)
        self._write(chunk)

    def _add_job(self, chunk: _Chunk, plan: JobPlan) -> None:
        carried, self.carried = self.carried, []
        new = self._new_items(chunk, plan.first, plan.end)
        for line, item in enumerate((*carried, *new), start=1):
            fate = plan.fate(self.chance)
            plan.count(item.run, fate)
            if fate.outcome is not None:
                item.tries += fate.outcome != AttemptOutcome.RETURNED
                chunk.attempts.append(self._attempt(item, plan, fate, line))
            if fate.outcome in BACK:
                self.carried.append(item)
                continue
            self._add_item(chunk, item, plan, fate)
            if fate.outcome in JUDGED:
                self.judged[item.target] += 1
            if fate.outcome == AttemptOutcome.APPLIED:
                chunk.done.append(
                    Done(
                        item.key,
                        item.position,
                        self.stream.provider,
                        self.content.model,
                        plan.ended_at,
                    )
                )

    def _new_items(self, chunk: _Chunk, first: int, end: int) -> Iterator[_Item]:
        """Items of these positions, with their requests."""
        self.content.write_subjects(end, now=self.load.now)
        for position in range(first, end):
            key = self.keys[position - self.stream.offset]
            object_id, target = self.content.subject(position)
            body = BODY.format(position=position, model=self.content.model)
            chunk.requests.append((key, body, ""))
            yield _Item(
                key=key,
                position=position,
                run=self._run_of(position),
                object_id=object_id,
                target=target,
                fingerprint=hashlib.sha256(
                    f"{self.stream.provider}{self.load.seed}{body}".encode()
                ).digest(),
            )

    def _run_of(self, position: int) -> int:
        return self.runs[self.stream.run_of(position)]

    def _add_item(
        self, chunk: _Chunk, item: _Item, plan: JobPlan | None, fate: Fate
    ) -> None:
        status, job, at = ItemStatus.PENDING, None, self.load.now
        if plan is not None:
            job, at, status = plan.key, plan.created_at, ItemStatus.IN_JOB
        if fate.outcome is not None:
            status = ITEM_AFTER[fate.outcome]
        else:
            chunk.open.append(
                (
                    item.key,
                    item.run,
                    job,
                    item.object_id,
                    item.target,
                    item.fingerprint,
                    at,
                )
            )
        finished = plan.finished_at if plan and fate.outcome else None
        chunk.items.append(
            (
                item.key,
                item.run,
                job,
                item.object_id,
                item.target,
                item.fingerprint,
                status.value,
                item.tries,
                *fate.usage,
                fate.error_code if status == ItemStatus.FAILED else "",
                at,
                finished,
            )
        )

    def _attempt(self, item: _Item, plan: JobPlan, fate: Fate, line: int) -> Row:
        answer = fate.http_status == HTTP_OK and fate.outcome is not None
        return (
            item.key,
            plan.key,
            fate.outcome.value if fate.outcome else "",
            fate.error_code,
            MESSAGES.get(fate.error_code, ""),
            fate.http_status,
            *fate.usage,
            "numbers" if fate.is_flagged else "",
            ANSWER.format(position=item.position) if answer else "",
            line if fate.http_status else None,
            plan.ended_at,
        )

    def _write(self, chunk: _Chunk) -> None:
        insert_whole(BatchItem, ITEM_FIELDS, chunk.items, **self.alike)
        insert_whole(OpenItem, OPEN_FIELDS, chunk.open, input_tokens=300, **self.alike)
        insert_rows(ItemRequest, ("item", "body", "context"), chunk.requests)
        insert_whole(ItemAttempt, ATTEMPT_FIELDS, chunk.attempts)
        self.content.store(chunk.done)
        self.on_items(len(chunk.items))

    # --- what sums them ---------------------------------------------------------------

    def _count_items(self) -> None:
        """Figures of items that are not written: what chance would make of as many."""
        for plan in self.plans:
            for run, items in self._parts(plan):
                fates = [plan.fate(self.chance) for _ in range(min(DRAWS, items))]
                each, more = divmod(items, len(fates))
                for number, fate in enumerate(fates):
                    plan.count(run, fate, each + (number < more))
            self.on_items(plan.end - plan.first)

    def _parts(self, plan: JobPlan) -> Iterator[tuple[int, int]]:
        """The runs that a job has items of, and how many."""
        position = plan.first
        while position < plan.end:
            number = self.stream.run_of(position)
            end = min(plan.end, self.stream.run_positions(number).stop)
            yield self.runs[number], end - position
            position = end

    def _write_figures(self) -> None:
        stream, now = self.stream, self.load.now
        owner_of = {
            run: self.owners[number % len(self.owners)]
            for number, run in enumerate(self.runs)
        }
        of_jobs = {plan.key: shares(plan) for plan in self.plans}
        write_runs(stream, self.runs, self.plans, of_jobs, owner_of, now=now)
        write_jobs(stream, self.plans, of_jobs)
        add_usage(self.usage, stream, self.plans, owner_of)

    def _add_to_track_records(self) -> None:
        workload = get_workload(self.content.workload)
        by_trait: Counter[str] = Counter()
        for target, judged in self.judged.items():
            by_trait[workload.trait(target)] += judged
        add_to_rows(
            TrackRecord,
            ("workload", "model", "prompt_key", "trait"),
            ("judged",),
            [
                (workload.key, self.content.model, 0, trait, judged)
                for trait, judged in sorted(by_trait.items())
            ],
        )
