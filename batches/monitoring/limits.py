"""How much may go out, and how much does: slots, job sizes, queues, providers."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, Sum

from batches import config
from batches.models import BatchJob, JobSize, ProviderState, TokenQueue
from batches.services.breaker import rest_in_words
from batches.services.job_sizes import bounds_of, planned_size
from batches.services.slots import slots_of
from batches.services.token_queue import limit_of
from batches.states import AT_PROVIDER, TO_SUBMIT
from batches.workloads import all_workloads

BY_HAND, TOLD, LEARNED, UNKNOWN = "by hand", "told", "learned", "unknown"


@dataclass(frozen=True)
class Slots:
    """Unfinished jobs of a workload, and how many there may be; "" for all of them."""

    workload: str
    taken: int
    most: int


@dataclass(frozen=True)
class Size:
    """Items that a workload's next job is planned to have, and between which bounds."""

    workload: str
    planned: int
    bounds: tuple[int, int] | None
    learned: JobSize | None


@dataclass(frozen=True)
class Queue:
    """Input tokens of a model that are queued at a provider, and how many may be.

    `limit` is None where nothing is known; `source` says where it comes from.
    """

    provider: str
    model: str
    queued: int
    to_send: int
    limit: int | None
    source: str
    learned: TokenQueue | None


@dataclass(frozen=True)
class ProviderLimits:
    """Whether a provider is asked now ("" or what is waited for), and its headers."""

    provider: str
    rests: str
    rests_until: datetime | None
    failures: int
    rate_limits: dict[str, str]
    rate_limits_at: datetime | None


@dataclass(frozen=True)
class Limits:
    slots: list[Slots]
    sizes: list[Size]
    queues: list[Queue]
    providers: list[ProviderLimits]


def limits_now(now: datetime) -> Limits:
    """All of it, in a handful of queries over what is unfinished."""
    return Limits(
        slots=_slots(), sizes=_sizes(), queues=_queues(), providers=_providers(now)
    )


def _slots() -> list[Slots]:
    jobs = BatchJob.objects.unfinished().order_by()
    taken = dict(jobs.values_list("workload").annotate(n=Count("pk")))
    each = [
        Slots(key, taken.get(key, 0), slots_of(key))
        for key in sorted(taken.keys() | all_workloads().keys())
    ]
    return [Slots("", sum(taken.values()), config.get("BATCH_MAX_JOBS")), *each]


def _sizes() -> list[Size]:
    learned = JobSize.objects.in_bulk()
    return [
        Size(key, planned_size(key, learned), bounds_of(key), learned.get(key))
        for key in all_workloads()
    ]


def _queues() -> list[Queue]:
    by_hand = config.get("TOKEN_QUEUE_LIMITS")
    learned = {(row.provider, row.model): row for row in TokenQueue.objects.all()}
    jobs = BatchJob.objects.unfinished().order_by()
    sums = {
        (row["provider"], row["model"]): row
        for row in jobs.values("provider", "model").annotate(
            queued=Sum("queued_tokens", filter=Q(status__in=AT_PROVIDER), default=0),
            to_send=Sum("queued_tokens", filter=Q(status__in=TO_SUBMIT), default=0),
        )
    }
    found = []
    for provider, model in sorted(learned.keys() | sums.keys()):
        row = learned.get((provider, model))
        here = sums.get((provider, model), {"queued": 0, "to_send": 0})
        hand = by_hand.get(model)
        found.append(
            Queue(
                provider=provider,
                model=model,
                queued=here["queued"],
                to_send=here["to_send"],
                limit=limit_of(row, hand) if row else hand,
                source=_source(row, hand),
                learned=row,
            )
        )
    return found


def _source(row: TokenQueue | None, by_hand: int | None) -> str:
    allowance = row.allowance if row else None
    if by_hand is not None and (allowance is None or by_hand <= allowance):
        return BY_HAND
    if row is None or allowance is None:
        return UNKNOWN
    return TOLD if allowance == row.told_limit else LEARNED


def _providers(now: datetime) -> list[ProviderLimits]:
    return [
        ProviderLimits(
            provider=state.provider,
            rests=rest_in_words(state)
            if state.open_until and state.open_until > now
            else "",
            rests_until=state.open_until,
            failures=state.failures,
            rate_limits=state.rate_limits,
            rate_limits_at=state.rate_limits_at,
        )
        for state in ProviderState.objects.order_by("provider")
    ]
