"""Ranges of time in buckets of UTC: minutes, hours, days and months."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from batches.errors import BadOptions

MINUTE, HOUR, DAY, MONTH = "1m", "1h", "1d", "1mo"
# How far back buckets of each width reach. Minutes are read from the jobs themselves.
MOST_DAYS = {MINUTE: 1, HOUR: 366, DAY: 3_660}


@dataclass(frozen=True)
class Span:
    """A range in whole buckets of UTC; the last one holds the present moment."""

    start: datetime
    end: datetime
    bucket: str

    @property
    def days(self) -> Decimal:
        seconds = int((self.end - self.start).total_seconds())
        return Decimal(seconds) / 86_400

    def buckets(self) -> list[datetime]:
        """Where each bucket begins, oldest first."""
        starts, at = [], self.start
        while at < self.end:
            starts.append(at)
            at = following(at, self.bucket)
        return starts

    def bucket_of(self, at: datetime) -> datetime:
        """Where the bucket begins that a moment lies in."""
        return floor(at, self.bucket)


def last_days(days: int, *, bucket: str, now: datetime) -> Span:
    """The last days up to now, in whole buckets.

    Raises BadOptions for a range that buckets of this width do not reach.
    """
    most = MOST_DAYS[bucket]
    if not 1 <= days <= most:
        reach = "1 day" if most == 1 else f"1 to {most:,} days"
        raise BadOptions(
            f"Buckets of {bucket} reach back {reach}, and {days:,} were asked for. "
            "Take fewer days or wider buckets."
        )
    end = following(floor(now, bucket), bucket)
    return Span(end - timedelta(days=days), end, bucket)


def last_months(months: int, *, now: datetime) -> Span:
    """This month and those before it, a bucket each."""
    end = following(floor(now, MONTH), MONTH)
    start = end
    for _ in range(months):
        start = floor(start - timedelta(days=1), MONTH)
    return Span(start, end, MONTH)


def floor(at: datetime, bucket: str) -> datetime:
    at = at.astimezone(UTC).replace(second=0, microsecond=0)
    if bucket != MINUTE:
        at = at.replace(minute=0)
    if bucket in (DAY, MONTH):
        at = at.replace(hour=0)
    return at.replace(day=1) if bucket == MONTH else at


def following(at: datetime, bucket: str) -> datetime:
    if bucket == MONTH:
        return (at + timedelta(days=32)).replace(day=1)
    steps = {
        MINUTE: timedelta(minutes=1),
        HOUR: timedelta(hours=1),
        DAY: timedelta(days=1),
    }
    return at + steps[bucket]
