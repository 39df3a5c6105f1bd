"""The word lists that come with the app, frozen; each file says where it is from."""

import csv
import gzip
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PLACE = Path(__file__).parent


def bundled_words() -> Iterator[str]:
    """The 274,937 English words of the list, one after another."""
    with gzip.open(PLACE / "english.txt.gz", "rt", encoding="utf-8") as file:
        for line in file:
            yield line.rstrip("\n")


@cache
def stop_words() -> frozenset[str]:
    """The 421 English words that no entry is wanted for."""
    return frozenset(word for block in _blocks("stop_words.txt") for word in block)


@cache
def function_words() -> frozenset[str]:
    """The 140 of the stop words that are nothing but grammar."""
    return frozenset(_blocks("stop_words.txt")[0])


@cache
def exceptions() -> frozenset[str]:
    """English words that are never folded into another."""
    return frozenset(word for block in _blocks("exceptions.txt") for word in block)


@cache
def editors_folds(language: str) -> dict[str, str]:
    """{word: headword} as editors wrote them down; the rules come after these."""
    with (PLACE / "folds.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["word"]: row["headword"]
            for row in csv.DictReader(file)
            if row["language"] == language
        }


@cache
def blocked_words() -> frozenset[str]:
    """Words that an example for families and learners must not have."""
    return frozenset(word for block in _blocks("blocked_words.txt") for word in block)


def _blocks(name: str) -> list[list[str]]:
    """The words of a file, block by block; blank lines part them, # is a comment."""
    text = (PLACE / name).read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return [block.split() for block in lines.split("\n\n") if block.strip()]
