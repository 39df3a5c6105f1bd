"""From a field's text to the requests it takes: one a language, or one a part."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Model

from batches.workloads import Target
from translations.drafts import whole_numbers
from translations.glossary.sending import Rows
from translations.judging import Judged, KnownSegment, judge_known
from translations.known import cut_of, known_segments
from translations.memory.lookup import NOTHING, Example
from translations.models import DraftPart
from translations.registry import Registered
from translations.segments import Piece, parts, segments_of, source_hash, split_text
from translations.selection import Wanted, content_type_of
from translations.targets import target_key

FROM_MEMORY = "known already: put together without a request"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a field's text in one language, to be sent as one request.

    `known` are those of its segments that are not asked for; `cut` tells which were
    known of the whole text. `rows` are the glossary's rows for its text, `approved`
    what people approved for sources that are asked for all the same.
    """

    field: str
    language: str
    number: int
    total: int
    pieces: list[Piece]
    source_hash: str
    format: str
    rows: Rows = dataclasses.field(default_factory=list)
    known: dict[str, KnownSegment] = dataclasses.field(default_factory=dict)
    cut: str = ""
    is_pretended: bool = False
    examples: list[Example] = dataclasses.field(default_factory=list)
    approved: dict[str, list[str]] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ready:
    """A text of which every segment is known, put together and checked."""

    judged: Judged
    is_sandbox: bool


def field_targets(wanted: Wanted, field: str, languages: list[str]) -> Iterator[Target]:
    """The requests for one field: one a language, or one a part of a long text.

    None for a text that is known as a whole.
    """
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
    pieces = wanted.memory.pieces(row, field) or split_text(text, format)
    slices = parts(pieces)
    if not slices:
        yield Target(field, skipped=f"{field} without any words")
    hash_ = source_hash(text, format)
    for language in languages if slices else ():
        yield from _in_language(wanted, field, language, pieces, slices, hash_, format)


def _in_language(
    wanted: Wanted,
    field: str,
    language: str,
    pieces: list[Piece],
    slices: list[list[Piece]],
    hash_: str,
    format: str,
) -> Iterator[Target]:
    """The requests for one field in one language; `slices` are for nothing known."""
    entry, row, memory = wanted.entry, wanted.row, wanted.memory
    source_language = entry.language_of(row)
    # What a reviewer has something against is not to come back out of memory.
    is_refused = (field, language) in wanted.notes
    texts = NOTHING if is_refused else memory.known(row, field, language)

    def rows_in(pieces: list[Piece]) -> Rows:
        return wanted.glossary.rows_in(
            [segment.text for segment in segments_of(pieces)],
            scope=entry.label,
            source_language=source_language,
            target_language=language,
            format=format,
        )

    rows = rows_in(pieces)
    found = known_segments(
        segments_of(pieces),
        texts,
        rows=rows,
        source_language=source_language,
        target_language=language,
        format=format,
    )
    is_pretended = any(known.is_pretended for _, known in found.values())
    known = {
        key: KnownSegment(source=segment.text, text=told.text)
        for key, (segment, told) in found.items()
    }
    if known:
        slices = parts(pieces, known)
    if not slices:
        judged = judge_known(
            field=field,
            language=language,
            source_language=source_language,
            format=format,
            source_hash=hash_,
            pieces=pieces,
            known=known,
            rows=rows,
            max_length=max_length_of(entry, field),
            is_pretended=is_pretended,
        )
        if not judged.has_errors:
            is_sandbox = any(told.is_sandbox for _, told in found.values())
            yield Target(
                f"{field}:{language}",
                skipped=FROM_MEMORY,
                ready=Ready(judged, is_sandbox),
            )
            return
        known, is_pretended = {}, False  # what was right once is not any more
        slices = parts(pieces)
    cut = cut_of(known)
    done = _parts_done(entry, row, field, language, hash_, cut) if slices[1:] else ()
    for number, part in enumerate(slices, start=1):
        if number in done:
            continue
        segments = segments_of(part)
        asked = [segment.text for segment in segments if segment.id not in known]
        yield Target(
            target_key(field, language, number, len(slices)),
            source=Part(
                field=field,
                language=language,
                number=number,
                total=len(slices),
                pieces=part,
                source_hash=hash_,
                format=format,
                rows=rows_in(part) if slices[1:] else rows,
                known={s.id: known[s.id] for s in segments if s.id in known},
                cut=cut,
                is_pretended=is_pretended,
                examples=memory.similar(source_language, language, asked),
                approved={
                    source: [told]
                    for source in asked
                    if (told := texts.approved_of(source))
                },
            ),
        )


def max_length_of(entry: Registered, name: str) -> int | None:
    """The characters that a field holds, where there is a bound."""
    return getattr(entry.model._meta.get_field(name), "max_length", None)


def _parts_done(
    entry: Registered, row: Model, field: str, language: str, hash_: str, cut: str
) -> set[int]:
    """The parts of this very source that a draft has already: they are paid for."""
    return whole_numbers(
        DraftPart.objects.filter(
            translation__content_type=content_type_of(entry),
            translation__object_id=str(row.pk),
            translation__field=field,
            translation__language=language,
            source_hash=hash_,
            cut=cut,
        )
    )
