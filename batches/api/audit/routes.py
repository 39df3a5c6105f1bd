"""The audit log, for whoever may see it: a page at a time, or all as CSV."""

from typing import Any

from django.http import HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from ninja import Query, Router

from batches.api.audit.schemas import ERRORS, EntriesIn, EntriesOut, EntryOut, SearchIn
from batches.api.auth import ApiRequest, Circle, callers
from batches.models.api_key import Scope
from batches.monitoring.audit import as_csv, entries

router = Router(by_alias=True, tags=["audit"])
AUDITORS: dict[str, Any] = {"auth": callers(Scope.ADMIN, Circle.AUDITORS)}


@router.get(
    "",
    response={200: EntriesOut, **ERRORS},
    summary="What was done, and what was refused, newest first",
    **AUDITORS,
)
def audit_entries(request: ApiRequest, wanted: Query[EntriesIn]) -> EntriesOut:
    found = entries(wanted.as_search(), before=wanted.cursor)
    rows = list(found[: wanted.limit + 1])
    page = rows[: wanted.limit]
    return EntriesOut(
        entries=[EntryOut.from_orm(entry) for entry in page],
        next_cursor=str(page[-1].pk) if len(rows) > len(page) else None,
    )


@router.get(
    "/export",
    response={200: EntriesOut, **ERRORS},
    summary="All that was searched for, as CSV",
    openapi_extra={"responses": {200: {"content": {"text/csv": {}}}}},
    **AUDITORS,
)
def audit_export(request: ApiRequest, wanted: Query[SearchIn]) -> HttpResponseBase:
    name = f"audit-{timezone.now():%Y%m%d-%H%M}.csv"
    return StreamingHttpResponse(
        as_csv(entries(wanted.as_search())),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
