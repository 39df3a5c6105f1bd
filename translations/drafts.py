"""Drafts: the answered parts of a long text, until none is missing.

Whoever writes here holds the lock of the unit.
"""

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import QuerySet

from batches.workloads import Answer
from translations.judging import Judged, check_whole, pretended
from translations.models import DraftPart, Translation


def whole_numbers(parts: QuerySet[DraftPart]) -> set[int]:
    """The numbers of the parts that are all there, of these rows of one source.

    Nothing is there twice, so shares that add up to one leave nothing out: a half is
    one of two, a half's half one of four. Floats hold these exactly.
    """
    shares: defaultdict[int, float] = defaultdict(float)
    for number, path in parts.values_list("number", "path"):
        shares[number] += 0.5 ** len(path)
    return {number for number, share in shares.items() if share == 1}


def parts_there(units: Iterable[Translation]) -> set[tuple[int, str, int, str]]:
    """(unit, source hash, number, path) of parts that wait for others of their text."""
    drafts = [unit.pk for unit in units if unit.parts_total]
    rows = DraftPart.objects.filter(translation__in=drafts)
    return set(rows.values_list("translation_id", "source_hash", "number", "path"))


def add_part(unit: Translation, answer: Answer, judged: Judged) -> Judged | None:
    """Put a part into the unit's draft; returns the whole when none is missing."""
    parts = DraftPart.objects.filter(translation=unit, source_hash=judged.source_hash)
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
    )
    answered = [s["id"] for s in whole.segments if s["text"] is not None]
    whole.findings = check_whole(whole, answered)
    if any(row.is_pretended for row in rows):
        whole.findings.append(pretended())
    DraftPart.objects.filter(translation=unit).delete()
    unit.parts_total = unit.parts_done = 0
    return whole


def drop_draft(unit: Translation, source_hash: str) -> None:
    """Forget the parts of a source of which the whole came, if there are any."""
    if not unit.parts_total:
        return
    dropped, _ = unit.draft_parts.filter(source_hash=source_hash).delete()
    if dropped:
        unit.parts_total = unit.parts_done = 0


def _put(
    parts: QuerySet[DraftPart], unit: Translation, answer: Answer, judged: Judged
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
        translation=unit,
        source_hash=judged.source_hash,
        number=judged.part,
        path=judged.path,
        defaults={
            "total": judged.parts,
            "text": judged.text,
            "segments": judged.segments,
            "is_pretended": judged.is_pretended,
            "item_id": answer.item_id,
        },
    )
