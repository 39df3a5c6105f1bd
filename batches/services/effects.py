"""What an act would change, before it is done: in items and the most that they cost."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TypeVar

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from batches.models import BatchJob, Hold, JobShare, OpenItem, Run
from batches.services.prices import Rates
from batches.services.rendering import worst_case_nanos
from batches.states import AT_PROVIDER, TO_SUBMIT, HoldScope, JobStatus

PAGE = 5_000

Row = TypeVar("Row", Run, BatchJob)

# Open items that no provider has heard of: in no job, or in one that was not sent.
NOT_SENT = Q(job__create_sent_at__isnull=True)
SENT = Q(job__create_sent_at__isnull=False)


@dataclass(frozen=True)
class Effect:
    """What an act would change: items, and the most they may cost or have cost.

    `tokens` is their counted input, where the act may send them.
    """

    items: int = 0
    nanos: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class Outlook:
    """What an act would change, by how far each item is.

    `unsent` wait, in no job or in one that was not sent. Of what is at the provider in
    the jobs that the act reaches, `answered` are finished, as far as the provider has
    said, and so paid for; `in_flight` are the others, with the most that they may still
    cost. `beyond` are in jobs that other runs need too, and go on there.
    """

    unsent: Effect = Effect()
    in_flight: Effect = Effect()
    answered: int = 0
    beyond: Effect = Effect()

    @property
    def items(self) -> int:
        sent = self.in_flight.items + self.answered + self.beyond.items
        return self.unsent.items + sent


def waiting_effect(*runs: Run) -> Effect:
    """What reordering or resuming runs is about: their items in no job."""
    return _sum_of(
        worst_case(OpenItem.objects.filter(run__in=page, job__isnull=True))
        for page in pages(runs)
    )


def cancel_effect(*runs: Run) -> Effect:
    """All that is open of runs."""
    return _sum_of(
        worst_case(OpenItem.objects.filter(run__in=page)) for page in pages(runs)
    )


def job_effect(*jobs: BatchJob) -> Effect:
    """What an act on jobs is about: their items that have no answer yet."""
    return _sum_of(
        worst_case(OpenItem.objects.filter(job__in=page)) for page in pages(jobs)
    )


def abandon_effect(*jobs: BatchJob) -> Effect:
    """What giving up on jobs would leave: their items, and the money that they reserved
    and that may be spent without a result."""
    return _sum_of(
        Effect(
            OpenItem.objects.filter(job__in=page).count(),
            JobShare.objects.filter(job__in=page).aggregate(
                n=Sum("reserved_nanos", default=0)
            )["n"],
        )
        for page in pages(jobs)
    )


def lift_effect(*holds: Hold) -> Effect:
    """What holds keep back: items in the pool and in unsent jobs, each once."""
    held_back = Q(job__isnull=True) | Q(job__status__in=TO_SUBMIT)
    return worst_case(OpenItem.objects.filter(held_back & of_holds(holds)))


def of_holds(holds: Iterable[Hold]) -> Q:
    """What any of these holds covers."""
    return reduce(or_, (of_hold(hold) for hold in holds), Q(pk__in=[]))


def of_hold(hold: Hold) -> Q:
    """What a hold covers, of items, jobs or runs: its scope is a column's name."""
    if hold.scope == HoldScope.ALL:
        return Q(pk__isnull=False)
    return Q(**{hold.scope: hold.key})


# --- outlooks -------------------------------------------------------------------------


def outlook_of_runs(*runs: Run, together: bool = False) -> Outlook:
    """What stopping runs would reach, and what goes on because other runs need it.

    `together`: a job that these alone are in is reached; else only one of a single run,
    which is what comes of stopping one after the other if none of them ends.
    """
    return _total(_outlook_of_runs(page, together) for page in pages(runs))


def _outlook_of_runs(runs: Sequence[Run], together: bool) -> Outlook:
    open_items = OpenItem.objects.filter(run__in=runs)
    sent = open_items.filter(SENT)
    others = JobShare.objects.filter(
        job=OuterRef("job"), run__cancelled_at__isnull=True
    )
    others = (
        others.exclude(run__in=runs)
        if together
        else others.exclude(run=OuterRef("run"))
    )
    alone = sent.filter(~Exists(others)).values("job").distinct()
    reached = _sent_outlook(BatchJob.objects.filter(pk__in=alone), runs)
    return Outlook(
        unsent=worst_case(open_items.filter(NOT_SENT)),
        in_flight=reached.in_flight,
        answered=reached.answered,
        beyond=worst_case(sent.filter(Exists(others))),
    )


