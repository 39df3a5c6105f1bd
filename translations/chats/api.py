"""/api/chats: sessions from a program, work on them, and what came of it."""

from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import Any

import orjson
from ninja import Body, Query, Router, Schema
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from batches.api.auth import ApiRequest, callers
from batches.api.batch_jobs.creation import Created, create_work
from batches.api.batch_jobs.schemas import CreatedOut, MessageOut, WorkIn
from batches.api.errors import NotFound
from batches.api.idempotency import IdempotencyKey
from batches.models.api_key import Scope
from batches.services.events import audit
from translations.api import ERRORS, TroubleOut
from translations.chats.export import exported
from translations.chats.importing import CHATS, store_rows
from translations.chats.models import ChatSession
from translations.importing import import_rows

router = Router(by_alias=True, tags=["chats"])
MOST_SESSIONS = 500
WRITING: dict[int, type[Schema]] = {**ERRORS, 413: TroubleOut, 415: TroubleOut}


class Camel(Schema):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class SessionsIn(Camel):
    """Each session as a line of a JSON Lines file would have it (docs/chats.md)."""

    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    sessions: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=MOST_SESSIONS,
        examples=[
            [
                {
                    "id": "chat-1",
                    "channel": "web",
                    "messages": [{"role": "customer", "text": "When does it start?"}],
                }
            ]
        ],
    )


class SessionRefusedOut(Schema):
    """Why a session was left out; `place` is its place in the list, from 1."""

    place: int
    field: str
    value: str
    problem: str


class ChatsOut(Schema):
    created: int
    updated: int
    unchanged: int
    refused: list[SessionRefusedOut]
    ignored: list[str] = Field(description="keys that are no fields of a session")


class AnalysisIn(WorkIn):
    sessions: list[str] = Field(
        default=[], max_length=MOST_SESSIONS, description="ids; default all in need"
    )
    account: str | None = Field(
        default=None, description="whose sessions are taken; default all"
    )


class SessionIn(Schema):
    account: str = Field(default="", description="whose session it is")


class EvidenceOut(Schema):
    label: str
    message_index: int
    quote: str


class AnalysisOut(Schema):
    """A row of the export, which docs/chats.md explains."""

    account: str
    session_id: str
    source: str
    channel: str
    country: str
    start_time: str | None
    end_time: str | None
    messages_sent: int = Field(description="messages of the customer")
    avg_response_seconds: float | None
    language: str
    languages: list[str]
    sentiment: str = Field(description="POSITIVE, NEUTRAL or NEGATIVE")
    sentiment_detail: str
    sentiment_end: str
    category: str
    secondary_categories: list[str]
    resolution: str
    escalation: str
    escalation_reasons: list[str]
    escalated: bool
    forwarded_hr: bool
    summary: str
    questions: list[str]
    evidence: list[EvidenceOut]
    taxonomy: str
    score: int = Field(description="automatic checks, 0 to 100")
    findings: list[str]
    is_stale: bool
    is_sandbox: bool


EVERYTHING = AnalysisIn()


@router.post(
    "",
    response={200: ChatsOut, **WRITING},
    summary="Create chat sessions, or change what is given of them",
    auth=callers(Scope.SUBMIT),
)
def write_chats(request: ApiRequest, body: Body[SessionsIn]) -> ChatsOut:
    lines = b"".join(orjson.dumps(one) + b"\n" for one in body.sessions)
    importer = replace(CHATS, store=partial(store_rows, is_of_api=True))
    stored = import_rows(importer, BytesIO(lines), name="sessions.jsonl")
    counts = {
        "created": stored.created,
        "updated": stored.updated,
        "unchanged": stored.unchanged,
    }
    audit(
        "chats.write",
        actor=request.auth.actor,
        target="chat sessions",
        after={**counts, "refused": len(stored.bad)},
    )
    return ChatsOut(
        **counts,
        refused=[
            SessionRefusedOut(
                place=bad.line, field=bad.field, value=bad.value, problem=bad.problem
            )
            for bad in stored.bad
        ],
        ignored=stored.ignored,
    )


@router.post(
    "/analysis",
    response={
        200: CreatedOut | MessageOut,
        202: CreatedOut,
        409: TroubleOut,
        **WRITING,
    },
    summary="Have chat sessions analysed",
    auth=callers(Scope.SUBMIT),
)
def create_analysis(
    request: ApiRequest,
    body: Body[AnalysisIn] = EVERYTHING,
    idempotency_key: IdempotencyKey = "",
) -> Created:
    return create_work(
        request,
        "session_analysis",
        {"sessions": body.sessions, "of_account": body.account},
        limit=body.limit,
        idempotency_key=idempotency_key,
    )


@router.get(
    "/{path:session_id}",
    response={200: AnalysisOut, **ERRORS},
    summary="The latest analysis of a chat session",
    auth=callers(Scope.READ_CONTENT),
)
def read_chat(
    request: ApiRequest, session_id: str, wanted: Query[SessionIn]
) -> AnalysisOut:
    found = ChatSession.objects.filter(account=wanted.account, external_id=session_id)
    if "\x00" in session_id:  # which PostgreSQL takes in no text
        found = found.none()
    for row in exported(found):
        return AnalysisOut.model_validate(row)
    if found.exists():
        raise NotFound(f"The chat session {session_id[:60]!r} has no analysis yet.")
    raise NotFound(f"There is no chat session {session_id[:60]!r}.")
