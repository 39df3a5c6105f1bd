"""One line of such a file, and its name in formats that know only names."""

from dataclasses import dataclass
from urllib.parse import quote, unquote

UnitName = tuple[str, str, str, str]  # kind, id, field, language

# How far the text of a line is.
STATES = ("missing", "stale", "waiting", "published")


@dataclass(frozen=True, slots=True)
class Entry:
    """A segment of a text and what is said for it in a language.

    `kind` and `id` are the content's names for programs; `state` is one of STATES, and
    told for the reader's sake; `line` is where an entry stands in the file it came in.
    """

    kind: str
    id: str
    field: str
    segment: str
    language: str
    source_language: str
    source: str
    target: str = ""
    state: str = ""
    line: int = 0

    @property
    def unit(self) -> UnitName:
        return (self.kind, self.id, self.field, self.language)


def joined_name(*parts: str) -> str:
    """Parts as one name; what would cut it elsewhere is quoted: `lesson/a%2Fb/body`."""
    return "/".join(quote(part, safe="") for part in parts)


def split_name(name: str, count: int) -> list[str] | None:
    """The parts of such a name; None where it is none of so many."""
    parts = [unquote(part) for part in name.split("/")]
    return parts if len(parts) == count and all(parts) else None
