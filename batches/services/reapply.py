"""Apply again: stored answers are judged and stored once more, and nothing is sent.

For a workload that was mended, or whose checks are new. An attempt keeps its answer for
good; what changes is what is made of it: failed items become complete, complete ones
are stored again where their workload knows how. What was paid is history, and stays.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    models,
    transaction,
)
from django.db.models import Exists, F, Max, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from batches.models import (
    BatchItem,
    BatchJob,
    ItemAttempt,
    ItemRequest,
    JobShare,
    Run,
)
from batches.providers.registry import is_sandbox
from batches.providers.result_lines import ResultLine, read_line
from batches.services.events import audit, record_event
from batches.services.items import (
    Destination,
    NewItem,
    insert_items,
    not_under_way,
)
from batches.services.lifecycle import move_items, refresh_run
from batches.services.rendering import render
from batches.services.steering import NotPossible
from batches.signals import announce
from batches.states import ITEM_OPEN, AttemptOutcome, EventKind, ItemStatus
from batches.workloads import (
    Answer,
    FollowUp,
    Target,
    Verdict,
    Workload,
    all_workloads,
)

log = logging.getLogger(__name__)

PAGE = 1_000

Store = Callable[[Sequence[Verdict]], list[FollowUp]]


class Obstacle(models.TextChoices):
    """Why an item is left as it is; the words follow a number: `3 cancelled`."""

    UNDER_WAY = "under_way", _("under way: the answer to come decides")
    CANCELLED = "cancelled", _("cancelled")
    NOT_SENT = "not_sent", _("never sent, so without an answer")
    JOB_UNFINISHED = "job_unfinished", _("in a job that is not finished yet")
    NO_ANSWER = "no_answer", _("without a stored answer: the provider gave none")
    SPLIT = "split", _("split: their parts hold the result")
    NO_WORKLOAD = "no_workload", _("of a workload that is not installed")
    STORED_ONCE = "stored_once", _("done, by a workload that stores only once")
    NO_REQUEST = "no_request", _("without the request that judging needs")
    SUBJECT_DELETED = "subject_deleted", _("about content that was deleted")
    SUPERSEDED = "superseded", _("superseded by a later item about the same")
    CHANGED = "changed", _("changed by another process meanwhile")


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
        answers, obstacles = _sort_out(page)
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


# --- which answer, and why none -------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """What is looked up about the items of a page, to tell which can be judged."""

    workloads: dict[str, Workload]
    unfinished_jobs: set[int]
    answered: dict[int, tuple[int, str]]  # {item: (its newest answer's attempt, how)}
    requested: set[int]
    deleted: set[int]
    superseded: set[int]

    def obstacle(self, item: BatchItem) -> Obstacle | None:
        if item.status in ITEM_OPEN:
            return Obstacle.UNDER_WAY
        if item.status == ItemStatus.CANCELLED:
            return Obstacle.CANCELLED
        if item.job_id is None:
            return Obstacle.NOT_SENT
        if item.job_id in self.unfinished_jobs:  # its figures are its holder's alone
            return Obstacle.JOB_UNFINISHED
        if item.pk not in self.answered:
            return Obstacle.NO_ANSWER
        if self.answered[item.pk][1] == AttemptOutcome.SPLIT:
            return Obstacle.SPLIT
        if item.pk in self.deleted:
            return Obstacle.SUBJECT_DELETED
        if item.pk in self.superseded:
            return Obstacle.SUPERSEDED
        workload = self.workloads.get(item.workload)
        if workload is None:
            return Obstacle.NO_WORKLOAD
        if item.status == ItemStatus.COMPLETE and not workload.can_store_again:
            return Obstacle.STORED_ONCE
        if workload.reads_request and item.pk not in self.requested:
            return Obstacle.NO_REQUEST
        return None


def _sort_out(
    items: Sequence[BatchItem],
) -> tuple[dict[int, int], dict[int, Obstacle]]:
    """{item: attempt whose answer is to be judged}, and {item: why there is none}."""
    keys = [item.pk for item in items]
    answers = ItemAttempt.objects.filter(item_id__in=keys).exclude(answer="")
    jobs = BatchJob.objects.filter(pk__in={item.job_id for item in items})
    requests = ItemRequest.objects.filter(pk__in=keys)
    known = Known(
        workloads=all_workloads(),
        unfinished_jobs=set(jobs.unfinished().values_list("pk", flat=True)),
        answered={
            item_id: (pk, outcome)
            for item_id, pk, outcome in answers.order_by("pk").values_list(
                "item_id", "pk", "outcome"
            )
        },
        requested=set(requests.values_list("pk", flat=True)),
        deleted=_deleted(items),
        superseded=_superseded(keys),
    )
    obstacles = {item.pk: why for item in items if (why := known.obstacle(item))}
    able = [key for key in keys if key not in obstacles]
    return {key: known.answered[key][0] for key in able}, obstacles


def _deleted(items: Sequence[BatchItem]) -> set[int]:
    """Those of these items whose subject is gone, or the model of their subjects."""
    by_kind: defaultdict[int, list[BatchItem]] = defaultdict(list)
    for item in items:
        by_kind[item.content_type_id].append(item)
    kinds = ContentType.objects.in_bulk(by_kind)
    gone = set()
    for kind, about in by_kind.items():
        model = kinds[kind].model_class() if kind in kinds else None
        there = set()
        if model is not None:
            rows = model._default_manager.filter(
                pk__in={item.object_id for item in about}
            )
            there = {str(key) for key in rows.values_list("pk", flat=True)}
        gone |= {item.pk for item in about if item.object_id not in there}
    return gone


def _superseded(keys: Sequence[int]) -> set[int]:
    """Those of these items after which a later one about the same work was made.

    A later one that failed has no result that an earlier answer could stand over.
    """
    later = BatchItem.objects.filter(
        object_id=OuterRef("object_id"),
        content_type=OuterRef("content_type"),
        workload=OuterRef("workload"),
        target=OuterRef("target"),
        pk__gt=OuterRef("pk"),
        status__in=(*ITEM_OPEN, ItemStatus.COMPLETE),
    )
    items = BatchItem.objects.filter(Exists(later), pk__in=keys)
    return set(items.values_list("pk", flat=True))


# --- judging --------------------------------------------------------------------------


@dataclass(slots=True)
class Trial:
    """One item's stored answer judged anew; `error_code` where it cannot be used."""

    item: BatchItem
    verdict: Verdict | None = None
    error_code: str = ""
    error_message: str = ""


