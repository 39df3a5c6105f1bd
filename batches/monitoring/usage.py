"""What was used and what it cost, by time and by whose it was.

Summed from the hourly rollup and from shares, never from items: what a job used counts
in the hour in which the job ended. Money of the sandbox and of real providers stands in
two parts, and nothing here adds one to the other. Times are of UTC, as the provider's
own figures are.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import F, FloatField, Q, QuerySet, Sum
from django.db.models.functions import Cast, NullIf, Trunc

from batches.errors import BadOptions, UnknownPrice
from batches.models import HourlyUsage, JobShare, JobTally
from batches.monitoring.spans import DAY, HOUR, MINUTE, MONTH, Span, floor
from batches.providers.registry import is_sandbox
from batches.services.prices import Rates, real_time_nanos
from batches.states import JUDGED, AttemptOutcome

GROUPS = ("model", "workload", "owner", "account")
# Attempts that the provider did not execute are no requests.
NOT_EXECUTED = (AttemptOutcome.RETURNED, AttemptOutcome.CANCELLED)
MONTH_DAYS = 30  # what a month is in a projection
MONTHS_OF_YEAR = 12


@dataclass
class Figures:
    """Sums over requests; tokens of the cache are part of the input.

    `compared_nanos` is what those requests cost for which a real-time price is known:
    only they can have saved anything. Of jobs that ran, `reserved_nanos` is what was
    set aside for the worst case, and `expected_nanos` what the run's estimate took to
    be likely for as much. `not_known_nanos` is the most that requests without a known
    cost may have cost beside `cost_nanos`. `ended` are those that settled their item,
    `failed` those of them that it failed with.
    """

    requests: int = 0
    ended: int = 0
    failed: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_nanos: int = 0
    real_time_nanos: int = 0
    compared_nanos: int = 0
    reserved_nanos: int = 0
    expected_nanos: int = 0
    unpriced: int = 0
    not_known_nanos: int = 0

    def add(self, other: "Figures") -> None:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    @property
    def failed_percent(self) -> Decimal | None:
        return percent(self.failed, self.ended)

    @property
    def saved_nanos(self) -> int:
        """Real-time price less what was paid, of what has a real-time price."""
        return self.real_time_nanos - self.compared_nanos

    @property
    def saved_percent(self) -> Decimal | None:
        """Of the real-time price; from actual prices, so not always 50."""
        return percent(self.saved_nanos, self.real_time_nanos)

    @property
    def cached_percent(self) -> Decimal | None:
        return percent(self.cached_tokens, self.input_tokens)

    @property
    def used_percent(self) -> Decimal | None:
        """How much of what was reserved it came to."""
        return percent(self.cost_nanos, self.reserved_nanos)

    @property
    def met_percent(self) -> Decimal | None:
        """How much of what was expected it came to."""
        return percent(self.cost_nanos, self.expected_nanos)

    @property
    def average_cost_nanos(self) -> int:
        return self.cost_nanos // self.requests if self.requests else 0

    @property
    def average_saving_nanos(self) -> int:
        return self.saved_nanos // self.requests if self.requests else 0


def percent(part: int, whole: int) -> Decimal | None:
    """With one decimal; None of nothing."""
    if not whole:
        return None
    return (Decimal(100 * part) / whole).quantize(Decimal("0.1"))


@dataclass(frozen=True)
class Line:
    """Figures of one bucket and one group: a name for each part of `group_by`."""

    start: datetime
    group: tuple[str, ...]
    figures: Figures


@dataclass
class Part:
    """All figures in one kind of money: real, or the sandbox's, which nobody pays."""

    is_sandbox: bool
    span: Span
    lines: list[Line] = field(default_factory=list)
    without_real_time: set[str] = field(default_factory=set)  # models

    @property
    def total(self) -> Figures:
        return _summed(line.figures for line in self.lines)

    @property
    def monthly_saving_nanos(self) -> int:
        """What 30 days save at the pace of the whole range."""
        return int(self.total.saved_nanos * MONTH_DAYS / self.span.days)

    @property
    def yearly_saving_nanos(self) -> int:
        """Twelve such months."""
        return self.monthly_saving_nanos * MONTHS_OF_YEAR

    def by_group(self) -> list[tuple[tuple[str, ...], Figures]]:
        """The groups over the whole range, the dearest first."""
        groups: defaultdict[tuple[str, ...], Figures] = defaultdict(Figures)
        for line in self.lines:
            groups[line.group].add(line.figures)
        return sorted(groups.items(), key=lambda one: (-one[1].cost_nanos, one[0]))

    def by_bucket(self) -> list[tuple[datetime, Figures]]:
        """Every bucket of the range, also those in which nothing ended."""
        found: dict[datetime, Figures] = {at: Figures() for at in self.span.buckets()}
        for line in self.lines:
            found[line.start].add(line.figures)
        return list(found.items())


