"""What comes in and goes out, field by field; names as the first system had them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

MAX_SUBJECTS = 500
MAX_PAGE = 100
MAX_OFFSET = 1_000_000

PlainStatus = Literal["pending", "processing", "completed", "failed", "cancelled"]


class Camel(Schema):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class ErrorOut(Schema):
    error: str
    code: str


# How every operation may end, and how those with a body, an id, or an act may end.
ERRORS = {
    400: ErrorOut,
    401: ErrorOut,
    403: ErrorOut,
    500: ErrorOut,
    503: ErrorOut,
}
BODY = {413: ErrorOut, 415: ErrorOut}
NO_SUCH_ID = {404: ErrorOut}
ACTS = {409: ErrorOut, 502: ErrorOut}
STEERING = {**NO_SUCH_ID, **ACTS}


class WorkIn(Schema):
    """How much to take; more is refused, and so is a field that is not known."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_SUBJECTS)] = Field(
        default=20, description="subjects to take, such as lessons"
    )


class CreatedOut(Camel):
    """Work was made: `jobId` is the first of `jobIds`; null where none is sent."""

    job_id: UUID | None
    job_ids: list[UUID]
    run_id: UUID
    message: str


class MessageOut(Schema):
    message: str


class PageIn(Schema):
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = 0


class DetailIn(Schema):
    content: bool = Field(
        default=False,
        description="with each item's request and response; needs read:content",
    )


class JobOut(Camel):
    """A job, or a run in a job's shape (`kind`).

    Counts are of requests: the provider's while it works on them, ours once the job
    is finished. `state` is the finer word for `status`; money of the provider
    `sandbox` is play money.
    """

    id: UUID
    kind: Literal["job", "run"]
    type: str
    status: PlainStatus
    state: str
    provider: str | None
    model: str | None
    openai_batch_id: str | None
    total_requests: int
    completed_requests: int
    failed_requests: int
    cancelled_requests: int
    errors: dict[str, int]
    waits_for: str | None
    cost_usd: str
    run_ids: list[UUID]
    job_ids: list[UUID]
    created_at: datetime
    submitted_at: datetime | None
    completed_at: datetime | None


class ItemOut(Camel):
    """One request; `id` is its `custom_id` at the provider."""

    id: str
    job_id: UUID | None
    entity_type: str
    entity_id: str
    target: str
    status: PlainStatus
    attempts: int
    error: str | None
    error_message: str | None
    cost_usd: str
    created_at: datetime
    completed_at: datetime | None
    request: dict[str, Any] | None
    response: str | None


class DetailOut(Camel):
    job: JobOut
    items: list[ItemOut]


class ActedOut(Camel):
    job: JobOut
    message: str


class AllCheckedOut(Camel):
    jobs: list[JobOut]
    message: str


class StatsRowOut(Schema):
    """Jobs of one status and type; these names have always been written so."""

    status: PlainStatus
    type: str
    count: int
    total_requests: int
    completed_requests: int
    failed_requests: int
