"""A file becomes rows: read line by line, checked as a whole, taken or refused as one.

A file that was sent in part would have to be taken apart by hand; so nothing of it is
kept where a line is wrong, and the lines that are wrong are named.
"""

import codecs
import csv
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import PurePath
from typing import Any, BinaryIO

import orjson
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from batches import config
from batches.errors import UnknownPrice
from batches.providers.registry import active_provider
from batches.services.events import audit
from batches.services.prices import current_rate
from translations.files.models import FileLine, RequestFile
from translations.files.requests import (
    BadRequestLine,
    body_of_row,
    check_body,
    check_id,
    columns_named,
    read_request,
    schema_problem,
)
from translations.importing import BadRow, ImportRefused, check_encoding

PAGE = 500
LONGEST_LINE_BYTES = 4 * 1024 * 1024
PROBLEMS_TOLD = 20
ID_COLUMNS = ("custom_id", "id")


@dataclass(frozen=True)
class Asked:
    """What a table does not say itself: `prompt` with $columns, the JSON `schema` of
    answers, the `model` (default OPENAI_MODEL) and each answer's limit in tokens."""

    prompt: str = ""
    schema: Any = None
    model: str = ""
    output_limit: int | None = None


class FileRefused(ImportRefused):
    """A file with lines that cannot be sent; `bad` has the first of them."""

    code = "file_refused"

    def __init__(self, name: str, bad: list[BadRow]) -> None:
        self.bad = bad
        told = "; ".join(str(row) for row in bad[:3])
        more = " There are more." if len(bad) > 3 else ""
        super().__init__(
            f"{name} was not imported, and nothing of it is kept: {told}{more} Correct "
            "the file and import it again."
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One line that can be sent; `content` is what `FileLine` keeps of it."""

    number: int
    custom_id: str
    model: str
    content: bytes


def import_file(
    stream: BinaryIO,
    *,
    name: str,
    asked: Asked | None = None,
    owner: User | None = None,
    actor: str = "",
    on_lines: Callable[[int], None] = lambda count: None,
    dry_run: bool = False,
) -> RequestFile:
    """Bring in a file from a seekable stream: .csv is a table, all else JSON Lines.

    Memory stays flat whatever its length. Raises FileRefused naming lines, values and
    what would do, ImportRefused where the file as a whole cannot be taken, UnknownPrice
    for a model without one. With `dry_run` the row that comes back is not kept.
    """
    asked = asked or Asked()
    name = PurePath(name).name[:200]
    is_csv = name.lower().endswith(".csv")
    check_encoding(stream, name)
    columns = _read_header(stream, name, asked) if is_csv else []
    with transaction.atomic():
        file = RequestFile.objects.create(
            name=name,
            form=RequestFile.Form.CSV if is_csv else RequestFile.Form.JSONL,
            model=asked.model or config.get("OPENAI_MODEL"),
            digest=_digest(stream),
            output_limit=asked.output_limit,
            prompt=asked.prompt if is_csv else "",
            schema=asked.schema if is_csv else None,
            columns=columns,
            owner=owner,
            created_at=timezone.now(),
        )
        rows = (
            _table_lines(stream, file)
            if is_csv
            else _request_lines(stream, asked.output_limit)
        )
        _take(file, rows, on_lines)
        file.save(update_fields=["model", "lines_total"])
        audit(
            "file.import",
            actor=actor or "command",
            target=str(file),
            after={"lines": file.lines_total, "sha256": file.digest},
        )
        if dry_run:
            transaction.set_rollback(True)
    return file


def _take(
    file: RequestFile, lines: Iterator[Line | BadRow], on_lines: Callable[[int], None]
) -> None:
    """Insert what is good; raises FileRefused at the end, or after enough bad lines."""
    bad: list[BadRow] = []
    model = ""
    while page := list(islice(lines, PAGE)):
        good = [line for line in page if isinstance(line, Line)]
        bad += [line for line in page if isinstance(line, BadRow)]
        for line in good:
            model = model or line.model
            if line.model != model:
                problem = f"The lines before ask {model!r}; a file has one model."
                bad.append(BadRow(line.number, "body.model", line.model, problem))
        fresh = _with_ids_of_their_own(file, good, bad)
        if len(bad) >= PROBLEMS_TOLD:
            break
        if not bad:
            _insert(file, fresh)
        file.lines_total += len(good)
        on_lines(len(page))
    if bad:
        bad.sort(key=lambda row: row.line)
        raise FileRefused(file.name, bad[:PROBLEMS_TOLD])
    if not file.lines_total:
        raise ImportRefused(
            f"{file.name} has no requests. Give one on each line, or for a table a "
            "header and at least one row."
        )
    file.model = model or file.model
    try:
        current_rate(active_provider(), file.model, timezone.now())
    except UnknownPrice as err:
        raise UnknownPrice(f"{file.name}, line 1: {err}") from err


def _with_ids_of_their_own(
    file: RequestFile, lines: list[Line], bad: list[BadRow]
) -> list[Line]:
    """Leave out ids that stand on an earlier line, and say on which."""
    ids = {line.custom_id for line in lines}
    there = FileLine.objects.filter(file=file, custom_id__in=ids)
    first = dict(there.values_list("custom_id", "number"))
    fresh = []
    for line in lines:
        number = first.setdefault(line.custom_id, line.number)
        if number == line.number:
            fresh.append(line)
            continue
        problem = f"It stands on line {number} already; give each line its own."
        bad.append(BadRow(line.number, "custom_id", line.custom_id[:60], problem))
    return fresh


def _insert(file: RequestFile, lines: list[Line]) -> None:
    FileLine.objects.bulk_create(
        FileLine(
            file=file,
            number=line.number,
            custom_id=line.custom_id,
            content=line.content.decode(),
        )
        for line in lines
    )


def _digest(stream: BinaryIO) -> str:
    stream.seek(0)
    digest = hashlib.sha256()
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
    stream.seek(0)
    return digest.hexdigest()


# --- JSON Lines -----------------------------------------------------------------------


def _request_lines(stream: BinaryIO, limit: int | None) -> Iterator[Line | BadRow]:
    number = 0
    while data := stream.readline(LONGEST_LINE_BYTES + 1):
        number += 1
        if len(data) > LONGEST_LINE_BYTES:
            yield _too_long(number)
            while data and not data.endswith(b"\n"):
                data = stream.readline(LONGEST_LINE_BYTES)
            continue
        data = data.removeprefix(codecs.BOM_UTF8) if number == 1 else data
        if not data.strip():
            continue
        try:
            custom_id, model, body = read_request(data, limit)
        except BadRequestLine as err:
            yield _bad(number, err)
            continue
        yield Line(number, custom_id, model, orjson.dumps(body))


def _too_long(number: int) -> BadRow:
    most = LONGEST_LINE_BYTES // (1024 * 1024)
    problem = f"The line has more than {most} MB; no model reads so much at once."
    return BadRow(number, "", "", problem)


def _bad(number: int, err: BadRequestLine) -> BadRow:
    value = err.value
    if value is None:
        shown = ""
    elif isinstance(value, str):
        shown = value
    else:
        shown = json.dumps(value, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= 60 else f"{shown[:59]}…"
    return BadRow(number, err.field, f"“{shown}”" if shown else "", err.problem)


# --- tables ---------------------------------------------------------------------------


def _read_header(stream: BinaryIO, name: str, asked: Asked) -> list[str]:
    """The columns of a table that can be asked about; raises ImportRefused."""
    if not asked.prompt.strip():
        raise ImportRefused(
            f"{name} is a table: say what is asked of each row with a prompt "
            "(--prompt FILE), in which $column stands for a column's text."
        )
    if asked.output_limit is None:
        raise ImportRefused(
            f"{name} is a table: say how long an answer may be "
            "(--max-output-tokens N), so that its cost can be reserved."
        )
    has_schema = asked.schema is not None
    if has_schema and (problem := schema_problem(orjson.dumps(asked.schema))):
        raise ImportRefused(f"The schema of answers cannot be used: {problem}")
    text = TextIOWrapper(stream, "utf-8-sig", newline="")
    try:
        columns = next(csv.reader(text), [])
    finally:
        text.detach()
        stream.seek(0)
    if twice := [name for name in columns if columns.count(name) > 1]:
        raise ImportRefused(f"{name} has two columns {twice[0]!r}; rename one.")
    try:
        wanted = columns_named(asked.prompt)
    except ValueError as err:
        raise ImportRefused(f"The prompt has {err}.") from err
    for column in wanted:
        if column not in columns:
            raise ImportRefused(
                f"The prompt names ${column}, and {name} has no such column; it has "
                f"{', '.join(columns) or 'none'}. Write $$ for the sign itself."
            )
    return columns


def _table_lines(stream: BinaryIO, file: RequestFile) -> Iterator[Line | BadRow]:
    text = TextIOWrapper(stream, "utf-8-sig", newline="")
    before = csv.field_size_limit(LONGEST_LINE_BYTES)
    try:
        reader = csv.reader(text)
        next(reader, None)
        id_column = next((n for n in ID_COLUMNS if n in file.columns), "")
        while True:
            number = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as err:
                yield BadRow(number, "", "", f"The row cannot be read: {err}.")
                continue
            if any(cells):
                yield _table_line(file, number, cells, id_column)
    finally:
        csv.field_size_limit(before)
        text.detach()


def _table_line(
    file: RequestFile, number: int, cells: list[str], id_column: str
) -> Line | BadRow:
    if len(cells) != len(file.columns):
        problem = f"The row has {len(cells)} cells, the header {len(file.columns)}."
        return BadRow(number, "", f"“{cells[0][:60]}”", problem)
    row = dict(zip(file.columns, cells, strict=True))
    try:
        custom_id = check_id(row[id_column] if id_column else f"row-{number}")
        body = body_of_row(
            row,
            prompt=file.prompt,
            schema=file.schema,
            output_limit=file.output_limit or 0,
        )
        check_body(body, None)
    except BadRequestLine as err:
        return _bad(number, err)
    return Line(number, custom_id, file.model, orjson.dumps(row))
