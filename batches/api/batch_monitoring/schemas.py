"""What comes in and goes out; every answer stands in `{success, data}`."""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field

from batches.api.batch_jobs.schemas import MAX_PAGE, Camel, PlainStatus
from batches.api.user_batches.schemas import PriorityWord

MAX_PAGES = 10_000

Range = Literal["1h", "24h", "7d", "30d"]
T = TypeVar("T")


class Done(Schema, Generic[T]):
    success: Literal[True] = True
    data: T


class RefusedOut(Schema):
    success: Literal[False]
    error: str
    code: str


ERRORS = dict.fromkeys((400, 401, 403, 429, 500, 503), RefusedOut)
ACTS = {**ERRORS, **dict.fromkeys((404, 409, 502), RefusedOut)}
BODY = dict.fromkeys((413, 415), RefusedOut)


class SpanIn(Schema):
    time_range: Range = Field(
        default="24h", alias="timeRange", description="how far back, until now"
    )


class RangeIn(SpanIn):
    job_type: str = Field(
        default="",
        alias="jobType",
        max_length=64,
        description="a kind of work, such as translation; default all",
    )


class JobsIn(RangeIn):
    status: PlainStatus | None = Field(
        default=None, description="of the jobs in the list; figures are of all"
    )


class DashboardIn(JobsIn):
    include_details: bool = Field(
        default=False,
        alias="includeDetails",
        description="with the errors of each job",
    )
    page: Annotated[int, Field(ge=1, le=MAX_PAGES)] = 1
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50


class ExportIn(JobsIn):
    format: Literal["csv", "json"] = "csv"


class SlowIn(RangeIn):
    threshold_ms: Annotated[int, Field(ge=0, le=10**10)] | None = Field(
        default=None,
        alias="thresholdMs",
        description="milliseconds; default ALERT_PROCESSING_SECONDS",
    )


class SavingsOut(Camel):
    """Dollars against the real-time price of the same tokens.

    `projectedMonthly` is for 30 days at the pace of the range. A price that is not
    known saves nothing.
    """

    current_period: float
    projected_monthly: float
    projected_annual: float
    savings_percentage: float | None
    total_cost: float
    average_cost_per_request: float
    average_saving_per_request: float


class SummaryOut(Camel):
    """Of the jobs that had not finished before the range began.

    `pendingJobs` are all that have not finished; rates are of requests, in percent, and
    null where none ended. `costSavings` is real money, `sandboxSavings` pretended.
    """

    total_jobs: int
    completed_jobs: int
    failed_jobs: int
    cancelled_jobs: int
    pending_jobs: int
    total_requests: int
    processed_requests: int
    cost_savings: SavingsOut
    sandbox_savings: SavingsOut
    average_processing_time: int | None = Field(description="milliseconds")
    success_rate: float | None


class QueuesOut(Schema):
    """All jobs as they are now, whatever the range."""

    pending: int
    processing: int
    completed: int
    failed: int


class ThroughputOut(Camel):
    requests_per_hour: float
    jobs_per_hour: float
    average_batch_size: float | None


class EfficiencyOut(Camel):
    """Percent: how full jobs are, how much of what was sent came back done, and how
    much of what ended failed."""

    batch_utilization: float | None
    processing_efficiency: float | None
    error_rate: float | None


class PerformanceOut(Schema):
    throughput: ThroughputOut
    efficiency: EfficiencyOut


class JobErrorOut(Schema):
    error: str
    count: int
    percentage: float | None
    retryable: bool


class MonitoredJobOut(Camel):
    """A job; `costEstimate` is what it cost so far, in dollars."""

    id: UUID
    batch_id: str | None
    status: PlainStatus
    job_type: str
    request_count: int
    completed_count: int
    failed_count: int
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    processing_time_ms: int | None
    cost_estimate: float
    error_summary: list[JobErrorOut]


class BucketOut(Camel):
    """What ended from `timestamp` on, until the next one; dollars."""

    timestamp: datetime
    requests: int
    cost: float
    savings: float
    sandbox_requests: int
    sandbox_cost: float
    sandbox_savings: float


class PaginationOut(Schema):
    page: int
    limit: int
    total: int


class DashboardOut(Schema):
    summary: SummaryOut
    queues: QueuesOut
    performance: PerformanceOut
    jobs: list[MonitoredJobOut]
    historical: list[BucketOut]
    pagination: PaginationOut


class ErrorKindOut(Camel):
    """Items that failed alike; `jobIds` are the jobs with most of them, at most 20."""

    error: str
    count: int
    percentage: float | None
    retryable: bool
    job_count: int
    job_ids: list[UUID]


class ErrorsOut(Schema):
    total: int
    errors: list[ErrorKindOut]


class SlowJobOut(Camel):
    id: UUID
    job_type: str
    status: PlainStatus
    request_count: int
    processing_time_ms: int


class SlowTypeOut(Camel):
    job_type: str
    count: int
    total_ms: int
    average_ms: int


class SlowJobsOut(Camel):
    threshold_ms: int
    slowest: list[SlowJobOut]
    by_job_type: list[SlowTypeOut]


class TypeRatesOut(Camel):
    """Jobs of one kind of work, and the requests in them; rates in percent, null where
    no request ended."""

    job_type: str
    total_jobs: int
    finished_jobs: int
    failed_jobs: int
    completed_count: int
    failed_count: int
    success_rate: float | None
    error_rate: float | None
    average_processing_time: int | None = Field(description="milliseconds")


class JobTypesOut(Camel):
    job_types: list[TypeRatesOut]


class SizeRangeOut(Camel):
    range: str = Field(examples=["51-100"])
    jobs: int
    requests: int
    total_time_ms: int
    average_time_per_request_ms: float
    average_success_rate: float | None


class SizesOut(Schema):
    ranges: list[SizeRangeOut]


class MonitoredJobsOut(Schema):
    jobs: list[MonitoredJobOut]


class SteeredJobOut(Camel):
    id: UUID
    status: PlainStatus
    message: str


class RetriedOut(Camel):
    id: UUID
    retried_count: int
    skipped_count: int
    message: str


class PriorityIn(Schema):
    model_config = ConfigDict(extra="forbid")

    priority: PriorityWord


class SettingOut(Camel):
    """`source` is `override` where a row here wins over the environment and its
    default."""

    name: str
    value: Any
    expected: str
    source: Literal["override", "environment"]
    changed_by: str | None
    changed_at: datetime | None


class SettingsOut(Schema):
    settings: list[SettingOut]


class SettingsIn(Schema):
    """Values by name; null takes an override back."""

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any] = Field(
        min_length=1, max_length=100, examples=[{"BATCH_MAX_REQUESTS": 500}]
    )
