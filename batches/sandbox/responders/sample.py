"""Answers that were shipped with the content; whatever was not, as `pseudo`."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from batches.sandbox.bodies import Answer
from batches.sandbox.responders.asked import (
    result_schema,
    schema_name,
    translation,
    user_text,
)
from batches.sandbox.responders.pseudo import PseudoResponder, translated

FINGERPRINT = "sandbox_sample"
MEMBERS = ("source_language", "target_language", "source", "target")

# (source language, target language, source text): target text
Segments = dict[tuple[str, str, str], str]
# name of the result schema: [(what the request must say, the answer)]
Told = dict[str, list[tuple[list[str], str]]]


class SampleResponder(PseudoResponder):
    """Knows segments, and whole answers to requests that say certain things.

    A translation is answered from the samples only if they hold all of its segments.
    """

    def __init__(self, directories: Iterable[Path]) -> None:
        super().__init__()
        self._known: Segments = {}
        self._told: Told = {}
        for directory in directories:
            for path in sorted(directory.glob("*.jsonl")):
                read_samples(path, self._known, self._told)

    def answer(self, body: dict[str, Any]) -> Answer:
        text = user_text(body)
        for wanted, told in self._told.get(schema_name(body), ()):
            if all(part in text for part in wanted):
                return Answer(told, FINGERPRINT)
        asked = translation(text)
        if asked is None or not self._known:
            return super().answer(body)
        languages = (asked.source_language, asked.target_language)
        texts = {
            text: self._known.get((*languages, text)) for _, text in asked.segments
        }
        if not texts or None in texts.values():
            return super().answer(body)
        return Answer(translated(asked, result_schema(body), texts.get), FINGERPRINT)


def read_samples(path: Path, known: Segments, told: Told) -> None:
    """Add the samples of one JSONL file; lines of another shape are not for us.

    A line is a segment (`MEMBERS`), or an answer: `{"schema": the name of its result
    schema, "says": [texts that the user message must have], "answer": {…}}`.
    """
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as err:
                raise ValueError(f"{path}, line {number}: not JSON ({err})") from err
            match row:
                case {"schema": str(name), "says": [*parts], "answer": dict(answer)}:
                    said = [str(part) for part in parts]
                    told.setdefault(name, []).append(
                        (said, orjson.dumps(answer).decode())
                    )
                case dict() if all(isinstance(row.get(one), str) for one in MEMBERS):
                    source_language, target_language, source, target = (
                        row[member] for member in MEMBERS
                    )
                    known[source_language, target_language, source] = target


def shipped_directories(apps: Iterable[str]) -> list[Path]:
    """The `samples` folders beside the named apps and in the packages they are in.

    Only the top package is looked up, so that no code of an app is run.
    """
    found: dict[Path, None] = {}
    for app in apps:
        package, *inner = app.split(".")
        spec = find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            for depth in range(len(inner) + 1):
                directory = Path(place, *inner[:depth], "samples")
                if directory.is_dir():
                    found[directory] = None
    return list(found)
