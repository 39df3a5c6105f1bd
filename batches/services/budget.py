"""What may still be spent and sent: every cap, worst case, read under one lock.

There is no ledger beside the shares: what a share has cost so far, or reserved where
that is more and its job is not finished, is what was spent. So work in flight counts in
full, and nothing has to be given back when a job ends.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.db.models import F, Q, Sum
from django.db.models.functions import Greatest

from batches import config
from batches.models import Cap, CapNotice, JobShare, Run
from batches.models.money import to_nanos, to_usd
from batches.providers.registry import SANDBOX, is_sandbox
from batches.services.alerts import raise_alert
from batches.services.events import record_event
from batches.states import CapPeriod, CapScope, EventKind, Severity

log = logging.getLogger(__name__)

TOLD_AT = (50, 80, 100)  # percent of a cap
FOR_EVER = datetime(2000, 1, 1, tzinfo=UTC)  # where a cap without a period began
WITHIN = {
    CapPeriod.DAY: "the daily cap",
    CapPeriod.MONTH: "the monthly cap",
    CapPeriod.EVER: "the cap",
}
# {(scope, period): the setting} of caps in dollars that need no row
SETTINGS = {
    (CapScope.ALL, CapPeriod.MONTH): "MONTHLY_CAP_USD",
    (CapScope.ALL, CapPeriod.DAY): "DAILY_CAP_USD",
    (CapScope.RUN, CapPeriod.EVER): "RUN_CAP_USD",
}


@dataclass(frozen=True)
class Payer:
    """Whose work it is, as caps tell it apart; one run's items have one payer."""

    workload: str
    account: str = ""
    owner_id: int | None = None
    owner_name: str = ""
    run_id: int | None = None
    budget_nanos: int | None = None

    def name(self, scope: CapScope) -> str:
        """What this payer is called within a scope."""
        return {
            CapScope.ALL: "",
            CapScope.WORKLOAD: self.workload,
            CapScope.ACCOUNT: self.account,
            CapScope.OWNER: self.owner_name,
            CapScope.RUN: str(self.run_id or ""),
        }[scope]


@dataclass(frozen=True)
class Limit:
    """One cap as it is set: by a row, a setting, or a run's own budget."""

    scope: CapScope
    period: CapPeriod
    most: int  # nano-dollars, or items
    raise_what: str  # what a person changes to raise it
    key: str = ""
    is_items: bool = False

    def binds(self, payer: Payer) -> bool:
        return not self.key or self.key == payer.name(self.scope)


@dataclass
class Purse:
    """What one cap has left for one of those whom it binds."""

    limit: Limit
    name: str
    left: int  # nano-dollars, or items
    start: datetime | None
    is_sandbox: bool
    has_refused: bool = False
    runs: set[int] = field(default_factory=set)  # those that asked

    def can_pay(self, nanos: int) -> bool:
        if (1 if self.limit.is_items else nanos) <= self.left:
            return True
        self.has_refused = True
        return False

    def pay(self, nanos: int) -> None:
        self.left -= 1 if self.limit.is_items else nanos

    @property
    def used(self) -> int:
        return self.limit.most - self.left

    @property
    def used_percent(self) -> int:
        if self.has_refused or self.left <= 0:
            return 100
        return self.used * 100 // self.limit.most

    @property
    def label(self) -> str:
        """Which cap, for a sentence: “the monthly cap of $5.00 for the workload x”."""
        most = self.limit.most
        words = f"{most:,} items" if self.limit.is_items else dollars(most)
        whose = {
            CapScope.ALL: "",
            CapScope.WORKLOAD: f" for the workload {self.name}",
            CapScope.ACCOUNT: f" for the account {self.name or '(none)'}",
            CapScope.OWNER: f" for {self.name or 'work without an owner'}",
            CapScope.RUN: " for this run",
        }[self.limit.scope]
        kind = " in the sandbox" if self.is_sandbox else ""
        return f"{WITHIN[self.limit.period]} of {words}{whose}{kind}"

    @property
    def left_words(self) -> str:
        left = max(self.left, 0)
        if self.limit.is_items:
            return f"{left:,} item{'' if left == 1 else 's'}"
        return dollars(left)

    def explain(self) -> str:
        """Why something waits for it, what is left, and what to do."""
        until = {
            CapPeriod.DAY: ", or wait for the next day (UTC)",
            CapPeriod.MONTH: ", or wait for the next month (UTC)",
            CapPeriod.EVER: "",
        }[self.limit.period]
        return (
            f"{self.label}, of which {self.left_words} can still go, and the next "
            f"request may need more. Raise {self.limit.raise_what}{until}."
        )

    def whole_again_at(self, now: datetime) -> datetime | None:
        """When its next period begins; None where it has but one."""
        if self.start is None:
            return None
        return next_period(self.limit.period, now)

    @property
    def key(self) -> str:
        kind = "sandbox" if self.is_sandbox else "real"
        unit = "items" if self.limit.is_items else "usd"
        scope, period = self.limit.scope, self.limit.period
        return f"{scope}:{self.name}:{period}:{unit}:{kind}"[:200]


