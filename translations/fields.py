"""From a field's text to the requests it takes: one a language, or one a part."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Model

from batches.workloads import Target
from translations.drafts import whole_numbers
from translations.models import DraftPart, place
from translations.registry import Registered
from translations.segments import Piece, parts, source_hash, split_text
from translations.selection import Wanted, content_type_of


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a field's text in one language, to be sent as one request."""

    field: str
    language: str
    number: int
    total: int
    pieces: list[Piece]
    source_hash: str
    format: str


def field_targets(wanted: Wanted, field: str, languages: list[str]) -> Iterator[Target]:
    """The requests for one field: one a language, or one a part of a long text."""
    entry, row = wanted.entry, wanted.row
    text = getattr(row, field)
    if len(text) > wanted.longest:
        for language in languages:
            yield Target(
                f"{field}:{language}",
                error_code="too_large",
                error_message=(
                    f"{field} has {len(text):,} characters; "
                    f"at most {wanted.longest:,} are sent. "
                    "Shorten it, or raise MAX_FIELD_CHARACTERS."
                ),
            )
        return
    format = entry.format_of(row, field)
    slices = parts(split_text(text, format))
    if not slices:
        yield Target(field, skipped=f"{field} without any words")
    hash_ = source_hash(text, format)
    for language in languages:
        done = _parts_done(entry, row, field, language, hash_) if slices[1:] else ()
        for number, pieces in enumerate(slices, start=1):
            if number in done:
                continue
            yield Target(
                target_key(field, language, number, len(slices)),
                source=Part(
                    field=field,
                    language=language,
                    number=number,
                    total=len(slices),
                    pieces=pieces,
                    source_hash=hash_,
                    format=format,
                ),
            )


def _parts_done(
    entry: Registered, row: Model, field: str, language: str, hash_: str
) -> set[int]:
    """The parts of this very source that a draft has already: they are paid for."""
    return whole_numbers(
        DraftPart.objects.filter(
            translation__content_type=content_type_of(entry),
            translation__object_id=str(row.pk),
            translation__field=field,
            translation__language=language,
            source_hash=hash_,
        )
    )


def target_key(
    field: str, language: str, number: int, total: int, path: str = ""
) -> str:
    """`field:lang`, of several parts `field:lang#2`, of a part's half `field:lang#2.1`.

    Half of a text that is one part is `field:lang#1.1`.
    """
    mark = f"#{place(number, path)}" if total > 1 or path else ""
    return f"{field}:{language}{mark}"


def split_target(target: str) -> tuple[str, str, str]:
    """A target as (field, language, place); the place of a whole text is blank."""
    field, _, rest = target.partition(":")
    language, _, where = rest.partition("#")
    return field, language, where


def wholes_of(target: str) -> list[str]:
    """The targets that a half is part of: for `field:lang#2.12` those of 2 and 2.1.

    Half of a first part may be of a text that is one part, or of one that is several.
    """
    part, _, path = target.partition(".")
    if not path:
        return []
    halves = [f"{part}.{path[:digits]}" for digits in range(1, len(path))]
    return [part, part.removesuffix("#1"), *halves]