def outlook_of_jobs(*jobs: BatchJob) -> Outlook:
    """What stopping jobs would reach."""
    return _total(_outlook_of_jobs(page) for page in pages(jobs))


def _outlook_of_jobs(jobs: Sequence[BatchJob]) -> Outlook:
    reached = _sent_outlook(
        BatchJob.objects.filter(pk__in=[job.pk for job in jobs]), None
    )
    unsent = worst_case(OpenItem.objects.filter(NOT_SENT, job__in=jobs))
    return Outlook(unsent, reached.in_flight, reached.answered)


def outlook_of_recall(*jobs: BatchJob) -> Outlook:
    """What recalling jobs would reach: with them, what their runs have waiting."""
    keys = [job.pk for job in jobs[:PAGE]]
    theirs = JobShare.objects.filter(job__in=keys, run__cancelled_at__isnull=True)
    held = Q(job__in=keys) | Q(run__in=theirs.values("run"))
    reached = outlook_of_jobs(*jobs)
    unsent = worst_case(OpenItem.objects.filter(NOT_SENT, held))
    return Outlook(unsent, reached.in_flight, reached.answered)


def outlook_of_holds(*holds: Hold) -> Outlook:
    """What recalling all that holds cover would reach."""
    return outlook_of_work(of_holds(holds))


def outlook_of_work(covered: Q) -> Outlook:
    """What stopping all work that this covers would reach: open items, and jobs."""
    reached = _sent_outlook(BatchJob.objects.unfinished().filter(covered), None)
    unsent = worst_case(OpenItem.objects.filter(NOT_SENT, covered))
    return Outlook(unsent, reached.in_flight, reached.answered)


def _sent_outlook(jobs: QuerySet[BatchJob], runs: Sequence[Run] | None) -> Outlook:
    """What is at the provider of these jobs, and how much of it is answered there.

    Which requests were answered is not known before their files are read: those in
    flight are taken to be the dearest.
    """
    parts = []
    sent = jobs.filter(create_sent_at__isnull=False)
    for job in sent.defer("provider_answer").order_by("pk"):
        items = OpenItem.objects.filter(job=job)
        if runs is not None:
            items = items.filter(run__in=runs)
        count = items.count()
        answered = 0
        if job.status == JobStatus.COMPLETED:
            answered = count
        elif job.status in AT_PROVIDER:
            answered = min(job.provider_completed + job.provider_failed, count)
        parts.append(
            Outlook(in_flight=worst_case(items, cheapest=answered), answered=answered)
        )
    return _total(parts)


def pages(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Few enough rows at once for a database's limit of parameters."""
    for start in range(0, len(rows), PAGE):
        yield rows[start : start + PAGE]


def _sum_of(effects: Iterable[Effect]) -> Effect:
    found = list(effects)
    return Effect(
        sum(e.items for e in found),
        sum(e.nanos for e in found),
        sum(e.tokens for e in found),
    )


def _total(outlooks: Iterable[Outlook]) -> Outlook:
    found = list(outlooks)
    return Outlook(
        unsent=_sum_of(one.unsent for one in found),
        in_flight=_sum_of(one.in_flight for one in found),
        answered=sum(one.answered for one in found),
        beyond=_sum_of(one.beyond for one in found),
    )


def worst_case(items: QuerySet[OpenItem], *, cheapest: int = 0) -> Effect:
    """How many open items, and the most that they may cost; the cheapest left out.

    What has no price cannot be sent, so it adds no money.
    """
    rates = Rates(timezone.now())
    sums = items.values("provider", "model", "input_tokens", "output_limit").annotate(
        n=Count("item")
    )
    priced = []
    for row in sums.order_by():
        each = 0
        if rates.has(row["provider"], row["model"]):
            each = worst_case_nanos(
                rates.of(row["provider"], row["model"]),
                input_tokens=row["input_tokens"],
                output_limit=row["output_limit"],
            )
        priced.append((each, row["n"], row["input_tokens"]))
    count = nanos = tokens = 0
    for each, n, input_tokens in sorted(priced):
        left_out = min(cheapest, n)
        cheapest -= left_out
        count += n - left_out
        nanos += each * (n - left_out)
        tokens += input_tokens * (n - left_out)
    return Effect(count, nanos, tokens)
