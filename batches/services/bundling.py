"""Bundle: from the pool of waiting items to jobs, each paid for before it exists.

All of it happens under one lock, so that two bundlers never see the same money, slots
or items: an advisory lock on PostgreSQL, the write transaction itself on SQLite.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F, Q, Sum
from django.utils import timezone

from batches import config
from batches.errors import BatchError
from batches.models import BatchItem, BatchJob, Hold, JobShare, OpenItem, Run
from batches.providers.pricing import Rate
from batches.services.budget import Budget, dollars, tell_of_caps
from batches.services.bulk import one_of
from batches.services.bundling_lock import take_bundling_lock
from batches.services.canary import held_back, settle_samples, waits_for_sample
from batches.services.events import record_event
from batches.services.governor import Governor
from batches.services.holds import active_holds, held_until, is_probe_due
from batches.services.lifecycle import move_items, refresh_run
from batches.services.pool import Lane, Order, Pool, Wanted
from batches.services.prices import Rates
from batches.services.rendering import worst_case_nanos
from batches.services.reuse import EQUAL_UNDER_WAY, Twins, reuse_finished
from batches.services.settlement import cancel_waiting
from batches.signals import announce
from batches.states import HOLDING_BACK, TO_SUBMIT, EventKind, ItemStatus

log = logging.getLogger(__name__)

# The provider's bounds for one batch: 50,000 requests and 209,715,200 bytes.
MAX_FILE_BYTES = 209_715_200


def bundle(*, now: datetime | None = None) -> list[BatchJob]:
    """Make jobs of all that waits and may go; returns them, in the order made.

    A group that cannot be bundled, for want of a price say, tells why on its runs and
    does not keep the others; the last such BatchError is raised when all were tried.
    """
    now = now or timezone.now()
    reuse_finished(now=now)
    for settle in (_end_what_nobody_wants, settle_samples):
        # Each by itself: they write runs, and so does whatever ends a job.
        with transaction.atomic():
            take_bundling_lock()
            settle(now=now)
    with transaction.atomic():
        take_bundling_lock()
        bundling = Bundling(now)
        bundling.run()
        bundling.tell()
    jobs = bundling.jobs
    for run_id in sorted({share.run_id for job in jobs for share in job.shares.all()}):
        refresh_run(run_id, now=now)
    if jobs:
        announce("submit")
    for job in jobs:
        log.info(
            "[Batch API] Created %s batch job with %d requests",
            job.workload,
            job.items_total,
        )
    if bundling.trouble:
        raise bundling.trouble
    return jobs


def _end_what_nobody_wants(*, now: datetime) -> None:
    """What answers and endings put into the pool after their run was cancelled."""
    cancelled = Run.objects.unfinished().filter(cancelled_at__isnull=False)
    for run in cancelled.order_by("pk"):
        if cancel_waiting(run, now=now):
            refresh_run(run.pk, now=now)


@dataclass
class Room:
    """What one file may still take: bytes and, where a limit is known, input tokens."""

    file_bytes: int
    tokens: int | None

    def has(self, item: Wanted) -> bool:
        fits = self.tokens is None or item.input_tokens <= self.tokens
        return fits and item.body_bytes <= self.file_bytes

    def take(self, item: Wanted) -> None:
        self.file_bytes -= item.body_bytes
        if self.tokens is not None:
            self.tokens -= item.input_tokens


@dataclass
class Bundling:
    """One pass over the pool, under the lock: what it made, and what is told of it."""

    now: datetime
    jobs: list[BatchJob] = field(default_factory=list)
    trouble: BatchError | None = None

    def __post_init__(self) -> None:
        self.twins = Twins(now=self.now)
        self.pool = Pool(self.now, self.twins)
        self.lanes = [lane for lanes in self.pool.lanes.values() for lane in lanes]
        self.holds = active_holds()
        self.budgets: dict[str, Budget] = {}
        self.rates = Rates(self.now)
        self.governor = Governor(now=self.now)

    def run(self) -> None:
        """Make job after job, each of the group that is wanted most."""
        while lanes := self.pool.most_wanted_group():
            try:
                with transaction.atomic():
                    self._bundle_once(lanes)
            except BatchError as err:
                log.error("[Batch Worker] Error bundling %s: %s", lanes[0].group, err)
                self._wait(lanes, f"something to be mended: {err}")
                self.trouble = err

    def _bundle_once(self, lanes: Sequence[Lane]) -> None:
        """Make the next job of a group, or say on its lanes what they wait for."""
        group = lanes[0].group
        hold = self._hold_on(group)
        if hold and (not is_probe_due(hold, self.now) or _has_job_to_send(group)):
            return self._wait(lanes, held_until(hold), until=hold.probe_at)
        if not hold and (goes_at := self._waits_until(lanes)):
            waiting = sum(lane.waiting for lane in lanes)
            return self._wait(
                lanes,
                f"a job of {config.get('BATCH_MIN_SIZE')} ({waiting} are there), "
                f"until {goes_at:%H:%M} UTC at the latest",
                until=goes_at,
            )
        if wait := self.governor.wait(group):
            return self._wait(lanes, wait.reason, until=wait.until)
        rate = self.rates.of(group["provider"], group["model"])
        if chosen := self._choose(lanes, rate):
            job = _make_job(group, chosen, rate, self.now)
            self.governor.took_job(
                group, items=job.items_total, tokens=job.queued_tokens
            )
            self.jobs.append(job)
        else:  # all that is left waits for twins, or says itself what for
            self._wait(lanes, EQUAL_UNDER_WAY)
        if hold:  # one job probes it, and decides on the others
            self._wait(lanes, held_until(hold), until=hold.probe_at)

    def _hold_on(self, group: dict[str, str]) -> Hold | None:
        for hold in self.holds:
            if hold.covers(
                provider=group["provider"],
                workload=group["workload"],
                account=group["account"],
            ):
                return hold
        return None

    def _waits_until(self, lanes: Sequence[Lane]) -> datetime | None:
        """Until when a group waits for a fuller file; None if it goes.

        Only runs that said so wait, below BATCH_MIN_SIZE, and no longer than
        BATCH_MAX_WAIT_MINUTES; an urgent run in the group takes the others along.
        """
        if any(lane.is_impatient or lane.sent for lane in lanes):
            return None
        longest_wait = timedelta(minutes=config.get("BATCH_MAX_WAIT_MINUTES"))
        goes_at = min(lane.oldest for lane in lanes) + longest_wait
        is_enough = sum(lane.waiting for lane in lanes) >= config.get("BATCH_MIN_SIZE")
        return None if is_enough or goes_at <= self.now else goes_at

    def _choose(self, lanes: Sequence[Lane], rate: Rate) -> list[Wanted]:
        """The next job's items, in order: as many as count, bytes, the provider's queue
        and money allow."""
        group = lanes[0].group
        most = self.governor.job_size(group, sum(lane.left for lane in lanes))
        room = Room(MAX_FILE_BYTES, self.governor.queue_left(group))
        budget = self._budget(group["provider"])
        order = Order(self.pool, lanes, self.pool.items(lanes, most))
        chosen: list[Wanted] = []
        while len(chosen) < most and (turn := order.first()):
            lane, item = turn
            if not self.twins.may_go(item.item_id):
                order.pass_over()
                continue
            if chosen and not room.has(item):
                break
            price = worst_case_nanos(
                rate, input_tokens=item.input_tokens, output_limit=item.output_limit
            )
            if purse := budget.take(lane.payer, price):
                lane.reason, lane.is_short = purse.explain(), True
                lane.until = purse.whole_again_at(self.now)
                order.skip()
                continue
            chosen.append(item)
            room.take(item)
            self.twins.take(item.item_id)
            order.took()
        return chosen

    def _budget(self, provider: str) -> Budget:
        if provider not in self.budgets:
            self.budgets[provider] = Budget(provider, now=self.now)
        return self.budgets[provider]

    def _wait(
        self, lanes: Sequence[Lane], reason: str, *, until: datetime | None = None
    ) -> None:
        for lane in lanes:
            if not lane.reason:
                lane.reason, lane.until = reason, until

    def tell(self) -> None:
        """On each run, why some of its items are still in the pool; once, as an event.

        Last, and in the order of keys, as whatever ends a job writes these rows too.
        """
        waits: dict[int, tuple[str, datetime | None]] = {}
        for lane in self.lanes:
            if lane.left:
                words = self._words_of_waiting(lane)
                waits.setdefault(lane.run_id, (words, lane.until))
        staying = self.twins.staying()
        seen = {lane.run_id for lane in self.lanes} | staying.keys()
        held = Run.objects.unfinished().filter(canary_state__in=HOLDING_BACK)
        told = Run.objects.filter(Q(pk__in=seen) | Q(pk__in=held), paused_at=None)
        for run in told.order_by("pk"):
            reason, until = waits.get(run.pk, ("", None))
            if not reason and (kept := held_back(run)):
                reason = f"{kept:,} items wait for {waits_for_sample(run)}"
            elif not reason and staying[run.pk]:
                reason = f"{staying[run.pk]:,} items wait for {EQUAL_UNDER_WAY}"
            reason = reason[:500]
            if (run.waiting_reason, run.waiting_until) == (reason, until):
                continue
            Run.objects.filter(pk=run.pk).update(
                waiting_reason=reason, waiting_until=until
            )
            if reason:
                record_event(EventKind.RUN_WAITS, now=self.now, run=run, message=reason)
        tell_of_caps(self.budgets.values(), now=self.now)

    def _words_of_waiting(self, lane: Lane) -> str:
        """“212 of 260 go now, 48 wait for $1.10: …”."""
        who = f"{lane.left:,} items wait"
        if lane.sent:
            who = f"{lane.sent:,} of {lane.waiting:,} go now, {lane.left:,} wait"
        price = f"{dollars(self._worst_case_of(lane))}: " if lane.is_short else ""
        return f"{who} for {price}{lane.reason}"[:500]

    def _worst_case_of(self, lane: Lane) -> int:
        """What the rest of a lane may cost, to a nano-dollar an item."""
        rest = self.pool.waiting().filter(**lane.group, run=lane.run_id)
        sums = rest.aggregate(
            input_tokens=Sum("input_tokens", default=0),
            output_limit=Sum("output_limit", default=0),
        )
        rate = self.rates.of(lane.group["provider"], lane.group["model"])
        return worst_case_nanos(rate, **sums)


def _has_job_to_send(group: dict[str, str]) -> bool:
    return BatchJob.objects.filter(**group, status__in=TO_SUBMIT).exists()


def _make_job(
    group: dict[str, str], chosen: Sequence[Wanted], rate: Rate, now: datetime
) -> BatchJob:
    """Write a job, its shares with the money they reserve, and its items' places."""
    job = BatchJob.objects.create(
        **group,
        items_total=len(chosen),
        file_bytes=sum(item.body_bytes for item in chosen),
        queued_tokens=sum(item.input_tokens for item in chosen),
        created_at=now,
    )
    JobShare.objects.bulk_create(_shares(job, chosen, rate))
    sql, param = one_of("item_id", (item.item_id for item in chosen))
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {OpenItem._meta.db_table} SET job_id = %s WHERE {sql}",  # noqa: S608
            [job.pk, param],
        )
    move_items(
        BatchItem.objects.filter(
            pk__in=OpenItem.objects.filter(job=job).values("item_id")
        ),
        ItemStatus.PENDING,
        ItemStatus.IN_JOB,
        now=now,
        job=job,
        attempts=F("attempts") + 1,
    )
    record_event(EventKind.BATCH_CREATED, now=now, job=job, items=job.items_total)
    return job


def _shares(job: BatchJob, chosen: Sequence[Wanted], rate: Rate) -> list[JobShare]:
    sent: Counter[int] = Counter()
    reserved: Counter[int] = Counter()
    for item in chosen:
        sent[item.run_id] += 1
        reserved[item.run_id] += worst_case_nanos(
            rate, input_tokens=item.input_tokens, output_limit=item.output_limit
        )
    return [
        JobShare(
            job=job, run_id=run_id, sent=sent[run_id], reserved_nanos=reserved[run_id]
        )
        for run_id in sorted(sent)
    ]
