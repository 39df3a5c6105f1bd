"""What a token costs, at batch price and at the real-time price, in Decimal.

Rates are those of our own dated rows where one fits, else of `genai-prices`. Traps of
that package that this module stands in front of (0.2.3, tried in November 2026):

- A model without batch rates, a misspelt context and a time before its batch rates
  began all give the full price without a word. So a batch rate counts only if it is
  below the full one, and time begins where the rates do.
- It knows only the snapshots that it lists. Others have the price of their family.
- Cached input is half of the cached rate for GPT-5 and later, and the full cached rate
  for older models: nothing is halved here but embeddings, which OpenAI halves (Batch
  guide, 2026-10) and the package does not.
- From gpt-5.4 on a prompt above a threshold costs more, all of it; from gpt-5.6 on what
  is written to the cache costs more than plain input.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise
from math import lcm
from typing import TYPE_CHECKING, Any

from batches.errors import UnknownPrice

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

# Before this day the package knows no batch rates; prices of that time are not ours to
# apply, since a line is priced when its answer is read.
RATES_BEGIN = datetime(2026, 10, 15, tzinfo=UTC)
SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")
VERSION_LENGTH = 64  # of the column that keeps it
EMBEDDING = "text-embedding-"  # the beginning of such models' names
NEVER = 1 << 62  # more tokens than a request can have
HOW_TO_ADD = "add its price in the admin under Prices"


@dataclass(frozen=True)
class Rate:
    """Dollars for a million tokens, and where the figures come from.

    `long` holds for a request of more than `long_from` input tokens, all of them;
    `real_time` is what the same would cost without a batch.
    """

    input_usd: Decimal
    cached_usd: Decimal
    output_usd: Decimal
    version: str
    written_usd: Decimal | None = None  # input that is put into the cache; None: as any
    long_from: int | None = None
    long: "Rate | None" = None
    real_time: "Rate | None" = None

    @cached_property
    def _units(self) -> tuple[int, int, int, int, int, int, int]:
        """What a token costs in parts of a nano-dollar (one read from the cache or
        written to it: more or less than that), what makes half a nano-dollar and a
        whole one, and the most input that costs so.

        Whole numbers: exact like Decimal, and a tenth of its price for each line.
        """
        written = self.input_usd if self.written_usd is None else self.written_usd
        # A dollar for a million tokens is a thousand nano-dollars for one.
        nanos = [
            Fraction(usd) * 1_000
            for usd in (self.input_usd, self.cached_usd, self.output_usd, written)
        ]
        half = lcm(*(rate.denominator for rate in nanos))
        fresh, cached, output, kept = (int(rate * 2 * half) for rate in nanos)
        bound = NEVER if self.long_from is None else self.long_from
        return fresh, cached - fresh, output, kept - fresh, half, 2 * half, bound

    def nanos(
        self,
        input_tokens: int,
        cached_tokens: int,
        output_tokens: int,
        written_tokens: int = 0,
    ) -> int:
        """A request's price in nano-dollars, rounded half up once.

        `input_tokens` include those read from the cache and those written to it.
        """
        fresh, cached, output, written, half, one, bound = self._units
        if input_tokens > bound and self.long:
            return self.long.nanos(
                input_tokens, cached_tokens, output_tokens, written_tokens
            )
        parts = (
            fresh * input_tokens
            + cached * cached_tokens
            + output * output_tokens
            + half
        )
        if written_tokens:
            parts += written * written_tokens
        return parts // one

    def nanos_up(self, input_tokens: int, output_tokens: int) -> int:
        """The most that so much may cost, rounded up as a reservation must be: nothing
        is read from the cache and all is written to it, at the tier that it reaches.
        """
        fresh, _, output, written, _, one, bound = self._units
        if input_tokens > bound and self.long:
            return self.long.nanos_up(input_tokens, output_tokens)
        dearest = fresh + max(written, 0)
        return -(-(dearest * input_tokens + output * output_tokens) // one)

    def nanos_of_sums(
        self, input_tokens: int, cached_tokens: int, output_tokens: int
    ) -> int:
        """What the tokens of many requests cost, as if none of them were long."""
        return self._plain.nanos(input_tokens, cached_tokens, output_tokens)

    @cached_property
    def _plain(self) -> "Rate":
        return replace(self, long_from=None, long=None)

    @property
    def is_uneven(self) -> bool:
        """Whether a request's price depends on more than the three sums of tokens."""
        return self.long is not None or self.written_usd not in (None, self.input_usd)


