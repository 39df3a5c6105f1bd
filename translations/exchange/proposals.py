"""What comes back in a file: versions that wait for review beside what is there.

Nothing is published here, nothing of what is there changes its wording, and a text that
a person keeps stays the one that readers see. Safe to repeat: a text that is there in
the same words is left as it is.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, BinaryIO

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Model
from django.utils import timezone

from batches.services.events import audit
from translations.exchange.entries import Entry, UnitName
from translations.exchange.exporting import texts_for
from translations.exchange.po import read_po
from translations.exchange.tables import read_table
from translations.exchange.xliff import read_xliff
from translations.glossary.sending import Glossary
from translations.importing import BadRow, Stored
from translations.judging import Judged, StoredSegment, check_whole, checked_columns
from translations.languages import is_known
from translations.models import Origin, ReviewStatus, Translation, TranslationVersion
from translations.registry import Registered, find_kind
from translations.segments import (
    Piece,
    join_pieces,
    segment_hash,
    segments_of,
    source_hash,
    split_text,
)
from translations.selection import content_type_of
from translations.spans import spans_of

KIND = "translations"
NOUN = ("translation", "translations")
UNITS_AT_ONCE = 100
LONGEST_LIST = 5


def read_entries(stream: BinaryIO, name: str) -> Iterator[Entry | BadRow]:
    """What a file says; its name tells the format, without one it is CSV or JSON Lines.

    ImportRefused where it cannot be read as a whole.
    """
    ending = name.lower().rpartition(".")[2]
    if ending in ("xlf", "xliff"):
        return read_xliff(stream, name)
    if ending == "po":
        return read_po(stream, name)
    return read_table(stream, name)


def import_translations(
    stream: BinaryIO,
    *,
    name: str,
    actor: str,
    by: AbstractBaseUser | None = None,
    dry_run: bool = False,
) -> Stored:
    """Make proposals of a file; what is wrong with a text is told, and it is left out.

    A segment that comes without a text keeps the one that the latest version has for
    it. With `dry_run` nothing stays. ImportRefused where the file cannot be read.
    """
    total = Stored()
    units: dict[UnitName, list[Entry]] = {}
    seen: dict[tuple[UnitName, str], int] = {}
    for found in read_entries(stream, name):
        if isinstance(found, BadRow):
            total.bad.append(found)
            continue
        first = seen.setdefault((found.unit, found.segment), found.line)
        if first != found.line:
            problem = f"This segment stands on line {first} already; give it once."
            total.bad.append(_bad(found, "segment", found.segment, problem))
            continue
        units.setdefault(found.unit, []).append(found)
    left = iter(units.values())
    while some := list(islice(left, UNITS_AT_ONCE)):
        with transaction.atomic():
            _propose_many(some, by, total)
            if dry_run:
                transaction.set_rollback(True)
    if not dry_run and total.created + total.updated:
        audit(
            "translations.import",
            actor=actor,
            target=name,
            after={"new": total.created, "proposed": total.updated},
        )
    total.bad.sort(key=lambda bad: bad.line)
    return total


@dataclass(slots=True)
class _Proposal:
    """A text that came in, beside the source that it is of."""

    entry: Registered
    row: Any
    entries: list[Entry]
    text: str
    format: str
    pieces: list[Piece]
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def first(self) -> Entry:
        return self.entries[0]


class _Refused(Exception):
    """Why a text is left out."""

    def __init__(self, bad: BadRow) -> None:
        super().__init__(str(bad))
        self.bad = bad


def _propose_many(
    units: Sequence[list[Entry]], by: AbstractBaseUser | None, total: Stored
) -> None:
    rows = _rows(chain.from_iterable(units))
    for entries in units:
        try:
            proposal = _checked(entries, rows)
            if proposal is None:
                total.unchanged += 1
                continue
            what = _propose(proposal, by)
        except _Refused as refused:
            total.bad.append(refused.bad)
            continue
        setattr(total, what, getattr(total, what) + 1)


def _rows(entries: Iterable[Entry]) -> dict[tuple[str, str], Model]:
    """{(kind, external id): the row} of those that are there."""
    wanted: dict[str, set[str]] = {}
    for entry in entries:
        wanted.setdefault(entry.kind, set()).add(entry.id)
    rows: dict[tuple[str, str], Model] = {}
    for kind, ids in wanted.items():
        registered = find_kind(kind)
        if registered is None:
            continue
        found = find_rows(registered, ids)
        rows |= {(kind, id_): row for id_, row in found.items()}
    return rows


def find_rows(entry: Registered, ids: Iterable[str]) -> dict[str, Model]:
    """{external id: row}; ids that cannot be any row's are not there."""
    name = entry.external_id
    meta = entry.model._meta
    column: Any = meta.pk if name == "pk" else meta.get_field(name)
    possible = []
    for id_ in ids:
        try:
            value = column.to_python(id_)
            column.run_validators(value)
        except ValidationError:
            continue
        if "\0" not in id_:
            possible.append(value)
    rows = entry.model._default_manager.filter(**{f"{name}__in": possible})
    rows = rows.select_related(*entry.select_related)
    return {str(getattr(row, name)): row for row in rows}