@dataclass(frozen=True)
class Usage:
    """Real money first; a part that nothing was used in is there, and empty."""

    span: Span
    group_by: tuple[str, ...]
    real: Part
    pretended: Part

    @property
    def parts(self) -> list[Part]:
        return [part for part in (self.real, self.pretended) if part.lines]

    @property
    def unpriced(self) -> int:
        return self.real.total.unpriced + self.pretended.total.unpriced


def usage(
    span: Span,
    *,
    group_by: Sequence[str] = ("model",),
    only: Mapping[str, str] | None = None,
    with_reserved: bool = True,
) -> Usage:
    """Figures of a range by bucket and group, oldest and then dearest first.

    Without `with_reserved` shares are not read: what was predicted and what is not
    known stay 0. `only` narrows them, `{"model": "gpt-4o-mini"}`; an empty name stands
    for none. Raises BadOptions for an owner that nobody is.
    """
    found = Usage(
        span,
        tuple(group_by),
        Part(is_sandbox=False, span=span),
        Part(is_sandbox=True, span=span),
    )
    lines: defaultdict[tuple[bool, datetime, tuple[Any, ...]], Figures]
    lines = defaultdict(Figures)
    wanted = _wanted(only or {})
    for row in _priced(_used(span, group_by, wanted), found):
        lines[row.key].add(row.figures)
    for row in _reserved(span, group_by, wanted) if with_reserved else ():
        lines[row.key].add(row.figures)
    names = _owner_names(group for _, _, group in lines) if "owner" in group_by else {}
    for (in_sandbox, start, group), figures in lines.items():
        named = tuple(
            _group_name(name, value, names)
            for name, value in zip(group_by, group, strict=True)
        )
        part = found.pretended if in_sandbox else found.real
        part.lines.append(Line(start, named, figures))
    for part in (found.real, found.pretended):
        part.lines.sort(key=lambda one: (one.start, -one.figures.cost_nanos, one.group))
    return found


@dataclass(frozen=True)
class _Row:
    provider: str
    model: str
    at: datetime
    start: datetime
    group: tuple[Any, ...]
    figures: Figures

    @property
    def key(self) -> tuple[bool, datetime, tuple[Any, ...]]:
        return is_sandbox(self.provider), self.start, self.group


_OF_ROLLUP = {
    "at": "hour",
    "provider": "provider",
    "model": "model",
    "workload": "workload",
    "owner": "owner_key",
    "account": "account",
}
_OF_JOBS = {
    "at": "job__finished_at",
    "provider": "job__provider",
    "model": "job__model",
    "workload": "job__workload",
    "owner": "run__owner_id",
    "account": "job__account",
}
_WIDTHS = {MINUTE: "minute", HOUR: "hour", DAY: "day", MONTH: "day"}


class _UtcTrunc(Trunc):
    """`Trunc` in UTC; SQLite does it itself, without a call of Python for each row."""

    _FORMATS = {
        "minute": "%%Y-%%m-%%d %%H:%%M:00",
        "hour": "%%Y-%%m-%%d %%H:00:00",
        "day": "%%Y-%%m-%%d 00:00:00",
    }

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> Any:
        sql, params = compiler.compile(self.lhs)  # times are kept in UTC there
        return f"strftime('{self._FORMATS[str(self.kind)]}', {sql})", params


def _wanted(only: Mapping[str, str]) -> dict[str, Any]:
    """What is asked for, an owner by key; None for work that nobody owns."""
    wanted: dict[str, Any] = dict(only)
    if name := wanted.get("owner"):
        users = get_user_model()
        field = {f"{users.USERNAME_FIELD}__exact": name}
        wanted["owner"] = users._default_manager.filter(**field).values("pk").first()
        if wanted["owner"] is None:
            raise BadOptions(f"There is no user {name!r}; check the name.")
        wanted["owner"] = wanted["owner"]["pk"]
    elif "owner" in wanted:
        wanted["owner"] = None
    return wanted


