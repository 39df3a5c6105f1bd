"""A version beside its source as it is now, segment by segment; and a new one made."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import models

from translations.glossary.sending import Glossary, Rows
from translations.judging import Judged, StoredSegment, check_whole, pretended
from translations.models import Translation, TranslationVersion
from translations.quality import Finding
from translations.registry import Registered, all_registered
from translations.rewording import segment_says_the_same
from translations.segments import (
    Piece,
    join_pieces,
    segment_hash,
    segments_of,
    source_hash,
    split_text,
)
from translations.sources import sources_before
from translations.spans import spans_of

WHOLE = "whole"
# What a model said of its answer; no check finds it again.
TOLD_BY_MODEL = ("uncertain",)


@dataclass(frozen=True, slots=True)
class Pairing:
    """A segment of the source as it is now, with what a version says for it.

    `is_new` where the version translates another source here, or none; `before` is that
    source, as far as it is known. One that differs in form alone is not new.
    """

    id: str
    source: str
    text: str
    is_new: bool = False
    before: str = ""


@dataclass(slots=True)
class Reading:
    """A unit's source as it is now, and a version of it beside it.

    `pairings` is the one segment `whole` where the version's segments are not known.
    """

    unit: Translation
    version: TranslationVersion
    source: str
    format: str
    source_hash: str
    pieces: list[Piece]
    max_length: int | None = None
    pairings: list[Pairing] = field(default_factory=list)

    @property
    def is_stale(self) -> bool:
        return self.source_hash != self.version.source_hash

    @property
    def segments_stale(self) -> int:
        return sum(pairing.is_new for pairing in self.pairings)

    @property
    def is_whole(self) -> bool:
        return not self.pieces

    @property
    def texts(self) -> dict[str, str]:
        """{segment id: text} as the version has it."""
        return {pairing.id: pairing.text for pairing in self.pairings}

    def changed(self, texts: Mapping[str, str]) -> dict[str, str]:
        """Those of these texts that differ from the version's; line ends are one."""
        mine = self.texts
        return {
            key: clean
            for key, text in texts.items()
            if key in mine and (clean := clean_text(text)) != clean_text(mine[key])
        }

    def joined(self, texts: Mapping[str, str]) -> str:
        """The whole text, with these segments instead of the version's."""
        wanted = {**self.texts, **texts}
        if self.is_whole:
            return wanted[WHOLE]
        if not self.is_stale and all(wanted[key] == self.texts[key] for key in wanted):
            return self.version.text
        return join_pieces(self.pieces, wanted)


def clean_text(text: str) -> str:
    """As a browser sends it, with the line ends of texts here."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def source_of(unit: Translation) -> tuple[Registered | None, models.Model | None]:
    """The registered model of a unit's content, and its row; None where it is gone."""
    model = ContentType.objects.get_for_id(unit.content_type_id).model_class()
    entry = all_registered().get(model._meta.label_lower) if model else None
    if entry is None or unit.field not in entry.fields:
        return None, None
    try:
        rows = entry.model._default_manager.filter(pk=unit.object_id)
    except (ValidationError, ValueError):
        return entry, None
    return entry, rows.select_related(*entry.select_related).first()


def read_version(unit: Translation, version: TranslationVersion) -> Reading | None:
    """A version beside its source; None where the source is gone."""
    entry, row = source_of(unit)
    if entry is None or row is None:
        return None
    source = getattr(row, unit.field) or ""
    format = entry.format_of(row, unit.field)
    reading = Reading(
        unit=unit,
        version=version,
        source=source,
        format=format,
        source_hash=source_hash(source, format),
        pieces=split_text(source, format),
        max_length=getattr(row._meta.get_field(unit.field), "max_length", None),
    )
    reading.pairings = _paired(reading)
    if not reading.pairings:
        reading.pieces = []
        reading.pairings = [Pairing(WHOLE, source, version.text, reading.is_stale)]
    return reading


def _paired(reading: Reading) -> list[Pairing]:
    """By id while the source is the same, else by the hash of each segment's source.

    What has changed is paired with what stood in its place between two that have not.
    Nothing where that leaves out what the version says.
    """
    stored = reading.version.segments
    segments = segments_of(reading.pieces)
    hashes = {segment.id: segment_hash(segment.text) for segment in segments}
    if not stored:
        return []
    if [(s["id"], s["source_hash"]) for s in stored] == list(hashes.items()):
        texts = {s["id"]: s["text"] for s in stored}
        return [Pairing(s.id, s.text, texts[s.id]) for s in segments]
    if not reading.is_stale:  # cut in another way than now
        return []
    known: dict[str, list[str]] = {}
    for entry in reversed(stored):
        known.setdefault(entry["source_hash"], []).append(entry["text"])
    left = {s["id"]: s for s in stored if s["source_hash"] not in hashes.values()}
    places = _places([s["source_hash"] for s in stored], list(hashes.values()))
    sources = _sources_then(reading)
    pairings = []
    for position, segment in enumerate(segments):
        if same := known.get(hashes[segment.id]):
            text = same.pop() if len(same) > 1 else same[0]
            pairings.append(Pairing(segment.id, segment.text, text))
            continue
        # What stood in its place before is where an edit begins.
        there = left.get(stored[places[position]]["id"]) if position in places else None
        if there is None:
            pairings.append(Pairing(segment.id, segment.text, "", is_new=True))
            continue
        before = sources.get(there["source_hash"], "")
        is_new = not before or not segment_says_the_same(
            before, segment.text, reading.format
        )
        pairings.append(
            Pairing(segment.id, segment.text, there["text"], is_new, before)
        )
    return pairings


