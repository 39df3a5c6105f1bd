"""Content from files: CSV or JSON Lines in UTF-8, checked row by row.

An app registers its kinds in its `importers.py`, which is found when the first file
comes. Good rows go in, in batches of 500, each batch in one transaction; bad rows are
reported and left out. A file that cannot be read as a whole changes nothing.
"""

import codecs
import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from itertools import islice
from pathlib import PurePath
from typing import Any, BinaryIO, ClassVar, TextIO, TypeVar, cast

from django.db import transaction
from django.utils.module_loading import autodiscover_modules
from pydantic import BaseModel, ConfigDict, ValidationError

from batches.errors import BatchError

BATCH_ROWS = 500
_SHOWN_VALUE_CHARACTERS = 60
_CHUNK_BYTES = 1 << 20
_CSV_FIELD_CHARACTERS = 1 << 24  # the csv module's own limit is 131,072


class ImportRefused(BatchError):
    """A file that is not read at all; nothing of it is imported."""

    code = "import_refused"


class WrongField(ValueError):
    """For checks of a whole row: names the field that is wrong."""

    def __init__(self, field: str, value: Any, problem: str) -> None:
        super().__init__(problem)
        self.field = field
        self.value = value


class ContentRow(BaseModel):
    """One row of a file, whatever its format. Subclasses add the fields of their kind.

    A key that is missing leaves the stored value alone. An empty cell of a CSV counts
    as missing, except in the fields of `may_be_empty`.
    """

    model_config = ConfigDict(extra="allow")  # to name what is not imported

    may_be_empty: ClassVar[frozenset[str]] = frozenset()
    # The columns of a CSV that begins without a header, where there are such files.
    bare_columns: ClassVar[tuple[str, ...]] = ()

    id: str


RowT = TypeVar("RowT", bound=ContentRow)


@dataclass(frozen=True, slots=True)
class BadRow:
    """Why a row was left out. `line` is where it starts in the file, from 1."""

    line: int
    field: str
    value: str
    problem: str

    def __str__(self) -> str:
        where = f"line {self.line}"
        if self.field:
            where += f", {self.field}"
        return f"{where}: {self.value or 'nothing'} – {self.problem}"