@dataclass(frozen=True)
class PriceRow:
    """One of our own prices: dollars for a million tokens, on the days it is for.

    `provider` is empty for any; `model` is a name, which stands for its snapshots too,
    or the beginning of names with a `*` after it. Both days are included; None is
    without end. Factors are of input (and cached input) and of output.
    """

    key: int
    revision: int
    provider: str
    model: str
    valid_from: date
    valid_until: date | None
    batch_input: Decimal
    batch_cached: Decimal
    batch_output: Decimal
    real_time_input: Decimal
    real_time_cached: Decimal
    real_time_output: Decimal
    written_factor: Decimal = Decimal(1)
    long_from: int | None = None
    long_input_factor: Decimal = Decimal(1)
    long_output_factor: Decimal = Decimal(1)

    @property
    def version(self) -> str:
        return f"price {self.key}.{self.revision}"

    def holds_on(self, day: date) -> bool:
        return self.valid_from <= day and not self.ended_before(day)

    def ended_before(self, day: date) -> bool:
        return self.valid_until is not None and self.valid_until < day


def family(model: str) -> str:
    """A model's name without its date: `gpt-4o-mini-2024-07-18` is of `gpt-4o-mini`."""
    return SNAPSHOT.sub("", model)


def rate_of(
    rows: Iterable[PriceRow], *, provider: str, model: str, at: datetime
) -> Rate:
    """What a model costs at a time, by the closest of our rows, else by the package.

    Raises UnknownPrice, with the way to mend it: work without a known price is not
    sent.
    """
    day = at.astimezone(UTC).date()
    fitting = _fitting(rows, provider, model)
    for alike in fitting:
        for row in alike:
            if row.holds_on(day):
                return _row_rate(row)
        for before, after in pairwise(alike):
            if before.ended_before(day) and after.valid_from > day:
                raise UnknownPrice(_gap(model, before, after))
    try:
        return _package_rate(model, max(at, RATES_BEGIN).date().isoformat())
    except UnknownPrice as err:
        if not fitting:
            raise
        near = fitting[0][-1]
        raise UnknownPrice(f"{err} {_why_not(near, day)}") from err


def gap_between(before: PriceRow, after: PriceRow) -> tuple[date, date] | None:
    """The first and the last day that lie between two rows, if any do."""
    if before.valid_until is None:
        return None
    first = before.valid_until + timedelta(days=1)
    last = after.valid_from - timedelta(days=1)
    return (first, last) if first <= last else None


def _fitting(
    rows: Iterable[PriceRow], provider: str, model: str
) -> list[Sequence[PriceRow]]:
    """Rows for a model: alike ones together and by day, the closest to it first."""
    groups: dict[tuple[bool, int, int, str], list[PriceRow]] = {}
    for row in rows:
        closeness = _closeness(row.model, model)
        if closeness and row.provider in ("", provider):
            rule = row.model.lower()
            rank = (bool(row.provider), closeness, len(rule), rule)
            groups.setdefault(rank, []).append(row)
    return [
        sorted(groups[rank], key=lambda row: row.valid_from)
        for rank in sorted(groups, reverse=True)
    ]


def _closeness(rule: str, model: str) -> int:
    """How well a row's model fits: 3 by name, 2 by family, 1 by beginning, 0 not."""
    rule, model = rule.lower(), model.lower()
    if rule.endswith("*"):
        return int(model.startswith(rule.removesuffix("*")))
    if rule == model:
        return 3
    return 2 if rule == family(model) else 0


def _gap(model: str, before: PriceRow, after: PriceRow) -> str:
    first, last = gap_between(before, after) or (after.valid_from, after.valid_from)
    return (
        f"No price is known for the model {model!r} from {first} to {last}: price "
        f"{before.key} ends before them, and price {after.key} begins after them. "
        f"In the admin under Prices, make one of them hold on those days."
    )


def _why_not(row: PriceRow, day: date) -> str:
    if row.ended_before(day):
        return f"(Price {row.key}, which was for it, ended on {row.valid_until}.)"
    return f"(Price {row.key}, which is for it, begins on {row.valid_from}.)"


