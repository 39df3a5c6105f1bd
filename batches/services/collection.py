"""Collect: from what somebody asked for to the requests that it takes.

A page of subjects becomes items, requests and the run's new cursor in one commit, so
anyone can go on with a run whose collector died; two collectors cannot both write the
same page.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from time import monotonic
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from batches import config
from batches.errors import BadOptions, BatchError
from batches.models import OpenItem, PromptVersion, Run
from batches.models.money import to_nanos, to_usd
from batches.providers.registry import active_provider
from batches.services.arms import Arms, read_arms
from batches.services.estimates import Costs, Estimator
from batches.services.events import record_event
from batches.services.items import Destination, NewItem, insert_items
from batches.services.lifecycle import refresh_run
from batches.services.prices import current_rate
from batches.services.rendering import render
from batches.services.reuse import answered_before
from batches.signals import announce
from batches.states import CanaryState, EventKind, Priority, Trigger
from batches.workloads import Subject, Target, Workload, get_workload

log = logging.getLogger(__name__)

PAGE_SUBJECTS = 200
MOST_BUDGET_NANOS = to_nanos(Decimal(1_000_000))
# Somebody else may put the same work into the pool between our look and our commit.
COLLISION_RETRIES = 5


@dataclass
class Draft:
    """What one page comes to, before anything is written."""

    new: list[NewItem]
    subjects: int
    skipped: Counter[str]
    cursor: str | None
    ready: list[tuple[Subject, Target]] = field(default_factory=list)


@dataclass
class Plan:
    """What a run would be: for the question before the price is agreed to."""

    subjects: int = 0
    items: int = 0
    failed: int = 0
    costs: Costs = field(default_factory=Costs)
    reused: int = 0  # items that an equal one was answered for: they cost nothing
    skipped: Counter[str] = field(default_factory=Counter)
    cursor: str | None = None  # where time ran out; None when all was gone through


@dataclass(frozen=True)
class Order:
    """A run's workload with everything that is settled before its first page."""

    workload: Workload
    options: Any
    destination: Destination
    arms: Arms
    estimator: Estimator

    def cost(self, new: list[NewItem]) -> Costs:
        """What these items come to, without those that cannot be sent."""
        return self.estimator.cost(
            (item.target.key, item.rendered) for item in new if item.rendered
        )


def read_order(workload_key: str, options: dict[str, Any], *, now: datetime) -> Order:
    """Check a workload and its options, and settle provider, model, prompts and price.

    Raises UnknownWorkload, BadOptions, UnknownProvider or UnknownPrice, each naming
    what would do.
    """
    workload = get_workload(workload_key)
    read = workload.read_options(options)
    provider = active_provider()
    model = read.model or config.get("OPENAI_MODEL")
    rate = current_rate(provider, model, now)
    return Order(
        workload=workload,
        options=read,
        destination=Destination(
            provider=provider,
            endpoint=read.endpoint or workload.endpoints[0],
            model=model,
        ),
        arms=read_arms(get_workload(workload.prompted_as(read)), read.prompt),
        estimator=Estimator(workload, rate, provider=provider, model=model),
    )


def start_run(
    workload_key: str,
    options: dict[str, Any],
    *,
    trigger: Trigger,
    owner: User | None = None,
    account: str = "",
    priority: Priority = Priority.NORMAL,
    limit: int | None = None,
    budget_nanos: int | None = None,
    max_attempts: int | None = None,
    may_wait: bool = False,
    force_refresh: bool = False,
    canary: bool = True,
    idempotency_key: str = "",
    schedule: str = "",
    due_at: datetime | None = None,
) -> Run:
    """Write down what is asked for; nothing is collected yet.

    With `force_refresh` also what an equal request was answered before is asked again;
    without `canary` all of it goes out at once, and its answers do not stop it.
    Raises as `read_order` does, and BadOptions for a limit or a budget that is no
    positive number; then nothing is written.
    """
    check_limits(limit=limit, budget_nanos=budget_nanos)
    now = timezone.now()
    order = read_order(workload_key, options, now=now)
    with transaction.atomic():
        run = Run.objects.create(
            workload=order.workload.key,
            options=order.options.model_dump(mode="json"),
            trigger=trigger,
            owner=owner,
            account=account,
            priority=priority,
            limit=limit,
            budget_nanos=budget_nanos,
            max_attempts=max_attempts,
            may_wait=may_wait,
            force_refresh=force_refresh,
            canary_state=CanaryState.UNDECIDED if canary else CanaryState.OFF,
            idempotency_key=idempotency_key,
            schedule=schedule,
            due_at=due_at,
            created_at=now,
        )
        record_event(
            EventKind.RUN_CREATED, now=now, run=run, options=run.options, limit=limit
        )
        announce("collect")
    return run


