"""Money is kept as whole nano-dollars, so that sums are exact on every database."""

from decimal import ROUND_HALF_UP, Decimal

NANOS = Decimal(1_000_000_000)


def to_nanos(usd: Decimal) -> int:
    """Round half up to a nano-dollar."""
    return int((usd * NANOS).to_integral_value(ROUND_HALF_UP))


def to_usd(nanos: int) -> Decimal:
    """Nano-dollars as dollars with nine places."""
    return (Decimal(nanos) / NANOS).quantize(Decimal("0.000000001"))