@lru_cache(maxsize=256)
def _row_rate(row: PriceRow) -> Rate:
    def rate(input_usd: Decimal, cached_usd: Decimal, output_usd: Decimal) -> Rate:
        more, most = row.long_input_factor, row.long_output_factor
        plain = Rate(
            input_usd,
            cached_usd,
            output_usd,
            row.version,
            written_usd=input_usd * row.written_factor,
        )
        if row.long_from is None:
            return plain
        long = replace(
            plain,
            input_usd=input_usd * more,
            cached_usd=cached_usd * more,
            output_usd=output_usd * most,
            written_usd=input_usd * row.written_factor * more,
        )
        return replace(plain, long_from=row.long_from, long=long)

    full = rate(row.real_time_input, row.real_time_cached, row.real_time_output)
    batch = rate(row.batch_input, row.batch_cached, row.batch_output)
    return replace(batch, real_time=full)


@lru_cache(maxsize=256)
def _package_rate(model: str, day: str) -> Rate:
    """The package's rates of a model, or of its family where it has not its name."""
    from importlib.metadata import version

    at = datetime.fromisoformat(day).replace(tzinfo=UTC)
    said = f"genai-prices {version('genai-prices')}"
    found = _look_up(model, at)
    if found is None:
        found = _look_up(family(model), at)
        said = f"{said} as {family(model)}"
    if found is None:
        raise UnknownPrice(
            f"No price is known for the model {model!r}, so nothing is sent to it. "
            f"Check the name, or {HOW_TO_ADD}."
        )
    full_price, batch_price = found
    full = _read(full_price, said[:VERSION_LENGTH])
    if model.startswith(EMBEDDING):
        return replace(_scaled(full, Decimal("0.5")), real_time=full)
    batch = _read(batch_price, said[:VERSION_LENGTH])
    is_lower = (
        0 < batch.input_usd < full.input_usd and 0 < batch.output_usd < full.output_usd
    )
    if not is_lower:
        raise UnknownPrice(
            f"No batch price is known for the model {model!r}, only the full one, so "
            f"nothing is sent to it. Choose a model that has a batch price, or "
            f"{HOW_TO_ADD}."
        )
    return replace(batch, real_time=full)


def _look_up(model: str, at: datetime) -> "tuple[ModelPrice, ModelPrice] | None":
    """(full price, batch price) as the package has them; None for an unknown name."""
    from genai_prices import Usage, calc_price

    def price(context: dict[str, str] | None) -> "ModelPrice":
        return calc_price(
            Usage(),
            model_ref=model,
            provider_id="openai",
            genai_request_timestamp=at,
            price_context=context,
        ).model_price

    try:
        return price(None), price({"processing": "batch"})
    except LookupError:
        return None


def _read(price: "ModelPrice", said: str) -> Rate:
    """A rate with the tiers that the package has, each for prompts above its start."""
    parts = [
        price.input_mtok,
        price.cache_read_mtok,
        price.output_mtok,
        price.cache_write_mtok,
    ]
    starts = {tier.start for part in parts for tier in getattr(part, "tiers", ())}
    rate: Rate | None = None
    above: int | None = None
    for start in sorted(starts | {0}, reverse=True):
        fresh, cached, output, written = (_at(part, start) for part in parts)
        fresh = fresh or Decimal(0)
        rate = Rate(
            fresh,
            fresh if cached is None else cached,
            output or Decimal(0),
            said,
            written_usd=written,
            long_from=above,
            long=rate,
        )
        above = start
    assert rate  # noqa: S101  # there is always the tier that begins at 0
    return rate


def _at(price: Any, start: int) -> Decimal | None:
    """A price for prompts of more tokens than this, up to the next tier."""
    if price is None or isinstance(price, Decimal):
        return price
    reached = [tier.price for tier in price.tiers if tier.start <= start]
    return Decimal(reached[-1] if reached else price.base)


def _scaled(rate: Rate, by: Decimal) -> Rate:
    return replace(
        rate,
        input_usd=rate.input_usd * by,
        cached_usd=rate.cached_usd * by,
        output_usd=rate.output_usd * by,
    )
