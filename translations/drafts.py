"""Drafts: the answered parts of a long text, until none is missing.

Whoever writes here holds the lock of the unit.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from batches.workloads import Answer
from translations.judging import Judged, check_whole
from translations.models import DraftPart
from translations.units import Unit


def whole_numbers(parts: QuerySet[DraftPart]) -> set[int]:
    """The numbers of the parts that are all there, of these rows of one source.

    Nothing is there twice, so shares that add up to one leave nothing out: a half is
    one of two, a half's half one of four. Floats hold these exactly.
    """
    shares: defaultdict[int, float] = defaultdict(float)
    for number, path in parts.values_list("number", "path"):
        shares[number] += 0.5 ** len(path)
    return {number for number, share in shares.items() if share == 1}


def parts_there(units: Iterable[Unit]) -> set[tuple[int, str, str, int, str]]:
    """(unit, source hash, cut, number, path) of parts that wait for others."""
    drafts = [unit.id for unit in units if unit.parts_total]
    rows = DraftPart.objects.filter(translation__in=drafts)
    return set(
        rows.values_list("translation_id", "source_hash", "cut", "number", "path")
    )


def add_part(unit: Unit, answer: Answer, judged: Judged) -> Judged | None:
    """Put a part into the unit's draft; returns the whole when none is missing."""
    parts = DraftPart.objects.filter(
        translation=unit.id, source_hash=judged.source_hash, cut=judged.cut
    )
    _put(parts, unit, answer, judged)
    unit.parts_total, unit.parts_done = judged.parts, len(whole_numbers(parts))
    if unit.parts_done < unit.parts_total:
        return None
    rows = list(parts.order_by("number", "path"))
    whole = Judged(
        field=judged.field,
        language=judged.language,
        source_language=judged.source_language,
        format=judged.format,
        source_hash=judged.source_hash,
        part=1,
        parts=1,
        path="",
        text="".join(row.text for row in rows),
        segments=[segment for row in rows for segment in row.segments],
        max_length=judged.max_length,
        rows=_each_once(told for row in rows for told in row.glossary),
        approved=judged.approved,
        is_repair=judged.is_repair,
    )
    answered = [s["id"] for s in whole.segments if s["text"] is not None]
    is_pretended = any(row.is_pretended for row in rows)
    whole.findings = check_whole(whole, answered, is_pretended=is_pretended)
    DraftPart.objects.filter(translation=unit.id).delete()
    unit.parts_total = unit.parts_done = 0
    return whole


def drop_draft(unit: Unit, source_hash: str) -> None:
    """Forget the parts of a source of which the whole came, if there are any."""
    if not unit.parts_total:
        return
    parts = DraftPart.objects.filter(translation=unit.id, source_hash=source_hash)
    dropped, _ = parts.delete()
    if dropped:
        unit.parts_total = unit.parts_done = 0


def _each_once(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the glossary that several parts were sent."""
    found: list[dict[str, Any]] = []
    for row in rows:
        if row not in found:
            found.append(row)
    return found


def _put(
    parts: QuerySet[DraftPart], unit: Unit, answer: Answer, judged: Judged
) -> None:
    """Write a part in the place of its halves; a half of what is there is not needed.

    Both come when a part was asked for anew and one of its halves retried by hand.
    """
    there = set(parts.filter(number=judged.part).values_list("path", flat=True)) - {
        judged.path
    }
    if any(judged.path.startswith(path) for path in there):
        return
    halves = [path for path in there if path.startswith(judged.path)]
    if halves:
        parts.filter(number=judged.part, path__in=halves).delete()
    parts.update_or_create(
        translation_id=unit.id,
        source_hash=judged.source_hash,
        cut=judged.cut,
        number=judged.part,
        path=judged.path,
        defaults={
            "total": judged.parts,
            "text": judged.text,
            "segments": judged.segments,
            "glossary": judged.rows,
            "is_pretended": judged.is_pretended,
            "item_id": answer.item_id,
        },
    )