def _checked(
    entries: list[Entry], rows: dict[tuple[str, str], Model]
) -> _Proposal | None:
    """None where the file has no text for it; _Refused where something is wrong."""
    first = entries[0]
    registered = find_kind(first.kind)
    if registered is None:
        raise _refused(first, "kind", first.kind, "There is no such kind of content.")
    row = rows.get((first.kind, first.id))
    if row is None:
        problem = f"There is no {registered.model._meta.verbose_name} with this id."
        raise _refused(first, "id", first.id, problem)
    if first.field not in registered.fields:
        problem = f"Translated fields are {', '.join(registered.fields)}."
        raise _refused(first, "field", first.field, problem)
    if not is_known(first.language) or len(first.language) > 35:
        problem = "It is no language tag such as ar, en or pt-BR."
        raise _refused(first, "language", first.language, problem)
    if first.language == registered.language_of(row):
        problem = "The content is written in this language."
        raise _refused(first, "language", first.language, problem)
    if not any(entry.target.strip() for entry in entries):
        return None
    text = getattr(row, first.field) or ""
    format = registered.format_of(row, first.field)
    pieces = split_text(text, format)
    proposal = _Proposal(registered, row, entries, text, format, pieces)
    proposal.sources = {s.id: s.text for s in segments_of(pieces)}
    for entry in entries:
        _check_segment(proposal, entry)
    return proposal


def _check_segment(proposal: _Proposal, entry: Entry) -> None:
    source = proposal.sources.get(entry.segment)
    if source is None:
        problem = (
            f"The text has {len(proposal.sources)} segments by now, and this is none "
            "of them. Export it again."
        )
        raise _refused(entry, "segment", entry.segment, problem)
    if entry.source.strip() and _plain(entry.source) != _plain(source):
        problem = f"The source says “{_short(source)}” by now. Export it again."
        raise _refused(entry, "source", entry.source, problem)
    if "\0" in entry.target:
        problem = "It has a NUL character; take it out."
        raise _refused(entry, "target", entry.target, problem)


def _propose(proposal: _Proposal, by: AbstractBaseUser | None) -> str:
    """Store a text as its unit's latest version; returns what `Stored` counts it as."""
    first = proposal.first
    unit, is_new = _unit(proposal)
    latest = unit.latest
    hash_ = source_hash(proposal.text, proposal.format)
    texts = texts_for(latest, proposal.sources, proposal.text) if latest else {}
    given = {e.segment: e.target for e in proposal.entries if e.target.strip()}
    texts |= given
    lacking = [key for key in proposal.sources if key not in texts]
    if lacking:
        shown = ", ".join(lacking[:LONGEST_LIST])
        more = " and others" if len(lacking) > LONGEST_LIST else ""
        problem = f"These segments have no translation yet: {shown}{more}."
        if is_new:
            unit.delete()
        raise _refused(first, "target", "", problem)
    text = join_pieces(proposal.pieces, texts)
    if latest and latest.text == text and latest.source_hash == hash_:
        return "unchanged"
    judged = _judged(proposal, texts, text, hash_)
    now = timezone.now()
    unit.versions_made += 1
    unit.latest = TranslationVersion.objects.create(
        translation=unit,
        number=unit.versions_made,
        text=text,
        spans=spans_of(
            text,
            (
                (key, segment_hash(source), texts[key])
                for key, source in proposal.sources.items()
            ),
        ),
        source_hash=hash_,
        origin=Origin.FILE,
        author_id=by.pk if by else None,
        created_at=now,
        **checked_columns(judged),
    )
    unit.status = ReviewStatus.PENDING_REVIEW
    unit.source_language, unit.format = judged.source_language, judged.format
    unit.source_hash, unit.is_stale, unit.is_sandbox = hash_, False, False
    unit.updated_at = now
    unit.save(
        update_fields=[
            *("status", "latest", "versions_made", "source_language", "format"),
            *("source_hash", "is_stale", "is_sandbox", "updated_at"),
        ]
    )
    return "created" if is_new else "updated"


def _unit(proposal: _Proposal) -> tuple[Translation, bool]:
    """The text's unit under lock, and whether it was made now."""
    first, entry = proposal.first, proposal.entry
    key = {
        "content_type": content_type_of(entry),
        "object_id": str(proposal.row.pk),
        "field": first.field,
        "language": first.language,
    }
    units = Translation.objects.select_for_update()
    found = units.filter(**key).first()
    if found is not None:
        return found, False
    try:
        with transaction.atomic():
            made = Translation.objects.create(
                **key,
                source_language=entry.language_of(proposal.row),
                format=proposal.format,
            )
    except IntegrityError:  # a job made it just now
        return units.get(**key), False
    return made, True


def _judged(
    proposal: _Proposal, texts: dict[str, str], text: str, hash_: str
) -> Judged:
    judged = Judged(
        field=proposal.first.field,
        language=proposal.first.language,
        source_language=proposal.entry.language_of(proposal.row),
        format=proposal.format,
        source_hash=hash_,
        part=1,
        parts=1,
        path="",
        text=text,
        segments=[
            StoredSegment(id=key, source=source, text=texts[key])
            for key, source in proposal.sources.items()
        ],
        rows=Glossary().rows_in(
            list(proposal.sources.values()),
            scope=proposal.entry.label,
            source_language=proposal.entry.language_of(proposal.row),
            target_language=proposal.first.language,
            format=proposal.format,
        ),
    )
    judged.findings = check_whole(judged, list(proposal.sources))
    return judged


def _plain(text: str) -> str:
    """Without what tools change: line ends, and white space around it."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _refused(entry: Entry, field: str, value: str, problem: str) -> _Refused:
    return _Refused(_bad(entry, field, value, problem))


def _bad(entry: Entry, field: str, value: str, problem: str) -> BadRow:
    where = "/".join([*entry.unit[:3], entry.segment])
    shown = f"“{_short(value)}”" if value else ""
    return BadRow(entry.line, field, shown, f"{problem} ({entry.language}, {where})")


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
