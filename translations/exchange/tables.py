"""CSV and JSON Lines: a row for each segment.

Cells that a spreadsheet would take for a formula get an apostrophe before them, and
lose it again on the way in.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import BinaryIO, ClassVar

from translations.exchange.entries import Entry
from translations.importing import BadRow, ContentRow, read_rows

COLUMNS = (
    *("kind", "id", "field", "segment", "language", "source_language"),
    *("source", "target", "state"),
)
# Also the wide forms, which some spreadsheets read as the narrow ones.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


class EntryRow(ContentRow):
    """A row that came back; `source` is compared with what the content says now."""

    may_be_empty: ClassVar = frozenset({"source", "target"})

    kind: str
    field: str
    segment: str
    language: str
    source: str | None = None
    target: str | None = None


def write_csv(entries: Iterable[Entry]) -> Iterator[str]:
    # With the mark by which spreadsheets know UTF-8.
    yield "\ufeff" + _csv_line(COLUMNS)
    for entry in entries:
        yield _csv_line([neutral(getattr(entry, name)) for name in COLUMNS])


def write_jsonl(entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        row = {name: getattr(entry, name) for name in COLUMNS}
        yield json.dumps(row, ensure_ascii=False) + "\n"


def read_table(stream: BinaryIO, name: str) -> Iterator[Entry | BadRow]:
    is_csv = not name.lower().endswith((".jsonl", ".ndjson", ".json"))
    for found in read_rows(EntryRow, stream, name):
        if isinstance(found, BadRow):
            yield found
            continue
        line, row = found
        values = {
            name: getattr(row, name) or ""
            for name in ("kind", "id", "field", "segment", "language")
        }
        source, target = row.source or "", row.target or ""
        if is_csv:
            values = {name: as_written(value) for name, value in values.items()}
            source, target = as_written(source), as_written(target)
        yield Entry(
            **values, source_language="", source=source, target=target, line=line
        )


def neutral(cell: str) -> str:
    """A cell that no spreadsheet calculates."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def as_written(cell: str) -> str:
    """What `neutral` was given."""
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell


def _csv_line(cells: Iterable[str]) -> str:
    out = StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
