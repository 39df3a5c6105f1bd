"""Reuse: what an equal request was answered is not asked and paid for again.

Two requests are equal when their fingerprints are: provider, endpoint and body, with
the model and the result's schema in it. An answer is judged and stored anew for each
item that it serves, as if it had come for it; one that did not pass an error-level
check serves nobody else.

While an equal request is under way its twins wait in the pool. If it ends well they are
answered from it; if not, they are let go in growing numbers, so that one bad answer is
not paid for a thousand times over, and none of them waits for ever.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Count, F

from batches.models import BatchItem, ItemAttempt, ItemRequest, OpenItem, Run
from batches.models.money import to_usd
from batches.providers.registry import is_sandbox
from batches.querysets import OpenItemQuerySet
from batches.services.attempts import Outcome
from batches.services.bulk import in_keys, is_postgres
from batches.services.bundling_lock import take_bundling_lock
from batches.services.events import record_event
from batches.services.lifecycle import (
    ClosedItem,
    close_waiting_items,
    move_items,
    refresh_run,
)
from batches.services.outcomes import insert_follow_ups, store_outcomes
from batches.services.workload_calls import judge_answers
from batches.signals import announce
from batches.states import ITEM_FINAL, AttemptOutcome, EventKind, ItemStatus
from batches.workloads import (
    Answer,
    FollowUp,
    Verdict,
    Workload,
    all_workloads,
)

log = logging.getLogger(__name__)

PAGE = 500
MOST_PAGES = 10  # in one bundling: the next one goes on
FINGERPRINTS_AT_ONCE = 500
EQUAL_UNDER_WAY = (
    "an equal request that is under way; its answer may serve them too, at no cost"
)


@dataclass
class Reused:
    """Items answered without asking, and what their answers had cost, by run."""

    items: int = 0
    saved_nanos: Counter[int] = field(default_factory=Counter)


# --- from finished items --------------------------------------------------------------


def reuse_finished(*, now: datetime) -> Reused:
    """Answer what waits from finished items with the same fingerprint.

    A page of 500 is a transaction; after ten pages the next bundling is asked to go
    on. Safe to repeat, and beside other bundlers.
    """
    reused = Reused()
    workloads = all_workloads()
    found = answerable(now)
    keys = sorted(found)
    for start in range(0, min(len(keys), PAGE * MOST_PAGES), PAGE):
        page = keys[start : start + PAGE]
        by_group: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        waiting = in_keys(OpenItem.objects.all(), "item_id", page)
        for key, *group in waiting.values_list(
            "item_id", "workload", "provider", "endpoint", "model"
        ):
            by_group[tuple(group)].append(key)
        for (workload, *_), alike in sorted(by_group.items()):
            if workload not in workloads:
                _let_go(alike)  # nobody can judge for it; nor will it find these again
                continue
            answers = {key: found[key] for key in alike}
            _answer_page(workloads[workload], answers, reused, now)
    if len(keys) > PAGE * MOST_PAGES:
        announce("bundle")
    return reused


# A look for each fingerprint of the pool, however many items share it, and by its
# index: a join would be left to what a planner thinks of tables that were just filled.
# Donors were in a job: what was reused itself points back to one of them.
ANSWERED = """
    WITH asked AS MATERIALIZED (
        SELECT DISTINCT fingerprint, workload FROM {open}
        WHERE job_id IS NULL AND may_reuse
    ), answered AS MATERIALIZED (
        SELECT fingerprint, workload, (
            SELECT MAX(a.id) FROM {item} b
            JOIN {attempt} a ON a.item_id = b.id AND a.job_id = b.job_id
            WHERE b.fingerprint = asked.fingerprint AND b.workload = asked.workload
                AND b.status = '{complete}' AND a.outcome = '{applied}'
                AND a.checks_failed = ''
        ) AS attempt_id FROM asked
    )
    SELECT fingerprint, workload, attempt_id FROM answered WHERE attempt_id IS NOT NULL