def start_run_once(
    workload_key: str,
    options: dict[str, Any],
    *,
    idempotency_key: str,
    owner: User | None,
    **given: Any,
) -> tuple[Run, bool]:
    """The owner's run with this key, and whether this call started it.

    However often and from wherever it is asked, one run comes of it; raises as
    `start_run` does.
    """
    known = Run.objects.filter(owner=owner, idempotency_key=idempotency_key)
    if run := known.first():
        return run, False
    try:
        with transaction.atomic():
            return start_run(
                workload_key,
                options,
                idempotency_key=idempotency_key,
                owner=owner,
                **given,
            ), True
    except IntegrityError:
        if run := known.first():
            return run, False  # somebody was faster
        raise


def check_limits(*, limit: int | None, budget_nanos: int | None) -> None:
    if limit is not None and limit < 1:
        raise BadOptions(
            f"The limit is {limit}; it counts subjects and must be 1 or more. "
            "Leave it out for no limit."
        )
    if budget_nanos is not None and budget_nanos < 1:
        raise BadOptions(
            "The budget must be more than 0 dollars; leave it out for none."
        )
    if budget_nanos is not None and budget_nanos > MOST_BUDGET_NANOS:
        raise BadOptions(
            "So large a budget cannot be meant; at most "
            f"${to_usd(MOST_BUDGET_NANOS):,.0f} is taken. Leave it out for none."
        )


def plan_run(
    workload_key: str,
    options: dict[str, Any],
    *,
    limit: int | None = None,
    seconds: float | None = None,
    force_refresh: bool = False,
) -> Plan:
    """Go through all pages of a run and write nothing; raises as `start_run` does.

    With `seconds` it stops at the first page that ends after them; the plan is then of
    what comes up to its `cursor`.
    """
    deadline = None if seconds is None else monotonic() + seconds
    check_limits(limit=limit, budget_nanos=None)
    order = read_order(workload_key, options, now=timezone.now())
    plan = Plan()
    cursor: str | None = ""
    while cursor is not None and (limit is None or plan.subjects < limit):
        draft = _draft_page(order, cursor, _page_size(limit, plan.subjects))
        _drop_what_is_under_way(order, draft)
        plan.subjects += draft.subjects
        plan.items += len(draft.new)
        plan.failed += sum(item.rendered is None for item in draft.new)
        known = set() if force_refresh else _answered_before(order, draft)
        asked = [item for item in draft.new if _fingerprint(item) not in known]
        plan.reused += len(draft.new) - len(asked)
        plan.costs += order.cost(asked)
        plan.skipped += draft.skipped
        cursor = draft.cursor
        if deadline is not None and monotonic() > deadline:
            plan.cursor = cursor
            break
    return plan


def _answered_before(order: Order, draft: Draft) -> set[bytes]:
    fingerprints = {_fingerprint(item) for item in draft.new if item.rendered}
    return answered_before(order.workload.key, fingerprints)


def _fingerprint(item: NewItem) -> bytes:
    return item.rendered.fingerprint if item.rendered else b""


def collect_runs() -> int:
    """Collect every run that is not collected; returns how many items were made.

    One that cannot be, for want of a price say, tells why and does not keep the others;
    the last such BatchError is raised when all were tried.
    """
    made = 0
    trouble: BatchError | None = None
    for run in Run.objects.to_collect():
        try:
            made += collect_run(run)
        except BatchError as err:
            log.error("[Batch Worker] Error collecting run %d: %s", run.pk, err)
            Run.objects.filter(pk=run.pk).update(waiting_reason=str(err)[:500])
            trouble = err
    if trouble:
        raise trouble
    return made


def collect_run(run: Run) -> int:
    """Collect a run from where it stands; returns how many items this call made."""
    order = read_order(run.workload, run.options, now=timezone.now())
    was_collected = run.collected_at is not None
    made = sum(_collect_pages(run, order))
    refresh_run(run.pk, now=timezone.now())
    run.refresh_from_db()
    if made:
        announce("bundle")
    if run.collected_at and not was_collected:
        log.info(
            "[Batch Worker] Found %d %s for %s",
            run.subjects_collected,
            order.workload.nouns(order.options)[run.subjects_collected != 1],
            run.workload,
        )
    return made


def _collect_pages(run: Run, order: Order) -> Iterator[int]:
    """Commit page after page; yields the number of items of each."""
    collisions = 0
    while True:
        run.refresh_from_db()
        if run.collected_at or run.paused_at or run.cancelled_at:
            return
        draft = _draft_page(
            order, run.cursor, _page_size(run.limit, run.subjects_collected)
        )
        try:
            if not _commit_page(run, order, draft):
                return
        except IntegrityError:
            collisions += 1
            if collisions > COLLISION_RETRIES:
                raise
            continue
        yield len(draft.new)