def _try(
    items: Sequence[BatchItem], attempts: dict[int, int]
) -> list[tuple[Workload, list[Trial]]]:
    """Judge the answers of these items, workload by workload."""
    workloads = all_workloads()
    by_workload: defaultdict[str, list[BatchItem]] = defaultdict(list)
    for item in items:
        if item.pk in attempts:
            by_workload[item.workload].append(item)
    tried = []
    for key in sorted(by_workload):
        trials = {item.pk: Trial(item) for item in by_workload[key]}
        answers = _answers(workloads[key], by_workload[key], attempts)
        _judge(workloads[key], answers, trials)
        tried.append((workloads[key], list(trials.values())))
    return tried


def _answers(
    workload: Workload, items: Sequence[BatchItem], attempts: dict[int, int]
) -> list[Answer]:
    """The answers as ingestion gave them to the workload."""
    stored = ItemAttempt.objects.in_bulk([attempts[item.pk] for item in items])
    requests: dict[int, ItemRequest] = {}
    if workload.reads_request:
        requests = ItemRequest.objects.in_bulk([item.pk for item in items])
    answers = []
    for item in items:
        attempt = stored[attempts[item.pk]]
        said = _as_it_came(attempt)
        request = requests.get(item.pk)
        answers.append(
            Answer(
                item_id=item.pk,
                content_type_id=item.content_type_id,
                object_id=item.object_id,
                target=item.target,
                provider=item.provider,
                model=item.model,
                is_sandbox=is_sandbox(item.provider),
                text=said.text,
                finish_reason=said.finish_reason,
                refusal=said.refusal,
                fingerprint=said.fingerprint,
                prompt_version_id=attempt.prompt_version_id,
                body=request.body if request else "",
                context=request.context if request else "",
            )
        )
    return answers


def _as_it_came(attempt: ItemAttempt) -> ResultLine:
    """What the provider's line said: by the line itself where it was kept.

    It is not kept of an answer that was usable: that one was no refusal.
    """
    read = read_line(attempt.raw_line.encode()) if attempt.raw_line else None
    if read is not None and not read.error_code:
        return read
    return ResultLine(
        custom_id=str(attempt.item_id),
        text=attempt.answer,
        finish_reason=attempt.finish_reason,
        fingerprint=attempt.system_fingerprint,
    )


