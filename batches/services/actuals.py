"""Actuals: what a job's lines leave open of its cost, said when the job ends.

A job costs what its lines say. Two things may be missing there: an answer without
usage, and tokens that the provider counts for the batch and no line names. Either is
told, and what it may come to is kept beside the cost, so that no cap forgets it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db.models import Count, Q

from batches.errors import UnknownPrice
from batches.models import BatchJob, ItemAttempt, JobShare, JobTally
from batches.models.money import to_usd
from batches.providers.batch_usage import Tokens, batch_usage
from batches.services.alerts import raise_alert
from batches.services.prices import settling_rate

WITHOUT_USAGE = "usage_missing"
DIFFERS = "usage_differs"

# An answer without usage. In the words of the index that holds these few.
LACKS_USAGE = Q(http_status=200, input_tokens=0)
# Attempts that may have been billed, without a line that says how much.
UNSEEN_CODES = ("abandoned", "missing_output", "unreadable_answer")
UNPRICED = LACKS_USAGE | Q(error_code__in=UNSEEN_CODES)


def account_for(job: BatchJob, *, now: datetime) -> None:
    """Compare a job that ends with the provider's own total, and tell what differs.

    Shares get the number of attempts whose cost is not known, and the most that these
    may have cost: by the provider's total where it gives one, else all that the share
    reserved. Cost and this together are never above the reservation.
    """
    unpriced = _unpriced(job)
    shares = list(job.shares.order_by("pk"))
    counted = Tokens(
        sum(share.input_tokens for share in shares),
        sum(share.cached_tokens for share in shares),
        sum(share.output_tokens for share in shares),
    )
    total = None
    if not job.abandoned_at:  # its batch goes on, and so does its total
        total = batch_usage(job.provider_answer, cached=counted.cached)
    if not unpriced and total in (None, counted):
        return
    left = _left_open(job, shares, unpriced, total, counted, now)
    for share in shares:
        share.unpriced = unpriced[share.run_id]
        share.unpriced_nanos = left[share.run_id]
    JobShare.objects.bulk_update(shares, ["unpriced", "unpriced_nanos"])
    if not job.abandoned_at:
        _tell(job, unpriced.total(), total, counted, sum(left.values()))


def _unpriced(job: BatchJob) -> Counter[int]:
    """How many attempts of each run in this job have no known cost."""
    found: Counter[int] = Counter()
    silent = ItemAttempt.objects.filter(LACKS_USAGE, job=job).values("item__run_id")
    for row in silent.annotate(n=Count("pk")).order_by():
        found[row["item__run_id"]] += row["n"]
    unseen = JobTally.objects.filter(job=job, error_code__in=UNSEEN_CODES)
    for run_id, attempts in unseen.values_list("run_id", "attempts"):
        found[run_id] += attempts
    return found


def _left_open(
    job: BatchJob,
    shares: Sequence[JobShare],
    unpriced: Counter[int],
    total: Tokens | None,
    counted: Tokens,
    now: datetime,
) -> dict[int, int]:
    """Nano-dollars that may have been billed beside the lines' cost, by run."""
    room = {s.run_id: max(0, s.reserved_nanos - s.cost_nanos) for s in shares}
    by_reservation = {
        run_id: room[run_id] if unpriced[run_id] else 0 for run_id in room
    }
    if total is None:
        return by_reservation
    try:
        rate = settling_rate(job, now)
    except UnknownPrice:
        return by_reservation
    # Whose lines are without usage; where all have it, the difference is everybody's.
    weights = unpriced or Counter({s.run_id: s.sent for s in shares})
    parts = _divided(rate.nanos_of_sums(*total.beyond(counted)), weights)
    return {run_id: min(parts.get(run_id, 0), room[run_id]) for run_id in room}


def _divided(nanos: int, weights: Mapping[int, int]) -> dict[int, int]:
    """An amount in whole parts by weight, which add up to it."""
    parts, given, seen = {}, 0, 0
    whole = sum(weights.values())
    for key, weight in weights.items():
        seen += weight
        upto = nanos * seen // whole if whole else 0
        parts[key], given = upto - given, upto
    return parts


def _tell(
    job: BatchJob, unpriced: int, total: Tokens | None, counted: Tokens, left: int
) -> None:
    lines = "1 answer" if unpriced == 1 else f"{unpriced:,} answers"
    silent = f"{lines} of job {job.pk} came without usage, or did not come at all"
    counts = f"${to_usd(left):f} more counts as spent until it is known"
    if total is not None and total != counted:
        raise_alert(
            DIFFERS,
            f"For job {job.pk} the provider counts {total}, and its lines add up to "
            f"{counted}. "
            + (f"{silent}. " if unpriced else "")
            + "What the lines say is booked"
            + (f"; {counts}. " if left else ". ")
            + "Compare it with the provider's bill: `usage_report --provider-figures`.",
            key=str(job.pk),
            job=job,
        )
    elif unpriced:
        agreed = "The provider's total for the batch has nothing beyond the other lines"
        raise_alert(
            WITHOUT_USAGE,
            f"{silent}, so what they cost is not known. "
            + (f"{agreed}. " if total is not None else "")
            + (f"{counts}: all that was reserved. " if left else "")
            + "Compare it with the provider's bill: `usage_report --provider-figures`.",
            key=str(job.pk),
            job=job,
        )
