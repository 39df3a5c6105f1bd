"""Reading the audit log: what was searched for, newest first, and as a table of CSV."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from django.db.models import QuerySet

from batches.models import AuditEntry
from batches.monitoring.usage_tables import csv_lines

ROWS_AT_ONCE = 500
COLUMNS = (
    *("id", "created_at", "kind", "actor", "address", "action", "target"),
    *("outcome", "message", "count", "before", "after"),
)


@dataclass(frozen=True)
class Search:
    """What entries are to have; what is empty is not asked for.

    `actor` and `address` are whole, `action` and `target` the beginning. `since` is
    within the range, `until` is not.
    """

    actor: str = ""
    address: str = ""
    action: str = ""
    target: str = ""
    outcome: str = ""
    kind: str = ""
    since: datetime | None = None
    until: datetime | None = None


def entries(search: Search, *, before: int | None = None) -> QuerySet[AuditEntry]:
    """Newest first; with `before` from below that key on, for the next page."""
    wanted: dict[str, Any] = {
        "actor": search.actor,
        "address": search.address,
        "action__startswith": search.action,
        "target__startswith": search.target,
        "outcome": search.outcome,
        "kind": search.kind,
        "created_at__gte": search.since,
        "created_at__lt": search.until,
        "pk__lt": before,
    }
    asked = {name: value for name, value in wanted.items() if value not in ("", None)}
    return AuditEntry.objects.newest_first().filter(**asked)


def as_csv(rows: QuerySet[AuditEntry]) -> Iterator[str]:
    """Lines of CSV as they are read, the names of the columns first."""
    read = rows.iterator(chunk_size=ROWS_AT_ONCE)
    return csv_lines(chain([COLUMNS], map(_texts, read)))


def _texts(entry: AuditEntry) -> Iterable[str]:
    for name in COLUMNS:
        value = getattr(entry, name)
        if value is None:
            yield ""
        elif isinstance(value, datetime):
            yield value.isoformat()
        elif name in ("before", "after"):
            yield json.dumps(value, ensure_ascii=False, sort_keys=True)
        else:
            yield str(value)
