"""All requests there are: how many in each status, and a page of those in one.

Counts are sums over runs and shares, never over items. A page reads no more items than
it shows: open ones are found by their open half, failed ones by their attempts.
"""

from django.db.models import F, Q, QuerySet, Sum

from batches.models import BatchItem, ItemAttempt, JobShare, OpenItem, Run
from batches.states import AttemptOutcome, ItemStatus

ENDED = ("complete", "failed", "cancelled")


def counts_by_status() -> dict[ItemStatus, int]:
    """How many items there are in each status."""
    runs = Run.objects.aggregate(
        collected=Sum("items_collected", default=0),
        follow_ups=Sum("unsent_follow_ups", default=0),
        **{name: Sum(f"unsent_{name}", default=0) for name in ENDED},
    )
    in_job = F("sent") - F("complete") - F("failed") - F("cancelled") - F("returned")
    shares = JobShare.objects.aggregate(
        in_job=Sum(in_job, default=0),
        more=Sum("follow_ups", default=0),
        **{f"all_{name}": Sum(name, default=0) for name in ENDED},
    )
    ended = {name: runs[name] + shares[f"all_{name}"] for name in ENDED}
    items = runs["collected"] + runs["follow_ups"] + shares["more"]
    return {
        ItemStatus.PENDING: items - sum(ended.values()) - shares["in_job"],
        ItemStatus.IN_JOB: shares["in_job"],
        ItemStatus.COMPLETE: ended["complete"],
        ItemStatus.FAILED: ended["failed"],
        ItemStatus.CANCELLED: ended["cancelled"],
    }


def page_of(status: ItemStatus, *, after: int, limit: int) -> list[BatchItem]:
    """Items in a status with keys above `after`, in their order."""
    found = _with_status(status, after, limit).select_related("job", "run")
    return list(found.order_by("pk")[:limit])


def _with_status(status: ItemStatus, after: int, limit: int) -> QuerySet[BatchItem]:
    items = BatchItem.objects.filter(status=status, pk__gt=after)
    if status in (ItemStatus.PENDING, ItemStatus.IN_JOB):
        open_ = OpenItem.objects.filter(
            item_id__gt=after, job__isnull=status == ItemStatus.PENDING
        ).order_by("item_id")
        keys = list(open_.values_list("item_id", flat=True)[:limit])
        return items.filter(pk__in=keys)
    if status in AS_ATTEMPTED:
        # `not applied` is the condition of the index that has these few.
        attempts = ItemAttempt.objects.filter(
            ~Q(outcome=AttemptOutcome.APPLIED), outcome=AS_ATTEMPTED[status]
        )
        return items.filter(pk__in=attempts.values("item"))
    return items


AS_ATTEMPTED = {
    ItemStatus.FAILED: AttemptOutcome.FAILED,
    ItemStatus.CANCELLED: AttemptOutcome.CANCELLED,
}
