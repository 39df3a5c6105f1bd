"""One translation in a file, and what can be wrong with it before it is checked."""

import re
from dataclasses import dataclass

from translations.languages import is_known
from translations.quality import Pair
from translations.quality.pair import TOLD_APART


class FileRefused(Exception):
    """The file cannot be read any further; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the caller says of a file, where the file says nothing itself."""

    source_language: str = ""
    target_language: str = ""
    told_apart: frozenset[str] = TOLD_APART


@dataclass(frozen=True, slots=True)
class Entry:
    """A translation; `pair` is None where `problem` says what is wrong with the entry.

    `place` says where it stands, for a person: `line 3`.
    """

    id: str | int
    place: str
    pair: Pair | None = None
    finish_reason: str = ""
    problem: str = ""


def language_tag(value: str, column: str) -> str:
    """The tag as BCP 47 writes it (`pt_br` is pt-BR); ValueError for one unknown."""
    parts = re.split(r"[-_]", value.strip().partition(".")[0].partition("@")[0])
    shaped = [parts[0].lower()]
    for part in parts[1:]:
        shaped.append(part.title() if len(part) == 4 else part.upper())
    tag = "-".join(shaped)
    if not is_known(tag):
        raise ValueError(
            f"{column} is {value!r}, which is no known language; give a tag such as "
            "so, ar or pt-BR"
        )
    return tag
