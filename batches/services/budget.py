"""What may still be spent: one cap a month, worst case, over what costs real money."""

from datetime import datetime

from django.db.models import F, Q, Sum
from django.db.models.functions import Greatest

from batches import config
from batches.models import JobShare
from batches.models.money import to_nanos, to_usd
from batches.providers.registry import SANDBOX, is_sandbox


class Budget:
    """What the month has left; read under the bundling lock, so it is exact there.

    A job that is not finished counts with what it reserved, or with what its answers
    cost so far where that is more; so does one that was abandoned, for good: what it
    cost is not known. `left` is None where no cap holds.
    """

    def __init__(self, provider: str, *, now: datetime) -> None:
        self.cap = None if is_sandbox(provider) else config.get("MONTHLY_CAP_USD")
        self.left = None if self.cap is None else to_nanos(self.cap) - _spent(now)

    def take(self, nanos: int) -> bool:
        """Reserve so much, if it is there."""
        if self.left is None:
            return True
        if nanos > self.left:
            return False
        self.left -= nanos
        return True

    @property
    def reason(self) -> str:
        """Why something waits, in words."""
        left = to_usd(max(self.left or 0, 0))
        return (
            f"the monthly cap of ${self.cap}: ${left:.4f} is left, and the next request"
            " may cost more. Raise MONTHLY_CAP_USD, or wait for the next month."
        )


def _spent(now: datetime) -> int:
    """Nano-dollars of this calendar month, worst case, at real providers."""
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    shares = JobShare.objects.filter(job__created_at__gte=month).exclude(
        job__provider=SANDBOX
    )
    is_unknown = Q(job__finished_at__isnull=True) | Q(job__abandoned_at__isnull=False)
    sums = shares.aggregate(
        settled=Sum("cost_nanos", filter=~is_unknown, default=0),
        pending=Sum(
            Greatest(F("reserved_nanos"), F("cost_nanos")),
            filter=is_unknown,
            default=0,
        ),
    )
    return int(sums["settled"] + sums["pending"])