def _commit_page(run: Run, order: Order, draft: Draft) -> bool:
    """Write one page; False when another collector wrote it, or the run was stopped."""
    now = timezone.now()
    with transaction.atomic():
        if draft.ready:  # before the run is locked, as answers are stored before it is
            order.workload.store_ready(_ready_not_under_way(order, run, draft))
        locked = (
            Run.objects.select_for_update(no_key=True)
            .filter(
                pk=run.pk,
                cursor=run.cursor,
                subjects_collected=run.subjects_collected,
                collected_at__isnull=True,
                paused_at__isnull=True,
                cancelled_at__isnull=True,
            )
            .first()
        )
        if locked is None:
            transaction.set_rollback(True)
            return False
        _drop_what_is_under_way(order, draft, scope=order.workload.scope(run.pk))
        insert_items(run, order.destination, draft.new, now=now)
        costs = order.cost(draft.new)
        subjects = run.subjects_collected + draft.subjects
        is_done = draft.cursor is None or (
            run.limit is not None and subjects >= run.limit
        )
        Run.objects.filter(pk=run.pk).update(
            cursor=draft.cursor or "",
            subjects_collected=subjects,
            items_collected=F("items_collected") + len(draft.new),
            unsent_failed=F("unsent_failed")
            + sum(item.rendered is None for item in draft.new),
            skipped=dict(Counter(locked.skipped) + draft.skipped),
            counted_tokens=F("counted_tokens") + costs.input_tokens,
            expected_nanos=F("expected_nanos") + costs.expected,
            high_nanos=F("high_nanos") + costs.high,
            estimate_nanos=F("estimate_nanos") + costs.worst,
            collected_at=now if is_done else None,
        )
        if is_done:
            record_event(
                EventKind.RUN_COLLECTED,
                now=now,
                run=run,
                subjects=subjects,
                items=locked.items_collected + len(draft.new),
            )
            # Here, and not after: nobody would come back to a run without items.
            refresh_run(run.pk, now=now)
    return True


def _page_size(limit: int | None, collected: int) -> int:
    return PAGE_SUBJECTS if limit is None else min(PAGE_SUBJECTS, limit - collected)


def _draft_page(order: Order, cursor: str, size: int) -> Draft:
    """Ask the workload for a page and render its requests; writes nothing."""
    page = order.workload.subjects(order.options, cursor, size)
    skipped = Counter(page.skipped)
    ready: list[tuple[Subject, Target]] = []
    new = [
        item
        for subject in page.subjects
        for item in draft_items(order, subject, skipped, ready)
    ]
    return Draft(new, _distinct_subjects(new), skipped, page.cursor, ready)


def draft_items(
    order: Order,
    subject: Subject,
    skipped: Counter[str],
    ready: list[tuple[Subject, Target]],
) -> Iterator[NewItem]:
    """The items that a subject comes to; what makes none is counted, or is `ready`."""
    prompt = order.arms.of(subject)
    for target in order.workload.targets(subject, order.options):
        if target.skipped:
            skipped[target.skipped] += 1
            if target.ready is not None:
                ready.append((subject, target))
        elif target.error_code:
            yield NewItem(subject, target, prompt_version_id=prompt.pk)
        else:
            yield _draft_item(order, subject, target, prompt)


def _draft_item(
    order: Order, subject: Subject, target: Target, prompt: PromptVersion
) -> NewItem:
    request = order.workload.build_request(subject, target, order.options, prompt.text)
    rendered = render(
        request,
        provider=order.destination.provider,
        endpoint=order.destination.endpoint,
        model=order.destination.model,
    )
    return NewItem(subject, target, request, rendered, prompt_version_id=prompt.pk)


def _drop_what_is_under_way(order: Order, draft: Draft, *, scope: str = "") -> None:
    """Leave out what another run is at: its answer will serve this one too."""
    under_way = _under_way(order, {item.subject.object_id for item in draft.new}, scope)
    if not under_way:
        return
    kept = [
        item
        for item in draft.new
        if (item.subject.content_type_id, item.subject.object_id, item.target.key)
        not in under_way
    ]
    draft.skipped["under_way"] += len(draft.new) - len(kept)
    draft.new[:] = kept
    draft.subjects = _distinct_subjects(kept)


def _ready_not_under_way(
    order: Order, run: Run, draft: Draft
) -> list[tuple[Subject, Target]]:
    """What is ready, without what another run is at: its answer comes anyway."""
    under_way = _under_way(
        order,
        {subject.object_id for subject, _ in draft.ready},
        order.workload.scope(run.pk),
    )
    return [
        (subject, target)
        for subject, target in draft.ready
        if (subject.content_type_id, subject.object_id, target.key) not in under_way
    ]


def _under_way(
    order: Order, object_ids: set[str], scope: str
) -> set[tuple[int, str, str]]:
    """{(kind, row, target)} of these rows that some run is at."""
    opened = OpenItem.objects.filter(
        object_id__in=object_ids, workload=order.workload.key, scope=scope
    )
    return {
        (content_type_id, object_id, served)
        for content_type_id, object_id, target in opened.values_list(
            "content_type_id", "object_id", "target"
        )
        for served in (target, *order.workload.wholes(target))
    }


def _distinct_subjects(new: list[NewItem]) -> int:
    return len({(item.subject.content_type_id, item.subject.object_id) for item in new})
