"""Translations in files of other tools: JSON Lines, PO, XLIFF 1.2 and 2.

    for entry in read_entries(stream, "lessons.jsonl", Told(), skipped): …

What cannot be read in an entry is said in it, and the rest goes on; where the file as a
whole cannot be read, `FileRefused` says why.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath
from typing import BinaryIO

from translations.pair_files import jsonl, po, xliff
from translations.pair_files.entry import Entry, FileRefused, Told

__all__ = ["READERS", "Entry", "FileRefused", "Told", "read_entries"]

READERS = {
    ".jsonl": jsonl.read,
    ".ndjson": jsonl.read,
    ".po": po.read,
    ".xlf": xliff.read,
    ".xliff": xliff.read,
}


def read_entries(
    stream: BinaryIO, name: str, told: Told, skipped: Counter[str]
) -> Iterator[Entry]:
    """The entries of a file in order, by the ending of its name.

    `skipped` gets what is no translation yet, counted by why.
    """
    reader = READERS.get(PurePath(name).suffix.lower())
    if reader is None:
        raise FileRefused(
            f"{name} is of no kind that can be read; give a file that ends in "
            f"{', '.join(READERS)}."
        )
    return reader(stream, name, told, skipped)