"""


def answerable(now: datetime) -> dict[int, int]:
    """{waiting item: the attempt that holds the answer to an equal one}."""
    query = ANSWERED.format(
        open=OpenItem._meta.db_table,
        item=BatchItem._meta.db_table,
        attempt=ItemAttempt._meta.db_table,
        complete=ItemStatus.COMPLETE.value,
        applied=AttemptOutcome.APPLIED.value,
    )
    with transaction.atomic(), connection.cursor() as cursor:
        if is_postgres():  # which would compile for longer than it then looks
            cursor.execute("SET LOCAL jit = off")
        cursor.execute(query)
        answers = {
            (bytes(fingerprint), workload): attempt_id
            for fingerprint, workload, attempt_id in cursor.fetchall()
        }
    if not answers:
        return {}
    rows = (
        OpenItem.objects.waiting(now)
        .filter(may_reuse=True, run__paused_at=None, run__cancelled_at=None)
        .values_list("item_id", "fingerprint", "workload")
    )
    return {
        item_id: attempt_id
        for item_id, fingerprint, workload in rows.iterator()
        if (attempt_id := answers.get((bytes(fingerprint), workload)))
    }


def answered_before(workload: str, fingerprints: Iterable[bytes]) -> set[bytes]:
    """Those of these fingerprints that a finished item has a usable answer to."""
    keys = list(fingerprints)
    known: set[bytes] = set()
    for start in range(0, len(keys), FINGERPRINTS_AT_ONCE):
        answers = ItemAttempt.objects.filter(
            item__fingerprint__in=keys[start : start + FINGERPRINTS_AT_ONCE],
            item__workload=workload,
            item__status=ItemStatus.COMPLETE,
            job=F("item__job"),
            outcome=AttemptOutcome.APPLIED,
            checks_failed="",
        )
        found = answers.values_list("item__fingerprint", flat=True)
        known |= {bytes(fingerprint) for fingerprint in found}
    return known


def _answer_page(
    workload: Workload, answers: Mapping[int, int], reused: Reused, now: datetime
) -> None:
    """Judge stored answers for other items, and end these with them in one commit."""
    sources = ItemAttempt.objects.in_bulk(set(answers.values()))
    rows = OpenItem.objects.filter(job=None, run__paused_at=None)
    rows = rows.select_related("item")
    waiting = {item.pk: item for item in in_keys(rows, "item_id", answers)}
    verdicts = _judge(
        workload,
        [
            _answer(item, sources[answers[key]], *request)
            for (key, item), request in zip(
                waiting.items(), _requests(workload, waiting), strict=True
            )
        ],
    )
    fit = {
        key: verdict
        for key, verdict in verdicts.items()
        if not verdict.error_code
        and not verdict.errors
        # An answer that asks the same once more wants another one than itself.
        and sources[answers[key]].item_id != waiting[key].item.parent_id
    }
    with transaction.atomic():
        take_bundling_lock()
        _let_go(waiting.keys() - fit.keys())
        closed = close_waiting_items(fit)
        outcomes = [
            Outcome(key, AttemptOutcome.APPLIED, verdict=fit[key])
            for key in sorted(closed)
        ]
        follow_ups = store_outcomes(workload, outcomes, closed)
        used = {o.item_id: sources[answers[o.item_id]] for o in outcomes}
        _write(outcomes, closed, used, now)
        _count(workload, waiting, outcomes, closed, used, follow_ups, reused, now)


def _requests(
    workload: Workload, waiting: Mapping[int, OpenItem]
) -> Iterator[tuple[str, str]]:
    """Body and context of each, where judging needs them."""
    found: Mapping[int, ItemRequest] = {}
    if workload.reads_request:
        found = ItemRequest.objects.in_bulk(list(waiting))
    for key in waiting:
        request = found.get(key)
        yield (request.body, request.context) if request else ("", "")


def _answer(item: OpenItem, source: ItemAttempt, body: str, context: str) -> Answer:
    """A stored answer as if it had come for this item."""
    return Answer(
        item_id=item.pk,
        provider=item.provider,
        model=item.model,
        is_sandbox=is_sandbox(item.provider),
        text=source.answer,
        finish_reason=source.finish_reason,
        fingerprint=source.system_fingerprint,
        body=body,
        context=context,
        content_type_id=item.content_type_id,
        object_id=item.object_id,
        target=item.target,
        prompt_version_id=item.prompt_version_id,
    )


def _judge(workload: Workload, answers: Sequence[Answer]) -> dict[int, Verdict]:
    """Verdicts by item; what the workload's code cannot judge has none."""
    found = judge_answers(workload, answers)
    for item_id, err in found.bugs.items():
        log.error(
            "[Batch Worker] Item %d is asked, and not answered from an equal one: %s "
            "could not judge that: %r",
            item_id,
            workload.key,
            err,
        )
    return {verdict.answer.item_id: verdict for verdict in found.verdicts}


