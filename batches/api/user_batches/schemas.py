"""What comes in and goes out, with the names that the first system gave."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field

from batches.api.batch_jobs.schemas import (
    ERRORS,
    MAX_PAGE,
    Camel,
    ErrorOut,
    PlainStatus,
)

MAX_OFFSET = 10_000
MAX_EVENTS = 500
MAX_RESULTS = 1_000

NO_SUCH_JOB = {**ERRORS, 404: ErrorOut}
# For those who say which ETag they have.
UNCHANGED: dict[int, Any] = {304: None}
# 204 where nothing more will come.
STREAMED: dict[int, Any] = {204: None, 429: ErrorOut}
CANCELLING = {**NO_SUCH_JOB, 409: ErrorOut, 502: ErrorOut}

PriorityWord = Literal["low", "normal", "high"]


class UserJobsIn(Schema):
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = 0


class EventsIn(Schema):
    limit: Annotated[int, Field(ge=1, le=MAX_EVENTS)] = 200
    after: Annotated[int, Field(ge=0, le=2**63 - 1)] = Field(
        default=0, description="`next` of the page before"
    )


class ResultsIn(Schema):
    limit: Annotated[int, Field(ge=1, le=MAX_RESULTS)] = Field(
        default=700, description="results and errors at a time"
    )
    after: Annotated[int, Field(ge=0, le=2**63 - 1)] = Field(
        default=0, description="`result.next` of the page before"
    )


class MetricsIn(Schema):
    start_date: datetime | None = Field(
        default=None,
        alias="startDate",
        description="a date or a time; default 30 days before endDate",
    )
    end_date: datetime | None = Field(
        default=None, alias="endDate", description="a date or a time; default now"
    )


class AcceptedOut(Camel):
    job_id: UUID
    total_items: int
    status: PlainStatus
    message: str


class ResultOut(Camel):
    """One answer: `index` is its place among the job's items, from 0."""

    index: int
    subject: str
    target: str
    data: Any


class FailureOut(Camel):
    index: int
    subject: str
    target: str
    code: str
    message: str
    retryable: bool


class OutcomeOut(Camel):
    """What came of a job that ended; `next` leads to the rest of results and errors.

    `results` is null for keys without the scope read:content. `processingTime` is in
    milliseconds.
    """

    job_id: UUID
    status: Literal["completed", "partial", "failed"]
    total_processed: int
    success_count: int
    failure_count: int
    results: list[ResultOut] | None
    errors: list[FailureOut]
    processing_time: int
    next: int | None


class UserJobOut(Camel):
    """A run of the caller's; `progress` in percent of its items, `cost` in dollars."""

    job_id: UUID
    type: str
    status: PlainStatus
    progress: int
    total_items: int
    completed_items: int
    failed_items: int
    priority: PriorityWord
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class UserJobDetailOut(UserJobOut):
    result: OutcomeOut | None


class UserJobsOut(Camel):
    jobs: list[UserJobOut]
    total: int
    limit: int
    offset: int


class UserEventOut(Schema):
    """One event; these names have always been written so."""

    job_id: UUID
    event_type: str
    event_data: dict[str, Any]
    created_at: datetime


class UserEventsOut(Camel):
    job_id: UUID
    events: list[UserEventOut]
    next: int | None


class CancelledOut(Camel):
    job_id: UUID
    status: PlainStatus
    message: str


class QueueOut(Camel):
    total_jobs: int
    pending_jobs: int
    processing_jobs: int
    completed_jobs: int
    failed_jobs: int
    cancelled_jobs: int
    queue_length: int
    current_processing: int


class CountsOut(Camel):
    total: int
    pending: int
    processing: int
    completed: int
    failed: int
    cancelled: int


class UserStatsOut(Camel):
    """The caller's jobs by status: `jobs` all of them, `queue` in the queue's words,
    where `queueLength` counts requests that wait to be sent."""

    queue: QueueOut
    jobs: CountsOut
    timestamp: datetime


class UsageOut(Camel):
    requests: int
    cost: float


class FiguresOut(Camel):
    """`totalCost` is real money, in dollars; what a sandbox pretends to cost stands
    under its name in `providerUsage` alone. `averageResponseTime` is from order to end
    of a job, in milliseconds."""

    total_cost: float
    total_requests: int
    average_response_time: int | None
    feature_usage: dict[str, int]
    provider_usage: dict[str, UsageOut]


class PeriodOut(Schema):
    start: datetime
    end: datetime


class MetricsOut(Camel):
    user_id: str
    metrics: FiguresOut
    period: PeriodOut