def _used(
    span: Span, group_by: Sequence[str], wanted: Mapping[str, Any]
) -> Iterator[_Row]:
    """What attempts used; months come by the day, as a price holds for days."""
    sums = {
        "requests": Sum("attempts", filter=~Q(outcome__in=NOT_EXECUTED), default=0),
        "ended": Sum("attempts", filter=Q(outcome__in=JUDGED), default=0),
        "failed": Sum("attempts", filter=Q(outcome=AttemptOutcome.FAILED), default=0),
        **{
            name: Sum(name)
            for name in ("input_tokens", "cached_tokens", "output_tokens", "cost_nanos")
        },
    }
    if span.bucket == MINUTE:
        return _rows(JobTally.objects.all(), _OF_JOBS, span, group_by, wanted, sums)
    return _rows(HourlyUsage.objects.all(), _OF_ROLLUP, span, group_by, wanted, sums)


def _reserved(
    span: Span, group_by: Sequence[str], wanted: Mapping[str, Any]
) -> Iterator[_Row]:
    """What was predicted of shares, where anything ran, and what is not known."""
    has_run = Q(job__input_tokens__gt=0) | Q(unpriced__gt=0)
    # A share's part of its run's estimate is as large as of its worst case. In floats:
    # whole nano-dollars multiplied do not fit a column.
    likely = Cast("run__expected_nanos", FloatField()) / Cast(
        NullIf("run__estimate_nanos", 0), FloatField()
    )
    sums = {
        "reserved_nanos": Sum("reserved_nanos", filter=has_run, default=0),
        "expected_nanos": Sum(likely * F("reserved_nanos"), filter=has_run),
        "unpriced": Sum(F("unpriced")),
        "not_known_nanos": Sum("unpriced_nanos"),
    }
    return _rows(JobShare.objects.all(), _OF_JOBS, span, group_by, wanted, sums)


def _rows(
    table: QuerySet[Any],
    names: dict[str, str],
    span: Span,
    group_by: Sequence[str],
    wanted: Mapping[str, Any],
    sums: dict[str, Any],
) -> Iterator[_Row]:
    at = names["at"]
    within = table.filter(**{f"{at}__gte": span.start, f"{at}__lt": span.end})
    for name, value in wanted.items():
        # Nobody is the key 0 in the rollup, and null in a run.
        nobody = {"owner_key": 0} if names is _OF_ROLLUP else {"run__owner": None}
        within = within.filter(**(nobody if value is None else {names[name]: value}))
    groups = [names[name] for name in group_by]
    columns = [names["provider"], names["model"], *groups]
    bucketed = within.annotate(
        bucket=_UtcTrunc(at, kind=_WIDTHS[span.bucket], tzinfo=UTC)
    ).values("bucket", *dict.fromkeys(columns))
    # Under names of their own: a sum called like its column hides the column.
    summed = {f"sum_{name}": what for name, what in sums.items()}
    for row in bucketed.annotate(**summed).order_by():
        yield _Row(
            row[names["provider"]],
            row[names["model"]],
            row["bucket"],
            span.bucket_of(row["bucket"]),
            tuple(row[name] or _NOBODY for name in groups),
            Figures(**{name: int(row[f"sum_{name}"] or 0) for name in sums}),
        )


_NOBODY = ""


def _priced(rows: Iterable[_Row], found: Usage) -> Iterator[_Row]:
    """Give each row the real-time price of its tokens, on its day."""
    rates: Rates | None = None
    for row in rows:
        if rates is None:
            rates = Rates(found.span.end)
        figures = row.figures
        day = floor(row.at, DAY)
        try:
            rate = rates.of(row.provider, row.model, at=day)
        except UnknownPrice:
            part = found.pretended if is_sandbox(row.provider) else found.real
            part.without_real_time.add(row.model)
        else:
            figures.compared_nanos = figures.cost_nanos
            figures.real_time_nanos = real_time_nanos(
                rate,
                input_tokens=figures.input_tokens,
                cached_tokens=figures.cached_tokens,
                output_tokens=figures.output_tokens,
                cost_nanos=figures.cost_nanos,
            )
        yield row


def _summed(many: Iterable[Figures]) -> Figures:
    total = Figures()
    for one in many:
        total.add(one)
    return total


def _owner_names(groups: Iterable[tuple[Any, ...]]) -> dict[int, str]:
    keys = {value for group in groups for value in group if isinstance(value, int)}
    users = get_user_model()._default_manager.in_bulk(list(keys))
    return {key: user.get_username() for key, user in users.items()}


def _group_name(name: str, value: Any, owners: dict[int, str]) -> str:
    if name != "owner" or value == _NOBODY:
        return str(value)
    return owners.get(value, f"user {value} (deleted)")