@dataclass
class Budget:
    """The purses of one kind of money; exact while the bundling lock is held.

    Each payer is bound by several caps at once: it may go on while all of them can pay.
    """

    provider: str
    now: datetime
    _purses: dict[tuple[Limit, str], Purse] = field(default_factory=dict)
    _of_payer: dict[Payer, list[Purse]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        caps = Cap.objects.order_by("pk")
        self._limits = [*settings_limits(), *map(limit_of, caps)]

    def purses(self, payer: Payer) -> list[Purse]:
        """Every purse that this payer's items are paid from."""
        if payer not in self._of_payer:
            limits = [limit for limit in self._limits if limit.binds(payer)]
            if payer.budget_nanos is not None:
                limits.append(_own_budget(payer.budget_nanos))
            self._of_payer[payer] = [self.purse(limit, payer) for limit in limits]
            for purse in self._of_payer[payer]:
                if payer.run_id is not None:
                    purse.runs.add(payer.run_id)
        return self._of_payer[payer]

    def purse(self, limit: Limit, payer: Payer) -> Purse:
        """What this limit has left for this payer; one purse for all whom it binds."""
        place = (limit, payer.name(limit.scope))
        if place not in self._purses:
            self._purses[place] = self._open(limit, payer)
        return self._purses[place]

    def take(self, payer: Payer, nanos: int) -> Purse | None:
        """Reserve so much for one item; or the purse that cannot pay it."""
        purses = self.purses(payer)
        for purse in purses:
            if not purse.can_pay(nanos):
                return purse
        for purse in purses:
            purse.pay(nanos)
        return None

    def tightest(self, payer: Payer) -> Purse | None:
        """The cap in dollars that has least left: the one that binds."""
        in_dollars = [p for p in self.purses(payer) if not p.limit.is_items]
        return min(in_dollars, key=lambda purse: purse.left, default=None)

    def opened(self) -> Iterable[Purse]:
        return self._purses.values()

    def _open(self, limit: Limit, payer: Payer) -> Purse:
        start = period_start(limit.period, self.now)
        pretended = is_sandbox(self.provider)
        shares = _shares_of(limit.scope, payer)
        if start is not None:
            shares &= Q(job__created_at__gte=start)
        in_sandbox = Q(job__provider=SANDBOX)
        shares &= in_sandbox if pretended else ~in_sandbox
        used = _used(shares)
        return Purse(
            limit=limit,
            name=payer.name(limit.scope),
            left=limit.most - (used.items if limit.is_items else used.nanos),
            start=start,
            is_sandbox=pretended,
        )


def settings_limits() -> Iterator[Limit]:
    """The caps that settings make. Raises ConfigError for a value that is none."""
    for (scope, period), name in SETTINGS.items():
        most: Decimal | None = config.get(name)
        if most is not None:
            yield Limit(scope, period, to_nanos(most), raise_what=name)


def limit_of(cap: Cap) -> Limit:
    is_items = cap.most_nanos is None
    return Limit(
        CapScope(cap.scope),
        CapPeriod(cap.period),
        int((cap.most_items if is_items else cap.most_nanos) or 0),
        raise_what=f"the cap “{cap}”",
        key=cap.key,
        is_items=is_items,
    )


def tightest_cap(
    provider: str, payers: Iterable[Payer], *, now: datetime
) -> Purse | None:
    """The cap in dollars that has least left for any of these; None if none binds."""
    budget = Budget(provider, now=now)
    found = [purse for payer in payers if (purse := budget.tightest(payer))]
    return min(found, key=lambda purse: purse.left, default=None)


def payer_of(run: Run) -> Payer:
    return Payer(
        workload=run.workload,
        account=run.account,
        owner_id=run.owner_id,
        owner_name=run.owner.get_username() if run.owner else "",
        run_id=run.pk,
        budget_nanos=run.budget_nanos,
    )


def _own_budget(nanos: int) -> Limit:
    return Limit(CapScope.RUN, CapPeriod.EVER, nanos, raise_what="the run's budget")


def period_start(period: CapPeriod, now: datetime) -> datetime | None:
    """When the day or month (of UTC) began that `now` lies in; None for ever."""
    if period == CapPeriod.EVER:
        return None
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return day if period == CapPeriod.DAY else day.replace(day=1)


def next_period(period: CapPeriod, now: datetime) -> datetime | None:
    """When a cap within this period is whole again; None for one that never is."""
    start = period_start(period, now)
    if start is None:
        return None
    if period == CapPeriod.DAY:
        return start + timedelta(days=1)
    return (start + timedelta(days=32)).replace(day=1)


def _shares_of(scope: CapScope, payer: Payer) -> Q:
    return {
        CapScope.ALL: Q(),
        CapScope.WORKLOAD: Q(job__workload=payer.workload),
        CapScope.ACCOUNT: Q(job__account=payer.account),
        CapScope.OWNER: Q(run__owner=payer.owner_id),
        CapScope.RUN: Q(run=payer.run_id),
    }[scope]


@dataclass(frozen=True)
class Used:
    """What went out: worst case where the end is not known."""

    nanos: int
    items: int


def _used(which: Q) -> Used:
    """Sum shares: a job that was abandoned counts as reserved, for good, and answers
    whose cost is not known (`services/actuals.py`) at the most that they may cost.
    """
    is_unknown = Q(job__finished_at__isnull=True) | Q(job__abandoned_at__isnull=False)
    sums = JobShare.objects.filter(which).aggregate(
        settled=Sum(
            F("cost_nanos") + F("unpriced_nanos"), filter=~is_unknown, default=0
        ),
        pending=Sum(
            Greatest(F("reserved_nanos"), F("cost_nanos")),
            filter=is_unknown,
            default=0,
        ),
        items=Sum(F("sent") - F("returned"), default=0),
    )
    return Used(int(sums["settled"] + sums["pending"]), int(sums["items"]))


def dollars(nanos: int) -> str:
    """For people: cents, and more places where cents would hide it all."""
    usd = to_usd(nanos)
    return f"${usd:,.2f}" if usd >= 1 or not nanos else f"${usd:,.4f}"


def tell_of_caps(budgets: Iterable[Budget], *, now: datetime) -> None:
    """Tell, once a period, of each cap that is used up by half, four fifths or all.

    An event on the runs that asked it for money, and from 80 % on an alert; but not of
    a cap for one run, which is there to be used up.
    """
    for budget in budgets:
        for purse in budget.opened():
            if reached := [p for p in TOLD_AT if purse.used_percent >= p]:
                _tell(purse, reached, now=now)


def _tell(purse: Purse, reached: Sequence[int], *, now: datetime) -> None:
    start = purse.start or FOR_EVER
    told = set(
        CapNotice.objects.filter(cap=purse.key, period_start=start).values_list(
            "percent", flat=True
        )
    )
    new = [percent for percent in reached if percent not in told]
    if not new:
        return
    try:
        with transaction.atomic():
            CapNotice.objects.bulk_create(
                CapNotice(
                    cap=purse.key, period_start=start, percent=percent, created_at=now
                )
                for percent in new
            )
    except IntegrityError:  # somebody was faster
        return
    percent = max(new)
    message = (
        f"Used up: {purse.explain()}"
        if percent == 100
        else f"{percent} % of {purse.label} is spent or reserved; "
        f"{purse.left_words} can still go."
    )
    for run in sorted(purse.runs):
        record_event(
            EventKind.RUN_SPENT, now=now, run=run, message=message, percent=percent
        )
    if percent >= TOLD_AT[1] and purse.limit.scope != CapScope.RUN:
        raise_alert(
            "cap_reached",
            message,
            key=f"{purse.key}:{start:%Y-%m-%d}"[:200],
            severity=Severity.CRITICAL if percent >= 100 else Severity.MEDIUM,
        )
