"""Definitions of a word from elsewhere, which an entry is then put together from.

Two sources: a file of JSON Lines (`DEFINITIONS_FILE`), and an address that answers
with JSON (`DEFINITIONS_URL`), whose answers are kept on disk. With none, an entry is
written in one step.
"""

import hashlib
import os
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Protocol
from urllib.parse import quote

import httpx2
import orjson
from django.conf import settings

from batches.errors import BatchError

TIMEOUT_SECONDS = 15
MOST_BYTES = 1 << 20
MOST_DEFINITIONS = 20
LONGEST = 500  # characters


class DefinitionsUnavailable(BatchError):
    """A source did not answer as it should; the run waits, and goes on later."""

    code = "definitions_unavailable"


class DefinitionSource(Protocol):
    def definitions(self, word: str, language: str) -> list[str]:
        """What a word means, in the source's order; none where it is not known."""


class FileDefinitions:
    """Lines `{"word", "language", "definitions": [text, …]}`; read once."""

    def __init__(self, path: Path) -> None:
        self._known: dict[tuple[str, str], list[str]] = {}
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        self._take(line, f"{path}, line {number}")
        except OSError as err:
            raise DefinitionsUnavailable(
                f"DEFINITIONS_FILE {path} cannot be read ({err.strerror}); correct it "
                "or leave it out."
            ) from err

    def _take(self, line: bytes, where: str) -> None:
        try:
            row = orjson.loads(line)
            key = row["language"], row["word"].casefold()
            said = texts(row["definitions"])
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as err:
            raise DefinitionsUnavailable(
                f"{where}: {line[:60]!r} is no object with word, language and "
                "definitions (a list of texts); correct it and go on."
            ) from err
        self._known.setdefault(key, []).extend(said)

    def definitions(self, word: str, language: str) -> list[str]:
        return self._known.get((language, word.casefold()), [])[:MOST_DEFINITIONS]


class HttpDefinitions:
    """`GET` of an address with {word} and {language}; the answer is a list of texts, or
    an object with `definitions`. 404 is a word that is not known. Both are kept."""

    def __init__(self, url: str, cache_dir: Path) -> None:
        self.url = url
        place = hashlib.sha256(url.encode()).hexdigest()[:16]
        self.directory = cache_dir / "definitions" / place

    def definitions(self, word: str, language: str) -> list[str]:
        key = hashlib.sha256(f"{language}:{word}".encode()).hexdigest()
        path = self.directory / key[:2] / f"{key}.json"
        try:
            kept: list[str] = orjson.loads(path.read_bytes())
        except FileNotFoundError:
            kept = self._fetch(word, language)
            _write(path, orjson.dumps(kept))
        return kept

    def _fetch(self, word: str, language: str) -> list[str]:

        url = self.url.replace("{word}", quote(word, safe=""))
        url = url.replace("{language}", quote(language, safe=""))
        try:
            answer = httpx2.get(url, timeout=TIMEOUT_SECONDS)
            if answer.status_code == httpx2.codes.NOT_FOUND:
                return []
            answer.raise_for_status()
            found: Any = orjson.loads(answer.content[:MOST_BYTES])
            return texts(found["definitions"] if isinstance(found, dict) else found)
        except (httpx2.HTTPError, orjson.JSONDecodeError, KeyError, TypeError) as err:
            raise DefinitionsUnavailable(
                f"DEFINITIONS_URL gave no definitions of {word!r} ({err}); "
                "see that it answers, or leave it out. The run goes on by itself then."
            ) from err


def texts(found: Any) -> list[str]:
    """The texts of a list, cut to what a request can take; TypeError for others."""
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise TypeError("no list of texts")
    kept = [one.strip()[:LONGEST] for one in found if one.strip()]
    return kept[:MOST_DEFINITIONS]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)


def definition_source() -> DefinitionSource | None:
    """The one that the settings name, the file before the address; None for none."""
    if settings.DEFINITIONS_FILE:
        path = Path(settings.DEFINITIONS_FILE)
        changed = path.stat().st_mtime_ns if path.exists() else 0
        return _file(path, changed)
    if settings.DEFINITIONS_URL:
        return HttpDefinitions(settings.DEFINITIONS_URL, Path(settings.CACHE_DIR))
    return None


@cache
def _file(path: Path, changed: int) -> FileDefinitions:
    return FileDefinitions(path)
