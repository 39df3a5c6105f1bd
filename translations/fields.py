"""From a field's text to the requests it takes: one a language, or one a part."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Model

from batches.workloads import Target
from translations.models import DraftPart
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
            mark = f"#{number}" if len(slices) > 1 else ""
            yield Target(
                f"{field}:{language}{mark}",
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
    parts = DraftPart.objects.filter(
        translation__content_type=content_type_of(entry),
        translation__object_id=str(row.pk),
        translation__field=field,
        translation__language=language,
        source_hash=hash_,
    )
    return set(parts.values_list("number", flat=True))


def split_target(target: str) -> tuple[str, str, int]:
    """`field:lang` or `field:lang#part` as (field, language, part)."""
    field, _, rest = target.partition(":")
    language, _, part = rest.partition("#")
    return field, language, int(part or 1)
