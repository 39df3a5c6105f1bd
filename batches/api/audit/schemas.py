"""Shapes of the audit log's answers."""

from datetime import datetime
from typing import Annotated, Any

from ninja import Field, Schema
from pydantic import AfterValidator, AwareDatetime, ConfigDict, StringConstraints

from batches.api.batch_jobs.schemas import Camel
from batches.api.parsing import BIGGEST_KEY, in_utc
from batches.api.steering import TroubleOut
from batches.monitoring.audit import Search
from batches.states import AuditKind, AuditOutcome

Text = Annotated[str, StringConstraints(max_length=200)]
Aware = Annotated[AwareDatetime, AfterValidator(in_utc)]


class SearchIn(Schema):
    actor: Text = Field("", description="whole, as amina or key:NAME")
    address: Text = Field("", description="whole")
    action: Text = Field("", description="its beginning, as run. or run.cancel")
    target: Text = Field("", description="its beginning")
    outcome: AuditOutcome | None = None
    kind: AuditKind | None = None
    since: Aware | None = Field(None, description="from then on")
    until: Aware | None = Field(None, description="before then")

    def as_search(self) -> Search:
        return Search(
            actor=self.actor,
            address=self.address,
            action=self.action,
            target=self.target,
            outcome=self.outcome or "",
            kind=self.kind or "",
            since=self.since,
            until=self.until,
        )


class EntriesIn(SearchIn):
    limit: int = Field(50, ge=1, le=200)
    cursor: int | None = Field(
        None, ge=1, le=BIGGEST_KEY, description="nextCursor of the page before"
    )


class EntryOut(Camel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: str
    created_at: datetime
    kind: AuditKind
    actor: str
    address: str
    action: str
    target: str
    outcome: AuditOutcome
    message: str
    count: int = Field(description="how often in the minute; 1 but for refusals")
    before: dict[str, Any] | None
    after: dict[str, Any] | None


ERRORS = dict.fromkeys((400, 401, 403, 500, 503), TroubleOut)


class EntriesOut(Camel):
    entries: list[EntryOut]
    next_cursor: str | None = Field(description="null on the last page")
