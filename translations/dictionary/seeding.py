"""Words and their entries by the hundred thousand, for a seeded load."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from batches.benchmark.load import Content, Done
from batches.benchmark.writing import insert_whole
from batches.providers.registry import is_sandbox
from batches.services.bulk import Row, reserve_keys, update_rows
from translations.dictionary.findings import CHECKS_VERSION
from translations.dictionary.models import Entry, Word, word_key
from translations.dictionary.workloads import ENTRY
from translations.models import ReviewStatus

LANGUAGE = "en"
SYLLABLES = ("ba", "co", "di", "fa", "ge", "ho", "ki", "lu", "mo", "na")


def _text(number: int) -> str:
    """A word that nobody says, and no other number has."""
    return "".join(SYLLABLES[int(digit)] for digit in f"{number:06}")


class SeededWords(Content):
    """Headwords of one list, each with an entry; two of three entries are published."""

    workload = "dictionary"
    model = "gpt-4o-mini"
    weight = 15

    def __init__(self) -> None:
        self.first: int | None = None
        self.written = 0

    def subject_model(self) -> type[Word]:
        return Word

    def write_subjects(self, upto: int, *, now: datetime) -> None:
        if self.first is None:
            self.first = Word.objects.count()
        rows = []
        for position in range(self.written, upto):
            text = _text(self.first + position)
            commonness = 100 + position * 7 % 600
            rows.append(
                (
                    word_key(LANGUAGE, text),
                    text,
                    commonness / 100,
                    commonness,
                    _hash(text),
                )
            )
        self.written = max(self.written, upto)
        insert_whole(
            Word,
            ("key", "text", "zipf", "commonness", "source_hash"),
            rows,
            language=LANGUAGE,
            preset="standard",
            source="load",
            updated_at=now,
        )

    def subject(self, position: int) -> tuple[str, str]:
        return word_key(LANGUAGE, self._word(position)), ENTRY

    def _word(self, position: int) -> str:
        return _text((self.first or 0) + position)

    def store(self, done: Sequence[Done]) -> None:
        keys = reserve_keys(Entry, len(done))
        rows = [
            self._entry(key, answer) for key, answer in zip(keys, done, strict=True)
        ]
        insert_whole(Entry, ENTRY_FIELDS, rows, number=1, checks_version=CHECKS_VERSION)
        update_rows(
            Word,
            ("entry", "entry_source_hash", "entry_is_sandbox", "entries_made"),
            [(row[1], row[0], row[4], row[9], 1) for row in rows],
        )

    def _entry(self, key: int, answer: Done) -> Row:
        text = self._word(answer.position)
        is_published = answer.position % 3 != 0
        status = ReviewStatus.PUBLISHED if is_published else ReviewStatus.PENDING_REVIEW
        return (
            key,
            word_key(LANGUAGE, text),
            status.value,
            _content(text),
            _hash(text),
            100 - answer.position % 13,
            answer.item_id,
            answer.provider,
            answer.model,
            is_sandbox(answer.provider),
            answer.at,
            "load-1" if is_published else "",
            answer.at if is_published else None,
        )


ENTRY_FIELDS = (
    "id",
    "word",
    "status",
    "content",
    "source_hash",
    "score",
    "item",
    "provider",
    "model",
    "is_sandbox",
    "created_at",
    "decided_by",
    "decided_at",
)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _content(text: str) -> dict[str, Any]:
    meaning = {
        "cluster": None,
        "pos": "noun",
        "definition": "something that somebody carries over a river",
        "register": "neutral",
        "cefr": "B1",
        "examples": [f"She took the {text} with her when the rain came."],
        "synonyms": [],
        "antonyms": [],
        "translations": [{"language": "so", "text": "webi"}],
    }
    return {
        "headword": text,
        "language": LANGUAGE,
        "is_word": True,
        "pronunciations": [],
        "meanings": [meaning],
        "inflections": [],
        "etymology": {"text": "", "confidence": "low"},
    }
