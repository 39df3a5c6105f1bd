"""Answers that were shipped with the content; whatever was not, as `pseudo`."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from batches.sandbox.bodies import Answer
from batches.sandbox.responders.asked import result_schema, translation, user_text
from batches.sandbox.responders.pseudo import PseudoResponder, translated

FINGERPRINT = "sandbox_sample"
MEMBERS = ("source_language", "target_language", "source", "target")


class SampleResponder(PseudoResponder):
    """Knows segments: (source language, target language, source text) → target text.

    A request is answered from the samples only if they hold all of its segments.
    """

    def __init__(self, directories: Iterable[Path]) -> None:
        super().__init__()
        self._known: dict[tuple[str, str, str], str] = {}
        for directory in directories:
            for path in sorted(directory.glob("*.jsonl")):
                self._known.update(read_samples(path))

    def answer(self, body: dict[str, Any]) -> Answer:
        asked = translation(user_text(body))
        if asked is None or not self._known:
            return super().answer(body)
        languages = (asked.source_language, asked.target_language)
        texts = {
            text: self._known.get((*languages, text)) for _, text in asked.segments
        }
        if not texts or None in texts.values():
            return super().answer(body)
        return Answer(translated(asked, result_schema(body), texts.get), FINGERPRINT)


def read_samples(path: Path) -> dict[tuple[str, str, str], str]:
    """The segments of one JSONL file; lines of another shape are not for us."""
    known = {}
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as err:
                raise ValueError(f"{path}, line {number}: not JSON ({err})") from err
            if isinstance(row, dict) and all(
                isinstance(row.get(member), str) for member in MEMBERS
            ):
                source_language, target_language, source, target = (
                    row[member] for member in MEMBERS
                )
                known[source_language, target_language, source] = target
    return known


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