def _places(before: list[str], now: list[str]) -> dict[int, int]:
    """{place now: place before} of what was changed in its place."""
    matcher = SequenceMatcher(None, before, now, autojunk=False)
    return {
        new: old
        for tag, i, j, k, m in matcher.get_opcodes()
        if tag == "replace"
        for old, new in zip(range(i, j), range(k, m), strict=False)
    }


def _sources_then(reading: Reading) -> dict[str, str]:
    """{hash: source} of the segments that a version translates, where known."""
    unit, version = reading.unit, reading.version
    key = (unit.object_id, unit.field, version.source_hash)
    text = sources_before(unit.content_type_id, [key]).get(key)
    if text is None:
        return {}
    pieces = split_text(text, unit.format)
    return {segment_hash(segment.text): segment.text for segment in segments_of(pieces)}


def judge_texts(
    reading: Reading, texts: Mapping[str, str], only: Iterable[str] | None = None
) -> Judged:
    """What the checks say of a version with these segments instead of its own.

    `only` names the segments to look at, for an answer while somebody is typing.
    """
    wanted = {**reading.texts, **texts}
    looked_at = set(wanted) if only is None else set(only)
    judged = Judged(
        field=reading.unit.field,
        language=reading.unit.language,
        source_language=reading.unit.source_language,
        format=reading.format,
        source_hash=reading.source_hash,
        part=1,
        parts=1,
        path="",
        text=reading.joined(texts),
        segments=[
            StoredSegment(id=p.id, source=p.source, text=wanted[p.id])
            for p in reading.pairings
            if p.id in looked_at
        ],
        max_length=reading.max_length,
        rows=_rows_now(reading),
    )
    judged.findings = check_whole(
        judged,
        [segment["id"] for segment in judged.segments],
        is_pretended=is_pretended(reading, texts),
    )
    same = looked_at - reading.changed(texts).keys()
    judged.findings += [
        read_finding(found)
        for found in reading.version.findings
        if found.get("code") in TOLD_BY_MODEL and found.get("segment") in same
    ]
    return judged


def _rows_now(reading: Reading) -> Rows:
    """The glossary's rows for this text, as they are by now."""
    unit = reading.unit
    model = unit.content_type.model_class()
    return Glossary().rows_in(
        [pairing.source for pairing in reading.pairings],
        scope=model._meta.label_lower if model else "",
        source_language=unit.source_language,
        target_language=unit.language,
        format=reading.format,
    )


def read_finding(stored: Mapping[str, Any]) -> Finding:
    """A finding out of a version's row."""
    names = {f.name for f in dataclasses.fields(Finding)}
    given = {name: value for name, value in stored.items() if name in names}
    given.setdefault("template", stored.get("message", ""))
    if given.get("span"):
        given["span"] = tuple(given["span"])
    return Finding(**given)


def findings_now(reading: Reading, texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """What is held against a version with these segments instead of its own.

    Only these are looked at again, as somebody is typing; approving looks at all.
    """
    changed = reading.changed(texts)
    if not changed:
        return list(reading.version.findings)
    judged = judge_texts(reading, changed, only=changed)
    fresh = [finding.to_json() for finding in judged.findings]
    same = reading.texts.keys() - changed.keys()
    kept = [f for f in reading.version.findings if f.get("segment") in same]
    return kept + fresh


def is_pretended(reading: Reading, texts: Mapping[str, str]) -> bool:
    """Whether something is left of a text that the sandbox made up."""
    mark = pretended().code
    if mark not in {finding.get("code") for finding in reading.version.findings}:
        return False
    return reading.changed(texts).keys() != reading.texts.keys()


def stored_spans(judged: Judged) -> str:
    """A version's `spans`; blank where the text is one whole."""
    return spans_of(
        judged.text,
        (
            (segment["id"], segment_hash(segment["source"]), segment["text"] or "")
            for segment in judged.segments
            if segment["id"] != WHOLE
        ),
    )
