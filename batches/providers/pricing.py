"""What a token costs at batch price, in Decimal; rates come from `genai-prices`.

Traps that this module stands in front of (genai-prices 0.2.3, tried in November 2026):
a model without batch rates, and a time before the package's rates began, both give the
full price without a word. So a batch rate counts only if it is below the full one.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, lru_cache
from math import lcm

from batches.errors import UnknownPrice

MILLION = 1_000_000
# Before this day the package knows no batch rates; prices of that time are not ours to
# apply, since a line is priced when its answer is read.
RATES_BEGIN = datetime(2026, 10, 15, tzinfo=UTC)


@dataclass(frozen=True)
class Rate:
    """Dollars for a million tokens at batch price, and where the figures come from."""

    input_usd: Decimal
    cached_usd: Decimal
    output_usd: Decimal
    version: str

    @cached_property
    def _units(self) -> tuple[int, int, int, int]:
        """What a token costs in parts of a nano-dollar, and how many make one.

        Whole numbers: exact like Decimal, and a tenth of its price for each line.
        """
        # A dollar for a million tokens is a thousand nano-dollars for one.
        nanos = [
            Fraction(usd) * 1_000
            for usd in (self.input_usd, self.cached_usd, self.output_usd)
        ]
        parts = lcm(*(rate.denominator for rate in nanos))
        fresh, cached, output = (int(rate * parts) for rate in nanos)
        return fresh, cached, output, parts

    def nanos(self, input_tokens: int, cached_tokens: int, output_tokens: int) -> int:
        """A request's price in nano-dollars, rounded half up once.

        `input_tokens` include the cached ones.
        """
        fresh, cached, output, parts = self._units
        whole = (
            fresh * (input_tokens - cached_tokens)
            + cached * cached_tokens
            + output * output_tokens
        )
        return (2 * whole + parts) // (2 * parts)

    def nanos_up(self, input_tokens: int, output_tokens: int) -> int:
        """The same rounded up, as a reservation must be; nothing cached."""
        fresh, _, output, parts = self._units
        return -(-(fresh * input_tokens + output * output_tokens) // parts)


def batch_rate(model: str, at: datetime) -> Rate:
    """The batch rate of a model on a day.

    Raises UnknownPrice: work without a known price is not sent.
    """
    return _batch_rate(model, max(at, RATES_BEGIN).date().isoformat())


@lru_cache(maxsize=256)
def _batch_rate(model: str, day: str) -> Rate:
    from importlib.metadata import version

    from genai_prices import Usage, calc_price

    at = datetime.fromisoformat(day).replace(tzinfo=UTC)

    def dollars(usage: Usage, processing: str | None) -> tuple[Decimal, Decimal]:
        price = calc_price(
            usage,
            model_ref=model,
            provider_id="openai",
            genai_request_timestamp=at,
            price_context={"processing": processing} if processing else None,
        )
        return Decimal(price.input_price), Decimal(price.output_price)

    both = Usage(input_tokens=MILLION, output_tokens=MILLION)
    try:
        full = dollars(both, None)
        batch = dollars(both, "batch")
        cached, _ = dollars(
            Usage(input_tokens=MILLION, cache_read_tokens=MILLION), "batch"
        )
    except LookupError as err:
        raise UnknownPrice(
            f"No price is known for the model {model!r}, so nothing is sent to it. "
            "Check the name, or choose a model that has a price."
        ) from err
    if batch[0] >= full[0]:
        raise UnknownPrice(
            f"No batch price is known for the model {model!r}, only the full one, so "
            "nothing is sent to it. Choose a model that has a batch price."
        )
    return Rate(
        input_usd=batch[0],
        cached_usd=cached,
        output_usd=batch[1],
        version=f"genai-prices {version('genai-prices')}",
    )
