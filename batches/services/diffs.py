"""What changed between two wordings, word by word."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

WORD = re.compile(r"<[^<>]*>|\w+|\s+|[^\w\s]")
# Comparing takes time that grows with the square of the words.
MOST_WORDS = 2_500

Kind = Literal["same", "gone", "new"]


@dataclass(frozen=True)
class Run:
    """Words in a row that are in both texts, only in the old or only in the new."""

    kind: Kind
    text: str


def word_diff(old: str, new: str) -> list[Run]:
    before, after = WORD.findall(old), WORD.findall(new)
    if len(before) > MOST_WORDS or len(after) > MOST_WORDS:
        return [Run("gone", old), Run("new", new)] if old != new else [Run("same", new)]
    return list(_runs(before, after))


def _runs(before: list[str], after: list[str]) -> Iterator[Run]:
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag == "equal":
            yield Run("same", "".join(after[k:m]))
            continue
        if j > i:
            yield Run("gone", "".join(before[i:j]))
        if m > k:
            yield Run("new", "".join(after[k:m]))
