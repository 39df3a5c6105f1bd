"""Apply again: stored answers are judged and stored once more, and nothing is sent.

For a workload that was mended, or whose checks are new. An attempt keeps its answer for
good; what changes is what is made of it: failed items become complete, complete ones
are stored again where their workload knows how. What was paid is history, and stays.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.db import (
    IntegrityError,
    transaction,
)
from django.db.models import F, Max, QuerySet
from django.utils import timezone

from batches.errors import NotPossible, SubjectGone
from batches.models import (
    BatchItem,
    BatchJob,
    JobShare,
    Run,
)
from batches.services.events import audit, record_event
from batches.services.items import (
    Destination,
    NewItem,
    asked_for,
    insert_items,
    not_under_way,
)
from batches.services.lifecycle import move_items, refresh_run
from batches.services.stored_answers import (
    Obstacle,
    Trial,
    fail_with_bug,
    judge_again,
    sort_out,
)
from batches.services.workload_calls import (
    Store,
    store_verdicts,
    tell_stored,
)
from batches.signals import announce
from batches.states import EventKind, ItemStatus
from batches.workloads import (
    FollowUp,
    Workload,
)

PAGE = 1_000


@dataclass
class Reapplied:
    """What became of items, each counted once.

    `completed` had failed; `stored_again` were complete, and are. `failing` counts by
    error code those whose answer still cannot be used (a complete one stays complete),
    and `messages` has the first message of each code. `skipped` were not looked at.
    """

    completed: int = 0
    stored_again: int = 0
    failing: Counter[str] = field(default_factory=Counter)
    messages: dict[str, str] = field(default_factory=dict)
    skipped: Counter[Obstacle] = field(default_factory=Counter)
    follow_ups: int = 0

    @property
    def applied(self) -> int:
        return self.completed + self.stored_again

    def add(self, other: "Reapplied") -> None:
        self.completed += other.completed
        self.stored_again += other.stored_again
        self.failing += other.failing
        self.messages = other.messages | self.messages
        self.skipped += other.skipped
        self.follow_ups += other.follow_ups

    def as_dict(self) -> dict[str, Any]:
        skipped = {reason.value: count for reason, count in self.skipped.items()}
        return asdict(self) | {"failing": dict(self.failing), "skipped": skipped}


@dataclass(frozen=True)
class Prospect:
    """`items` would be judged again; the `skipped` cannot be, by reason."""

    items: int
    skipped: Counter[Obstacle]


def failed_only(items: QuerySet[BatchItem]) -> QuerySet[BatchItem]:
    return items.filter(status=ItemStatus.FAILED)


def possible_for_item(item: BatchItem) -> frozenset[str]:
    """Which acts an item as it is now would not refuse outright."""
    if item.status in (ItemStatus.FAILED, ItemStatus.COMPLETE) and item.job_id:
        return frozenset({"reapply"})
    return frozenset()


def reapply(
    items: QuerySet[BatchItem],
    *,
    by: str,
    dry_run: bool = False,
    on_items: Callable[[int], None] = lambda count: None,
) -> Reapplied:
    """Judge and store again what was answered about these items; audited.

    Each page of 1,000 is a transaction, so this may be stopped anywhere, run twice, and
    beside a worker. A dry run judges and writes nothing; what `store` would raise is
    not foreseen. `on_items` is told how many items a page dealt with.
    """
    total = Reapplied()
    for page in _pages(items):
        total.add(_foresee_page(page) if dry_run else _reapply_page(page, by=by))
        on_items(len(page))
    return total


def prospect(items: QuerySet[BatchItem]) -> Prospect:
    """What applying again would be about, without judging anything."""
    able, skipped = 0, Counter[Obstacle]()
    for page in _pages(items):
        answers, obstacles = sort_out(page)
        able += len(answers)
        skipped += Counter(obstacles.values())
    return Prospect(able, skipped)


def reapply_some(items: QuerySet[BatchItem], *, by: str) -> Reapplied:
    """As `reapply`; raises NotPossible, which says why, where nothing was applied."""
    done = reapply(items, by=by)
    if not done.applied:
        raise NotPossible(f"Nothing was applied again: {in_words(done)}")
    return done


def in_words(done: Reapplied) -> str:
    """What became of items, in one sentence."""
    said = []
    if done.completed:
        said.append(f"{done.completed:,} completed")
    if done.stored_again:
        said.append(f"{done.stored_again:,} stored again")
    if done.follow_ups:
        said.append(f"follow-ups asked for: {done.follow_ups:,}")
    said += [
        f"{count:,} still failing with {code} (the first: {done.messages[code]})"
        for code, count in sorted(done.failing.items())
    ]
    said += skipped_in_words(done.skipped)
    return "; ".join(said) + "." if said else "there are no such items."


def skipped_in_words(skipped: Counter[Obstacle]) -> list[str]:
    """`3 cancelled`, and so on, in the order of the table."""
    return [f"{skipped[one]:,} {one.label}" for one in Obstacle if skipped[one]]


def _pages(items: QuerySet[BatchItem]) -> Iterator[list[BatchItem]]:
    """Items in key order, without those that are made on the way."""
    newest = items.aggregate(newest=Max("pk"))["newest"] or 0
    after = 0
    while after < newest:
        rows = items.filter(pk__gt=after, pk__lte=newest).order_by("pk")
        page = list(rows[:PAGE])
        if not page:
            return
        yield page
        after = page[-1].pk


# --- storing --------------------------------------------------------------------------


def _foresee_page(page: Sequence[BatchItem]) -> Reapplied:
    attempts, obstacles = sort_out(page)
    found = Reapplied(skipped=Counter(obstacles.values()))
    for _workload, trials in judge_again(page, attempts):
        _count(trials, found)
    return found


def _count(trials: Iterable[Trial], found: Reapplied) -> None:
    for trial in trials:
        if trial.error_code:
            found.failing[trial.error_code] += 1
            found.messages.setdefault(trial.error_code, trial.error_message)
        elif trial.item.status == ItemStatus.COMPLETE:
            found.stored_again += 1
        else:
            found.completed += 1


def _reapply_page(page: Sequence[BatchItem], *, by: str) -> Reapplied:
    """Apply a page; again, if another process began the same follow-up meanwhile."""
    try:
        return _apply_page(page, by=by)
    except IntegrityError:
        return _apply_page(page, by=by)


def _apply_page(page: Sequence[BatchItem], *, by: str) -> Reapplied:
    attempts, obstacles = sort_out(page)
    if not attempts:
        return Reapplied(skipped=Counter(obstacles.values()))
    tried = judge_again(page, attempts)
    now = timezone.now()
    with transaction.atomic():
        locked = _lock_unchanged([item for item in page if item.pk in attempts])
        able, late = sort_out(locked)
        found = Reapplied(
            skipped=Counter(obstacles.values())
            + Counter(late.values())
            + Counter({Obstacle.CHANGED: len(attempts) - len(locked)})
        )
        kept = [(workload, _of(trials, able)) for workload, trials in tried]
        asked = [(w, trials, _store_all(w, trials)) for w, trials in kept]
        _write([trial for _workload, trials in kept for trial in trials], now)
        for workload, trials, follow_ups in asked:
            found.follow_ups += _insert_follow_ups(workload, follow_ups, trials, now)
            _count(trials, found)
        for run_id in sorted({item.run_id for item in locked}):
            refresh_run(run_id, now=now)
        if found.applied or found.failing:
            audit("items.reapply", actor=by, after=found.as_dict())
    return found


def _of(trials: Iterable[Trial], able: Container[int]) -> list[Trial]:
    return [trial for trial in trials if trial.item.pk in able]


def _lock_unchanged(items: Sequence[BatchItem]) -> list[BatchItem]:
    """Those of these items that still are as they were seen; locked, in key order."""
    seen = {item.pk: _state(item) for item in items}
    rows = BatchItem.objects.filter(pk__in=seen).select_for_update().order_by("pk")
    return [row for row in rows if _state(row) == seen[row.pk]]


def _state(item: BatchItem) -> tuple[object, ...]:
    return item.status, item.job_id, item.finished_at


def _store_all(workload: Workload, trials: Sequence[Trial]) -> list[FollowUp]:
    """Store what can be used: failed items as new results, complete ones as again."""
    usable = [trial for trial in trials if not trial.error_code]
    new = [t for t in usable if t.item.status == ItemStatus.FAILED]
    again = [t for t in usable if t.item.status == ItemStatus.COMPLETE]
    asked = _store(workload, workload.store, new)
    tell_stored(workload, (t.verdict for t in new if not t.error_code))
    return asked + _store(workload, workload.store_again, again)


def _store(workload: Workload, store: Store, trials: Sequence[Trial]) -> list[FollowUp]:
    """Store results; a row that the workload cannot store fails alone."""
    found = store_verdicts(store, [t.verdict for t in trials if t.verdict])
    by_item = {trial.item.pk: trial for trial in trials}
    for item_id, err in found.bugs.items():
        fail_with_bug(by_item[item_id], workload, err)
    for item_id, subject in found.gone.items():
        trial = by_item[item_id]
        trial.error_code = SubjectGone.code
        trial.error_message = f"{subject} was deleted. The answer is kept."
    return found.follow_ups


def _write(trials: Sequence[Trial], now: datetime) -> None:
    """Complete what failed, in items, shares and jobs, or say why it still does."""
    failed = [trial for trial in trials if trial.item.status == ItemStatus.FAILED]
    mended = [trial.item for trial in failed if not trial.error_code]
    move_items(
        BatchItem.objects.filter(pk__in=[item.pk for item in mended]),
        ItemStatus.FAILED,
        ItemStatus.COMPLETE,
        now=now,
        error_code="",
    )
    codes: defaultdict[str, list[int]] = defaultdict(list)
    for trial in failed:
        if trial.error_code not in ("", trial.item.error_code):
            codes[trial.error_code].append(trial.item.pk)
    for code, keys in codes.items():
        BatchItem.objects.filter(pk__in=keys).update(error_code=code)
    unsent = Counter(item.run_id for item in mended if item.job_id is None)
    for run_id, count in sorted(unsent.items()):
        Run.objects.filter(pk=run_id).update(
            unsent_failed=F("unsent_failed") - count,
            unsent_complete=F("unsent_complete") + count,
        )
    in_jobs = Counter((item.job_id, item.run_id) for item in mended if item.job_id)
    for (job_id, run_id), count in sorted(in_jobs.items()):
        JobShare.objects.filter(job_id=job_id, run_id=run_id).update(
            failed=F("failed") - count, complete=F("complete") + count
        )
        BatchJob.objects.filter(pk=job_id).update(
            items_failed=F("items_failed") - count,
            items_complete=F("items_complete") + count,
        )
        record_event(
            EventKind.BATCH_NOTE,
            now=now,
            run=run_id,
            job=job_id,
            message=f"{count} failed items completed from their stored answers",
            items=count,
        )


# --- follow-ups -----------------------------------------------------------------------


def _insert_follow_ups(
    workload: Workload,
    follow_ups: Sequence[FollowUp],
    trials: Sequence[Trial],
    now: datetime,
) -> int:
    """Write the items that answers ask for, unless they are there; returns how many.

    A run that a person cancelled asks for nothing more.
    """
    parents = {trial.item.pk: trial.item for trial in trials}
    by_run: defaultdict[int, list[FollowUp]] = defaultdict(list)
    for follow_up in _not_there(workload, follow_ups, parents):
        by_run[parents[follow_up.parent_item_id].run_id].append(follow_up)
    inserted: Counter[tuple[int | None, int]] = Counter()
    for run in Run.objects.filter(pk__in=by_run, cancelled_at=None).order_by("pk"):
        by_destination: defaultdict[Destination, list[NewItem]] = defaultdict(list)
        for follow_up in by_run[run.pk]:
            parent = parents[follow_up.parent_item_id]
            to = Destination(
                provider=parent.provider,
                endpoint=parent.endpoint,
                model=parent.model,
            )
            by_destination[to].append(
                asked_for(follow_up, to, parent.prompt_version_id)
            )
            inserted[parent.job_id, run.pk] += 1
        for to, new in by_destination.items():
            insert_items(run, to, new, now=now)
    for (job_id, run_id), count in sorted(
        inserted.items(), key=lambda entry: (entry[0][0] or 0, entry[0][1])
    ):
        if job_id is None:
            Run.objects.filter(pk=run_id).update(
                unsent_follow_ups=F("unsent_follow_ups") + count
            )
            continue
        JobShare.objects.filter(job_id=job_id, run_id=run_id).update(
            follow_ups=F("follow_ups") + count
        )
    if inserted:
        announce("bundle")
    return inserted.total()


def _not_there(
    workload: Workload,
    follow_ups: Sequence[FollowUp],
    parents: dict[int, BatchItem],
) -> list[FollowUp]:
    """Those that their items have not asked for before, and that are not under way."""
    asking = {follow_up.parent_item_id for follow_up in follow_ups}
    asked = BatchItem.objects.filter(parent_id__in=asking)
    there = set(asked.values_list("parent_id", "target"))
    new = [f for f in follow_ups if (f.parent_item_id, f.target) not in there]
    return not_under_way(workload, new, lambda key: parents[key].run_id)