def _let_go(item_ids: Iterable[int]) -> None:
    """Have items asked: what there is does not do for them."""
    in_keys(OpenItem.objects.filter(job=None), "item_id", item_ids).update(
        may_reuse=False
    )


def _write(
    outcomes: Sequence[Outcome],
    closed: Mapping[int, ClosedItem],
    used: Mapping[int, ItemAttempt],
    now: datetime,
) -> None:
    """The items' ends, each with an attempt that names its source."""
    ended: defaultdict[str, list[int]] = defaultdict(list)
    attempts = []
    for outcome in outcomes:
        is_stored = outcome.outcome is AttemptOutcome.APPLIED
        ended[outcome.error_code].append(outcome.item_id)
        source = used[outcome.item_id]
        attempts.append(
            ItemAttempt(
                item_id=outcome.item_id,
                outcome=AttemptOutcome.REUSED if is_stored else AttemptOutcome.FAILED,
                error_code=outcome.error_code,
                error_message=outcome.error_message,
                finish_reason=source.finish_reason,
                prompt_version_id=closed[outcome.item_id].prompt_version_id,
                model_snapshot=source.model_snapshot,
                system_fingerprint=source.system_fingerprint,
                answer=source.answer,
                reused_from=source,
                created_at=now,
            )
        )
    ItemAttempt.objects.bulk_create(attempts)
    for code, keys in sorted(ended.items()):
        move_items(
            in_keys(BatchItem.objects.all(), "pk", keys),
            ItemStatus.PENDING,
            ItemStatus.FAILED if code else ItemStatus.COMPLETE,
            now=now,
            error_code=code,
        )


def _count(
    workload: Workload,
    waiting: Mapping[int, OpenItem],
    outcomes: Sequence[Outcome],
    closed: dict[int, ClosedItem],
    used: Mapping[int, ItemAttempt],
    follow_ups: Sequence[FollowUp],
    reused: Reused,
    now: datetime,
) -> None:
    """Add to the runs' figures; in key order."""
    stored: Counter[int] = Counter()
    failed: Counter[int] = Counter()
    saved: Counter[int] = Counter()
    for outcome in outcomes:
        run_id = closed[outcome.item_id].run_id
        if outcome.outcome is not AttemptOutcome.APPLIED:
            failed[run_id] += 1
            continue
        stored[run_id] += 1
        saved[run_id] += used[outcome.item_id].cost_nanos
    asked: Counter[int] = Counter()
    if outcomes:
        to = waiting[outcomes[0].item_id]
        asked = insert_follow_ups(to, workload, follow_ups, closed, now=now)
    for run_id in sorted(stored.keys() | failed.keys()):
        Run.objects.filter(pk=run_id).update(
            unsent_complete=F("unsent_complete") + stored[run_id],
            unsent_failed=F("unsent_failed") + failed[run_id],
            unsent_follow_ups=F("unsent_follow_ups") + asked[run_id],
            reused=F("reused") + stored[run_id],
            saved_nanos=F("saved_nanos") + saved[run_id],
            waiting_reason="",  # what else it waits for is said anew
        )
        record_event(
            EventKind.RUN_REUSED,
            now=now,
            run=run_id,
            message=f"{stored[run_id]} items answered as equal ones were; "
            f"${to_usd(saved[run_id]):f} not spent again",
            items=stored[run_id],
        )
        refresh_run(run_id, now=now)
    reused.items += stored.total()
    reused.saved_nanos.update(saved)


# --- twins under way ------------------------------------------------------------------


class Work(NamedTuple):
    """What twins share. Accounts do not wait for one another: one may be on hold."""

    fingerprint: bytes
    account: str


