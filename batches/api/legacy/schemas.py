"""What comes in and goes out; every answer has `ok`."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field

from batches.api.batch_jobs.schemas import Camel
from batches.states import ItemStatus

MAX_REQUESTS = 200
MAX_REQUEUED = 1_000


class NotOkOut(Schema):
    ok: Literal[False]
    error: str
    code: str


ERRORS = dict.fromkeys((400, 401, 403, 500, 503), NotOkOut)
BODY = dict.fromkeys((413, 415), NotOkOut)


class CountsByStatusOut(Schema):
    """How many requests are in each status; cancelled ones count in none of these."""

    pending_batching: int
    batching_in_progress: int
    processing_complete: int
    processing_failed: int


class LegacySummaryOut(Schema):
    ok: Literal[True] = True
    summary: CountsByStatusOut


class RequestsIn(Schema):
    status: ItemStatus
    limit: Annotated[int, Field(ge=1, le=MAX_REQUESTS)] = 50
    cursor: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | None = Field(
        default=None, description="`nextCursor` of the page before"
    )


class RequestOut(Camel):
    """One request; `sessionId` is the key of the content row that it is about."""

    id: str
    session_id: str
    status: ItemStatus
    type: str
    target: str
    model: str
    batch_id: UUID | None
    run_id: UUID
    error_code: str | None
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: str
    requested_at: datetime
    completed_at: datetime | None


class RequestsOut(Camel):
    ok: Literal[True] = True
    requests: list[RequestOut]
    next_cursor: str | None


class RequeueIn(Camel):
    model_config = ConfigDict(extra="forbid")

    request_ids: list[Annotated[str, Field(max_length=64)]] = Field(
        min_length=1, max_length=MAX_REQUEUED, examples=[["17", "18"]]
    )


class RequeuedOut(Camel):
    """`skippedCount` are those that are there and cannot go out again: they have not
    failed, the same work is under way, or nothing was ever sent of them. The three
    counts add up to the ids that were named, each once."""

    ok: Literal[True] = True
    requeued_count: int
    not_found_count: int
    skipped_count: int
