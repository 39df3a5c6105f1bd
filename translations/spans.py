"""The segments of a version, kept as where each stands in the version's own text.

So a text is stored once and not twice, and what is stored beside it is written without
the database reading it. One entry a segment, in order: id, source hash, start and
length in code points; or id, source hash and its words, where they do not stand in the
text as they are: its line breaks were made the source's, or a tag was put back.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypedDict

import orjson
from django.db import models

Entry = tuple[str, str, int, int] | tuple[str, str, str]


class VersionSegment(TypedDict):
    id: str
    source_hash: str
    text: str


def spans_of(text: str, segments: Iterable[tuple[str, str, str]]) -> str:
    """What is kept of (id, source hash, words); blank where there are none."""
    entries: list[Entry] = []
    end = 0
    for key, source_hash, words in segments:
        start = text.find(words, end)
        if start < 0:
            entries.append((key, source_hash, words))
            continue
        size = len(words)
        end = start + size
        entries.append((key, source_hash, start, size))
    return orjson.dumps(entries).decode() if entries else ""


def segments_in(text: str, spans: str) -> list[VersionSegment]:
    """The segments whose spans in this text were kept."""
    return [
        VersionSegment(id=key, source_hash=source_hash, text=_words(text, *place))
        for key, source_hash, *place in (orjson.loads(spans) if spans else ())
    ]


def _words(text: str, start: int | str, size: int = 0) -> str:
    return start if isinstance(start, str) else text[start : start + size]


if TYPE_CHECKING:
    _Text = models.TextField[Any, Any]
else:
    _Text = models.TextField


class JSONText(_Text):
    """JSON that nobody asks the database about, kept as the text that it is.

    PostgreSQL would take each value apart and put it together again, and SQLite read it
    once more, to tell that it is JSON.
    """

    # What the type checker takes a value for that is read, and one that is given.
    _pyi_private_get_type: Any
    _pyi_private_set_type: Any

    def from_db_value(self, value: str | None, *_: Any) -> Any:
        return value if value is None else orjson.loads(value)

    def to_python(self, value: Any) -> Any:
        return orjson.loads(value) if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> Any:
        return value if value is None else json_text(value)

    def value_to_string(self, obj: models.Model) -> str:
        return json_text(self.value_from_object(obj))


def json_text(value: Any) -> str:
    """What such a column holds."""
    return orjson.dumps(value).decode()