class Twins:
    """Waiting items that an equal one under way may spare; read under the bundling
    lock, once for a bundling.

    Of equal items one goes out; after each that ended without an answer for the others
    one more, so their number doubles from time to time. What can be answered from a
    finished item does not go out at all.
    """

    def __init__(self, *, now: datetime) -> None:
        self._answerable = answerable(now)
        if self._answerable:
            announce("bundle")  # it came while this bundling waited for its lock
        self._waiting: defaultdict[Work, dict[int, int]] = defaultdict(dict)
        self._places: dict[Work, int] = {}
        self._work_of: dict[int, Work] = {}
        self._look()

    def _look(self) -> None:
        shared = (
            OpenItem.objects.values("fingerprint", "account")
            .annotate(n=Count("item"))
            .filter(n__gt=1)
            .order_by()
        )
        rows = OpenItem.objects.filter(fingerprint__in=shared.values("fingerprint"))
        under_way: Counter[Work] = Counter()
        since: dict[Work, datetime] = {}
        for key, run_id, job_id, fingerprint, account, may_reuse, ready_at in (
            rows.order_by()
            .values_list(
                "item_id",
                "run_id",
                "job_id",
                "fingerprint",
                "account",
                "may_reuse",
                "ready_at",
            )
            .iterator()
        ):
            work = Work(bytes(fingerprint), account)
            if job_id is not None:
                under_way[work] += 1
            elif may_reuse:
                self._waiting[work][key] = run_id
                self._work_of[key] = work
                since[work] = min(ready_at, since.get(work, ready_at))
        ended = _ended_since(since)
        for work in self._waiting:
            self._places[work] = 1 + ended[work] - under_way[work]

    def leave_in(self, pool: OpenItemQuerySet) -> OpenItemQuerySet:
        """The pool without what has to stay in it as things are."""
        stay = [*self._answerable]
        for work, items in self._waiting.items():
            if self._places[work] <= 0:
                stay += items
        if not stay:
            return pool
        staying = in_keys(OpenItem.objects.all(), "item_id", stay).values("item_id")
        return pool.exclude(item_id__in=staying)

    def may_go(self, item_id: int) -> bool:
        """Whether an item of that pool may still go: a twin may have been taken."""
        work = self._work_of.get(item_id)
        return work is None or self._places[work] > 0

    def take(self, item_id: int) -> None:
        """Say that an item goes out."""
        work = self._work_of.get(item_id)
        if work is not None:
            self._places[work] -= 1
            del self._waiting[work][item_id], self._work_of[item_id]

    def staying(self) -> Counter[int]:
        """How many items of each run wait for an equal one."""
        return Counter(
            run_id
            for work, items in self._waiting.items()
            if self._places[work] <= 0
            for run_id in items.values()
        )


def _ended_since(since: Mapping[Work, datetime]) -> Counter[Work]:
    """How many items with these fingerprints came to their end while others waited."""
    ended: Counter[Work] = Counter()
    works: defaultdict[bytes, list[Work]] = defaultdict(list)
    for work in since:
        works[work.fingerprint].append(work)
    keys = list(works)
    for start in range(0, len(keys), FINGERPRINTS_AT_ONCE):
        found = BatchItem.objects.filter(
            fingerprint__in=keys[start : start + FINGERPRINTS_AT_ONCE],
            status__in=ITEM_FINAL,
            job__isnull=False,
            finished_at__gte=min(since.values()),
        ).exclude(status=ItemStatus.CANCELLED)
        for fingerprint, finished_at in found.values_list("fingerprint", "finished_at"):
            for work in works[bytes(fingerprint)]:
                ended[work] += bool(finished_at and finished_at >= since[work])
    return ended


def twin_under_way(item: BatchItem) -> int | None:
    """The item whose answer a waiting one may be spared by, if there is one."""
    waiting = OpenItem.objects.filter(pk=item.pk, job__isnull=True, may_reuse=True)
    if (here := waiting.first()) is None:
        return None
    equal = BatchItem.objects.filter(
        fingerprint=item.fingerprint,
        status=ItemStatus.IN_JOB,
        open__account=here.account,
    )
    twin = equal.order_by("pk").first()
    return twin.pk if twin else None