def _judge(
    workload: Workload, answers: Sequence[Answer], trials: dict[int, Trial]
) -> None:
    """Judge all at once; where that raises, one by one, and the culprit fails alone."""
    try:
        verdicts = workload.judge(answers)
    except Exception as err:
        if len(answers) == 1:
            _fail_with_bug(trials[answers[0].item_id], workload, err)
            return
        for answer in answers:
            _judge(workload, [answer], trials)
        return
    for verdict in verdicts:
        trial = trials[verdict.answer.item_id]
        trial.verdict = verdict
        trial.error_code = verdict.error_code
        trial.error_message = verdict.error_message


def _fail_with_bug(trial: Trial, workload: Workload, err: Exception) -> None:
    log.error(
        "[Batch API] Failed to apply %s result of item %d: %r",
        workload.key,
        trial.item.pk,
        err,
    )
    trial.error_code = "apply_error"
    trial.error_message = (
        f"The workload {workload.key} raised {err!r}. The answer is kept; "
        "mend the workload and apply it again."
    )


# --- storing --------------------------------------------------------------------------


def _foresee_page(page: Sequence[BatchItem]) -> Reapplied:
    attempts, obstacles = _sort_out(page)
    found = Reapplied(skipped=Counter(obstacles.values()))
    for _workload, trials in _try(page, attempts):
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
    attempts, obstacles = _sort_out(page)
    if not attempts:
        return Reapplied(skipped=Counter(obstacles.values()))
    tried = _try(page, attempts)
    now = timezone.now()
    with transaction.atomic():
        locked = _lock_unchanged([item for item in page if item.pk in attempts])
        able, late = _sort_out(locked)
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
    return _store(workload, workload.store, new) + _store(
        workload, workload.store_again, again
    )


def _store(workload: Workload, store: Store, trials: Sequence[Trial]) -> list[FollowUp]:
    """Store results; a row that the workload cannot store fails alone."""
    if not trials:
        return []
    try:
        with transaction.atomic():
            return store([trial.verdict for trial in trials if trial.verdict])
    except (OperationalError, InterfaceError):
        raise  # the database is away: the page comes again as a whole
    except Exception as err:
        if len(trials) == 1:
            _fail_with_bug(trials[0], workload, err)
            return []
        half = len(trials) // 2
        first = _store(workload, store, trials[:half])
        return first + _store(workload, store, trials[half:])


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
    for follow_up in _not_there(workload, follow_ups):
        by_run[parents[follow_up.parent_item_id].run_id].append(follow_up)
    inserted: Counter[tuple[int, int]] = Counter()
    for run in Run.objects.filter(pk__in=by_run, cancelled_at=None).order_by("pk"):
        by_destination: defaultdict[Destination, list[NewItem]] = defaultdict(list)
        for follow_up in by_run[run.pk]:
            parent = parents[follow_up.parent_item_id]
            to = Destination(
                provider=parent.provider,
                endpoint=parent.endpoint,
                model=parent.model,
                prompt_version_id=parent.prompt_version_id,
            )
            by_destination[to].append(_new_item(follow_up, to))
            if parent.job_id:
                inserted[parent.job_id, run.pk] += 1
        for to, new in by_destination.items():
            insert_items(run, to, new, now=now)
    for (job_id, run_id), count in sorted(inserted.items()):
        JobShare.objects.filter(job_id=job_id, run_id=run_id).update(
            follow_ups=F("follow_ups") + count
        )
    if inserted:
        announce("bundle")
    return inserted.total()


def _new_item(follow_up: FollowUp, to: Destination) -> NewItem:
    return NewItem(
        subject=follow_up.subject,
        target=Target(follow_up.target),
        request=follow_up.request,
        rendered=render(
            follow_up.request,
            provider=to.provider,
            endpoint=to.endpoint,
            model=to.model,
        ),
        parent_id=follow_up.parent_item_id,
    )


def _not_there(workload: Workload, follow_ups: Sequence[FollowUp]) -> list[FollowUp]:
    """Those that their items have not asked for before, and that are not under way."""
    parents = {follow_up.parent_item_id for follow_up in follow_ups}
    asked = BatchItem.objects.filter(parent_id__in=parents)
    there = set(asked.values_list("parent_id", "target"))
    new = [f for f in follow_ups if (f.parent_item_id, f.target) not in there]
    return not_under_way(workload.key, new)
