"""The formats by name, as commands and pages offer them."""

from collections.abc import Iterable, Iterator

from translations.exchange.entries import Entry
from translations.exchange.po import write_po
from translations.exchange.tables import write_csv, write_jsonl
from translations.exchange.xliff import write_xliff

ENDINGS = {"csv": "csv", "jsonl": "jsonl", "xliff": "xlf", "po": "po"}
CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "xliff": "application/xliff+xml",
    "po": "text/x-gettext-translation; charset=utf-8",
}


def written(entries: Iterable[Entry], format: str, language: str) -> Iterator[str]:
    """A file's text, piece by piece; all entries are in this language."""
    if format == "csv":
        return write_csv(entries)
    if format == "jsonl":
        return write_jsonl(entries)
    if format == "po":
        return write_po(entries, language)
    return write_xliff(entries, language)
