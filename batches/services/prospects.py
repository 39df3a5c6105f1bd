"""What an act that costs money would send: its price with its range, and what an equal
request was answered already and costs nothing.

The same figures as those of a plan (`collection.plan_run`), for requests that exist.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

from django.db.models import Q
from django.utils import timezone

from batches.models import BatchItem, BatchJob, Hold, JobShare, OpenItem, Run
from batches.providers.registry import active_provider
from batches.services.budget import Payer, Purse, payer_of, tightest_cap
from batches.services.effects import NOT_SENT, PAGE, of_holds, pages, worst_case
from batches.services.estimates import Costs, Estimator
from batches.services.prices import Rates
from batches.services.reuse import answered_before
from batches.workloads import get_workload

# Above this the figures are those of the first ones, on average.
PRICED = 20_000
PAYERS_ASKED = 50  # more rows than that mostly share their caps with these


@dataclass(frozen=True)
class Prospect:
    """What would be asked, in `costs`; beside it `reused` items cost nothing, as equal
    ones were answered, and `unpriced` ones wait until their model has a price."""

    costs: Costs = field(default_factory=Costs)
    reused: int = 0
    unpriced: int = 0

    @property
    def items(self) -> int:
        return self.costs.items + self.reused + self.unpriced

    def scaled(self, to: int, of: int) -> "Prospect":
        """The same for so many items where these are `of`."""
        return Prospect(
            self.costs.scaled(to, of), self.reused * to // of, self.unpriced * to // of
        )


class Request(NamedTuple):
    """What a request is priced by; its fingerprint where an equal one's answer does."""

    workload: str
    provider: str
    model: str
    target: str
    input_tokens: int
    output_limit: int
    fingerprint: bytes = b""


def prospect_of_runs(*runs: Run) -> Prospect:
    """What runs have that was not sent."""
    return _total(prospect_of(Q(run__in=page)) for page in pages(runs))


def prospect_of_jobs(*jobs: BatchJob) -> Prospect:
    """What jobs have that was not sent."""
    return _total(prospect_of(Q(job__in=page)) for page in pages(jobs))


def prospect_of_resumed(*jobs: BatchJob) -> Prospect:
    """What jobs have that was not sent, and the runs that wait with recalled ones."""
    keys = [job.pk for job in jobs[:PAGE]]
    theirs = JobShare.objects.filter(job__in=keys, run__cancelled_at__isnull=True)
    return prospect_of(Q(job__in=keys) | Q(run__in=theirs.values("run")))


def prospect_of_holds(*holds: Hold) -> Prospect:
    """What holds keep back."""
    return prospect_of(of_holds(holds))


def prospect_of(covered: Q) -> Prospect:
    """What is open of this and was not sent."""
    items = OpenItem.objects.filter(NOT_SENT, covered)
    count = items.count()
    some = items.order_by("item_id")[:PRICED].values_list(
        "workload",
        "provider",
        "model",
        "target",
        "input_tokens",
        "output_limit",
        "fingerprint",
        "may_reuse",
        "job_id",
    )
    found = prospect_of_requests(
        Request(
            workload,
            provider,
            model,
            target,
            tokens,
            limit,
            bytes(fingerprint) if may_reuse and job_id is None else b"",
        )
        for (
            workload,
            provider,
            model,
            target,
            tokens,
            limit,
            fingerprint,
            may_reuse,
            job_id,
        ) in some
    )
    if count <= PRICED:
        return found
    rough, exact = found.scaled(count, PRICED), worst_case(items)
    costs = replace(rough.costs, worst=exact.nanos, input_tokens=exact.tokens)
    return replace(rough, costs=costs)


def prospect_of_requests(requests: Iterable[Request]) -> Prospect:
    """What requests come to."""
    rates = Rates(timezone.now())
    groups: defaultdict[tuple[str, str, str], list[Request]] = defaultdict(list)
    costs, reused, unpriced = Costs(), 0, 0
    for request in requests:
        if rates.has(request.provider, request.model):
            groups[request.workload, request.provider, request.model].append(request)
        else:
            unpriced += 1
    for (workload, provider, model), group in sorted(groups.items()):
        fingerprints = {one.fingerprint for one in group if one.fingerprint}
        known = answered_before(workload, fingerprints)
        asked = [one for one in group if one.fingerprint not in known]
        reused += len(group) - len(asked)
        estimator = Estimator(
            get_workload(workload),
            rates.of(provider, model),
            provider=provider,
            model=model,
        )
        costs += estimator.cost((one.target, one) for one in asked)
    return Prospect(costs, reused, unpriced)


def _total(prospects: Iterable[Prospect]) -> Prospect:
    found = list(prospects)
    return Prospect(
        sum((one.costs for one in found), Costs()),
        sum(one.reused for one in found),
        sum(one.unpriced for one in found),
    )


def tightest_cap_of(rows: Iterable[object]) -> Purse | None:
    """The cap that has least left for what these rows would send; None if none binds.

    Rows other than runs, jobs and items come under the caps of all alone.
    """
    payers = islice(_payers_of(rows), PAYERS_ASKED)
    return tightest_cap(active_provider(), payers, now=timezone.now())


def _payers_of(rows: Iterable[object]) -> Iterator[Payer]:
    for row in rows:
        if isinstance(row, Run):
            yield payer_of(row)
        elif isinstance(row, BatchJob):
            for share in row.shares.select_related("run__owner"):
                yield payer_of(share.run)
        elif isinstance(row, BatchItem):
            yield payer_of(row.run)
        else:
            yield Payer(workload="")
