"""JSON Lines: one object a line, read as a stream.

    {"id": "a", "source": "…", "target": "…", "source_language": "so",
     "target_language": "ar", "format": "html", "glossary": [{…}],
     "finish_reason": "stop", "max_length": 80}

`id` may be absent: then it is the number of the line. So may all behind the languages,
and these too where the caller names them.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from translations.pair_files.entry import Entry, FileRefused, Told, language_tag
from translations.quality import Background, Pair
from translations.quality.pair import shortened
from translations.quality.terms import Term, term_from_row
from translations.segments import guess_format

LONGEST_LINE = 16 * 1024 * 1024  # bytes
_FORMATS = ("text", "html", "markdown")
_MARKS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
}


def read(
    stream: BinaryIO, name: str, told: Told, skipped: Counter[str]
) -> Iterator[Entry]:
    number = 0
    while line := stream.readline(LONGEST_LINE):
        number += 1
        if number == 1:
            line = _without_mark(line, name)
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            _skip_rest(stream)
            problem = (
                f"it is longer than {LONGEST_LINE // 2**20} MB; "
                "split the text into several lines"
            )
            yield Entry(number, f"line {number}", problem=problem)
        elif line.strip():
            yield _entry(line, number, told)


def _entry(line: bytes, number: int, told: Told) -> Entry:
    place = f"line {number}"
    given: str | int = number
    try:
        row = _object(line)
        given = _id(row, number)
        pair = _pair(row, told)
        finish_reason = _text(row, "finish_reason", "")
    except ValueError as err:
        return Entry(given, place, problem=str(err))
    return Entry(given, place, pair, finish_reason)


def _object(line: bytes) -> dict[str, Any]:
    try:
        line.decode()
    except UnicodeDecodeError as err:
        raise ValueError(
            f"byte {err.start + 1} of it (0x{line[err.start]:02x}) is no UTF-8; save "
            "the file in UTF-8"
        ) from err
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as err:
        raise ValueError(
            f"{shortened(line.decode())!r} is no JSON ({err}); write one JSON object "
            "a line"
        ) from err
    if not isinstance(row, dict):
        raise ValueError(
            f"{shortened(line.decode())!r} is no object; write "
            '{"source": …, "target": …} and so on'
        )
    return row


def _pair(row: dict[str, Any], told: Told) -> Pair:
    source = _text(row, "source")
    target = "" if row.get("target") is None else _text(row, "target")
    if "target" not in row:
        raise ValueError("target is missing; give the translation, or an empty text")
    origin, to = (
        language_tag(_text(row, column, default), column)
        for column, default in (
            ("source_language", told.source_language or None),
            ("target_language", told.target_language or None),
        )
    )
    format = _text(row, "format", "") or guess_format(source)
    if format not in _FORMATS:
        raise ValueError(f"format is {format!r}; give one of {', '.join(_FORMATS)}")
    background = Background(
        terms=_terms(row.get("glossary")),
        told_apart=told.told_apart,
        max_length=_most(row.get("max_length")),
    )
    return Pair(source, target, origin, to, format, background=background)


def _text(row: dict[str, Any], column: str, default: str | None = None) -> str:
    """ValueError where it is no text, or missing without a default."""
    value = row.get(column)
    if value is None:
        if default is None:
            raise ValueError(f"{column} is missing; give it as a text")
        return default
    if not isinstance(value, str):
        raise ValueError(
            f"{column} is {shortened(repr(value))}, which is no text; put it in quotes"
        )
    return value


def _id(row: dict[str, Any], number: int) -> str | int:
    given = row.get("id")
    if given is None:
        return number
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise ValueError(
            f"id is {shortened(repr(given))}; give a text or a whole number"
        )
    return given


def _most(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"max_length is {value!r}; give a whole number of characters")
    return value


def _terms(rows: Any) -> tuple[Term, ...]:
    if rows is None:
        return ()
    if not isinstance(rows, list):
        raise ValueError(
            f"glossary is {shortened(repr(rows))}; give a list of glossary rows"
        )
    terms = []
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise ValueError(
                f"row {number} of glossary is {shortened(repr(row))}; give an object "
                "with source_term, source_forms, preferred, forbidden and rule"
            )
        try:
            terms.append(term_from_row(row))
        except ValueError as err:
            raise ValueError(f"row {number} of glossary: {err}; correct it") from err
    return tuple(terms)


def _without_mark(line: bytes, name: str) -> bytes:
    for mark, kind in _MARKS.items():
        if line.startswith(mark):
            raise FileRefused(f"{name} is {kind}; save it as plain UTF-8.")
    return line.removeprefix(b"\xef\xbb\xbf")


def _skip_rest(stream: BinaryIO) -> None:
    while rest := stream.readline(LONGEST_LINE):
        if rest.endswith(b"\n"):
            return