@dataclass(slots=True)
class Stored:
    """What became of rows."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    bad: list[BadRow] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)  # unknown columns or keys

    @property
    def good(self) -> int:
        return self.created + self.updated + self.unchanged

    def add(self, other: "Stored") -> None:
        self.created += other.created
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.bad += other.bad


@dataclass(frozen=True, slots=True)
class Importer:
    """A kind of content: how a row looks and how rows are stored.

    `store` gets (line, row) pairs with different ids, inside a transaction, creates or
    updates by id, and reports rows that do not fit what is stored.
    """

    kind: str
    noun: tuple[str, str]  # one, many
    row: type[ContentRow]
    store: Callable[[Sequence[tuple[int, Any]]], Stored]


_importers: dict[str, Importer] = {}


def register_importer(importer: Importer) -> None:
    if importer.kind in _importers:
        raise ValueError(f"There are two importers of {importer.kind}.")
    _importers[importer.kind] = importer


def get_importer(kind: str) -> Importer:
    """ImportRefused names the kinds there are."""
    autodiscover_modules("importers")
    if kind not in _importers:
        raise ImportRefused(
            f"There is no kind of content “{kind}”; use one of "
            f"{', '.join(sorted(_importers))}."
        )
    return _importers[kind]


def import_rows(
    importer: Importer,
    stream: BinaryIO,
    *,
    name: str,
    dry_run: bool = False,
    on_rows: Callable[[int], None] = lambda count: None,
    columns: Mapping[str, str] | None = None,
) -> Stored:
    """Import a file from a seekable stream; safe to repeat.

    `name` tells the format (.csv, .jsonl) and names the file in errors. `on_rows` is
    called with the number of rows read since. With `dry_run` nothing stays. `columns`
    says which field each column of a CSV is; those it leaves out are not imported.
    ImportRefused says why the file as a whole was not read.
    """
    check_encoding(stream, name)
    total = Stored()
    lines: dict[str, int] = {}  # of each id seen
    unknown: set[str] = set()
    rows = _rows(importer.row, stream, name, columns)
    while batch := list(islice(rows, BATCH_ROWS)):
        good: list[tuple[int, ContentRow]] = []
        for entry in batch:
            if isinstance(entry, BadRow):
                total.bad.append(entry)
                continue
            line, row = entry
            unknown |= (row.model_extra or {}).keys()
            first = lines.setdefault(row.id, line)
            if first == line:
                good.append(entry)
                continue
            problem = f"This id stands on line {first} already; give each row its own."
            total.bad.append(BadRow(line, "id", _shown(row.id), problem))
        with transaction.atomic():
            total.add(importer.store(good))
            if dry_run:
                transaction.set_rollback(True)
        on_rows(len(batch))
    total.bad.sort(key=lambda bad: bad.line)
    total.ignored = sorted(unknown)
    return total


def check_encoding(stream: BinaryIO, name: str) -> int:
    """How many lines a file has; ImportRefused if it is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    lines = 0
    stream.seek(0)
    try:
        while chunk := stream.read(_CHUNK_BYTES):
            decoder.decode(chunk)
            lines += chunk.count(b"\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as err:
        line = lines + err.object[: err.start].count(b"\n") + 1
        raise ImportRefused(
            f"{name} is not UTF-8: byte 0x{err.object[err.start]:02x} on line {line}. "
            "Save it as UTF-8 and import it again; nothing was imported."
        ) from err
    stream.seek(0)
    return lines + 1


def read_columns(importer: Importer, stream: BinaryIO, name: str) -> list[str] | None:
    """The columns of a CSV as its header names them; None for JSON Lines."""
    check_encoding(stream, name)
    if not _is_csv(stream, name):
        return None
    text = TextIOWrapper(stream, "utf-8-sig", newline="")
    try:
        return _read_header(text, importer.row)[1]
    finally:
        text.detach()


def suggest_columns(importer: Importer, columns: Sequence[str]) -> dict[str, str]:
    """{column: field} for columns that are called like a field, however written."""
    fields = {_plain(name): name for name in importer.row.model_fields}
    suggested: dict[str, str] = {}
    for column in columns:
        name = fields.get(_plain(column))
        if name and name not in suggested.values():
            suggested[column] = name
    return suggested


def first_rows(
    importer: Importer,
    stream: BinaryIO,
    *,
    name: str,
    columns: Mapping[str, str] | None = None,
    count: int,
) -> list[tuple[int, ContentRow] | BadRow]:
    """How a file begins: rows with their lines, or why they are none."""
    check_encoding(stream, name)
    return list(islice(_rows(importer.row, stream, name, columns), count))


def _plain(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign.isalnum())


def _is_csv(stream: BinaryIO, name: str) -> bool:
    suffix = PurePath(name).suffix.lower()
    if suffix not in (".csv", ".jsonl", ".ndjson", ".json"):
        return _first_character(stream) not in (b"{", b"[")
    return suffix == ".csv"


def read_rows(
    model: type[RowT], stream: BinaryIO, name: str
) -> Iterator[tuple[int, RowT] | BadRow]:
    """(line, row) of each row of a file; ImportRefused where it cannot be read."""
    check_encoding(stream, name)
    return cast(Iterator[tuple[int, RowT] | BadRow], _rows(model, stream, name))


def _rows(
    model: type[ContentRow],
    stream: BinaryIO,
    name: str,
    columns: Mapping[str, str] | None = None,
) -> Iterator[tuple[int, ContentRow] | BadRow]:
    if _is_csv(stream, name):
        return _csv_rows(model, stream, name, columns)
    return _json_rows(model, stream, name)


def _json_rows(
    model: type[ContentRow], stream: BinaryIO, name: str
) -> Iterator[tuple[int, ContentRow] | BadRow]:
    if _first_character(stream) == b"[":
        raise ImportRefused(
            f"{name} is one JSON array; put each object on a line of its own (JSON "
            "Lines) and import it again. Nothing was imported."
        )
    for line, data in enumerate(stream, start=1):
        data = data.removeprefix(codecs.BOM_UTF8) if line == 1 else data
        if not data.strip():
            continue
        try:
            yield line, model.model_validate_json(data, strict=True)
        except ValidationError as err:
            yield _bad_row(line, err)


def _csv_rows(
    model: type[ContentRow],
    stream: BinaryIO,
    name: str,
    columns: Mapping[str, str] | None,
) -> Iterator[tuple[int, ContentRow] | BadRow]:
    text = TextIOWrapper(stream, "utf-8-sig", newline="")
    try:
        reader, cells = _read_header(text, model)
        if not cells:
            return
        header = _header(cells, model, name, columns)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as err:
                yield BadRow(line, "", "", f"The quotes are wrong: {err}.")
                continue
            if any(cells):
                yield _csv_row(model, header, line, cells)
    finally:
        text.detach()  # the stream is the caller's to close


def _csv_row(
    model: type[ContentRow], header: list[str], line: int, cells: list[str]
) -> tuple[int, ContentRow] | BadRow:
    if len(cells) != len(header):
        problem = f"The row has {len(cells)} cells, the header {len(header)}."
        return BadRow(line, "", _shown(cells[0]), problem)
    values = {
        name: cell
        for name, cell in zip(header, cells, strict=True)
        if name and (cell.strip() or name in model.may_be_empty)
    }
    try:
        return line, model.model_validate(values)
    except ValidationError as err:
        return _bad_row(line, err)


def _read_header(text: TextIO, model: type[ContentRow]) -> tuple[Any, list[str]]:
    """A reader that stands after the header, and the header; empty for no rows.

    Where the first line names no field, and the kind has files without a header, the
    reader stands before that line.
    """
    csv.field_size_limit(_CSV_FIELD_CHARACTERS)
    first = text.readline()
    text.seek(0)
    reader = csv.reader(text, delimiter=_delimiter(first, model), strict=True)
    if not first.strip():
        return reader, []
    try:
        cells = [cell.strip() for cell in next(reader)]
    except csv.Error as err:
        raise ImportRefused(
            f"The first line, which names the columns, cannot be read: {err}. "
            "Nothing was imported."
        ) from err
    if model.bare_columns and not model.model_fields.keys() & set(cells):
        text.seek(0)
        reader = csv.reader(text, delimiter=_delimiter(first, model), strict=True)
        return reader, list(model.bare_columns)
    return reader, cells


def _delimiter(header: str, model: type[ContentRow]) -> str:
    """The sign that makes most known names of the header; spreadsheets differ in it.

    Where no name is known, the sign that stands there most often.
    """

    def known(sign: str) -> tuple[int, int]:
        names = {name.strip().strip('"') for name in header.split(sign)}
        return len(names & model.model_fields.keys()), header.count(sign)

    return max(",;\t", key=known)


def _header(
    cells: list[str],
    model: type[ContentRow],
    name: str,
    columns: Mapping[str, str] | None,
) -> list[str]:
    """The field of each cell; empty for a column that is not imported."""
    header = cells
    if columns is not None:
        header = [columns.get(cell, "") for cell in cells]
    missing = [
        column
        for column, info in model.model_fields.items()
        if info.is_required() and column not in header
    ]
    twice = sorted({column for column in header if column and header.count(column) > 1})
    if not missing and not twice:
        return header
    wrong = f"lacks {', '.join(missing)}" if missing else f"has {twice[0]} twice"
    raise ImportRefused(
        f"The header of {name} {wrong}; it is: {', '.join(cells)}. Known columns are "
        f"{', '.join(model.model_fields)}. Nothing was imported."
    )


def _first_character(stream: BinaryIO) -> bytes:
    start = stream.read(4096).removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    stream.seek(0)
    return start


def _bad_row(line: int, err: ValidationError) -> BadRow:
    """The first thing wrong with a row; the rest shows when that is mended."""
    first = err.errors(include_url=False)[0]
    problem = str(first["msg"]).removeprefix("Value error, ")
    problem = f"{problem.replace(' at line 1 column', ' at column').rstrip('.')}."
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, WrongField):
        return BadRow(line, cause.field, _shown(cause.value), problem)
    value = "" if first["type"] == "missing" else _shown(first["input"])
    return BadRow(line, ".".join(map(str, first["loc"])), value, problem)


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        shown = value.strip()
    else:
        shown = json.dumps(value, ensure_ascii=False, default=str)
    if len(shown) > _SHOWN_VALUE_CHARACTERS:
        shown = shown[: _SHOWN_VALUE_CHARACTERS - 1] + "…"
    return f"“{shown}”"
