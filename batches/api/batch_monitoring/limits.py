"""Limits in the words of this family: quota, slots, sizes, and what providers tell."""

from datetime import datetime

from pydantic import Field

from batches.api.batch_jobs.schemas import Camel
from batches.monitoring.limits import Limits


class SlotsOut(Camel):
    """Unfinished jobs and how many there may be; `jobType` is null for all of them."""

    job_type: str | None
    taken: int
    most: int


class PlannedSizeOut(Camel):
    """Requests that the next job is planned to have, and between which bounds."""

    job_type: str
    planned: int
    least: int | None
    most: int | None


class TokenQueueOut(Camel):
    """Input tokens of a model at a provider: queued there, waiting here to be sent, and
    how many may be queued, null where nothing is known."""

    provider: str
    model: str
    queued_tokens: int
    waiting_tokens: int
    limit: int | None
    source: str = Field(description="by hand, told, learned or unknown")


class ProviderOut(Camel):
    """`restsUntil` is set while the provider is not asked, and `reason` says why;
    `rateLimits` are the headers that it sent last."""

    provider: str
    rests_until: datetime | None
    reason: str | None
    failures: int = Field(description="calls in a row that failed")
    rate_limits: dict[str, str]
    rate_limits_at: datetime | None


class LimitsOut(Camel):
    slots: list[SlotsOut]
    batch_sizes: list[PlannedSizeOut]
    queues: list[TokenQueueOut]
    providers: list[ProviderOut]


def shown_limits(found: Limits) -> LimitsOut:
    return LimitsOut(
        slots=[
            SlotsOut(job_type=one.workload or None, taken=one.taken, most=one.most)
            for one in found.slots
        ],
        batch_sizes=[
            PlannedSizeOut(
                job_type=one.workload,
                planned=one.planned,
                least=one.bounds[0] if one.bounds else None,
                most=one.bounds[1] if one.bounds else None,
            )
            for one in found.sizes
        ],
        queues=[
            TokenQueueOut(
                provider=one.provider,
                model=one.model,
                queued_tokens=one.queued,
                waiting_tokens=one.to_send,
                limit=one.limit,
                source=one.source,
            )
            for one in found.queues
        ],
        providers=[
            ProviderOut(
                provider=one.provider,
                rests_until=one.rests_until if one.rests else None,
                reason=one.rests or None,
                failures=one.failures,
                rate_limits=one.rate_limits,
                rate_limits_at=one.rate_limits_at,
            )
            for one in found.providers
        ],
    )
