"""Writing words: what a filter kept, and what it did not."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice

import orjson
from django.db import transaction
from django.utils import timezone

from translations.dictionary.filtering import Filtered
from translations.dictionary.models import Word, WordStatus, word_key

ROWS_AT_ONCE = 1_000
LONGEST_TEXT = 255
# Beyond these an entry's request would grow for nothing.
FORMS_KEPT = 50
DECIDED = (
    "status",
    "reason",
    "headword",
    "zipf",
    "commonness",
    "forms",
    "preset",
    "source",
    "source_hash",
    "updated_at",
)


def word_hash(language: str, text: str, forms: dict[str, int]) -> str:
    """What an entry is written from; another one makes it out of date."""
    return hashlib.sha256(orjson.dumps([language, text, sorted(forms)])).hexdigest()


def store_words(
    filtered: Filtered,
    *,
    source: str,
    on_words: Callable[[int], None] = lambda count: None,
) -> int:
    """Write what a filter decided, a thousand rows a transaction; safe to repeat.

    Entries stay, whatever becomes of their words. Returns how many rows there are.
    """
    now = timezone.now()
    rows = _rows(filtered, source[:100], now)
    written = 0
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        # In key order, and no key twice: two writers wait and never block each other.
        unique = {row.key: row for row in batch}
        ordered = [unique[key] for key in sorted(unique)]
        with transaction.atomic():
            Word.objects.bulk_create(
                ordered,
                update_conflicts=True,
                unique_fields=["key"],
                update_fields=DECIDED,
            )
        written += len(ordered)
        on_words(len(ordered))
    return written


def new_word(language: str, text: str) -> Word:
    """A word that somebody asked for by name, not saved."""
    forms = {text: 1}
    return Word(
        key=word_key(language, text),
        language=language,
        text=text,
        forms=forms,
        source_hash=word_hash(language, text, forms),
    )


def _rows(filtered: Filtered, source: str, now: datetime) -> Iterator[Word]:
    language, preset = filtered.language, filtered.preset.name
    # What is kept comes last: as a rejected raw form may have the same key.
    for word in filtered.rejected:
        text = word.text.replace("\x00", "\ufffd")
        yield Word(
            key=word_key(language, text),
            language=language,
            text=text[:LONGEST_TEXT],
            status=WordStatus.REJECTED,
            reason=word.reason,
            headword=word.headword,
            zipf=word.zipf,
            commonness=round((word.zipf or 0) * 100),
            preset=preset,
            source=source,
            updated_at=now,
        )
    for head in filtered.kept:
        forms = dict(_commonest(head.forms.items()))
        yield Word(
            key=word_key(language, head.text),
            language=language,
            text=head.text,
            status=WordStatus.KEPT,
            zipf=head.zipf,
            commonness=head.occurrences
            if head.zipf is None
            else round(head.zipf * 100),
            forms=forms,
            preset=preset,
            source=source,
            source_hash=word_hash(language, head.text, forms),
            updated_at=now,
        )


def _commonest(forms: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(forms, key=lambda form: (-form[1], form[0]))[:FORMS_KEPT]
