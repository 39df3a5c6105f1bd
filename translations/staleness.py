"""Is a translation of what its source says now?"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from django.contrib.contenttypes.models import ContentType

from translations.models import Translation, TranslationVersion
from translations.registry import FORMATS, Registered, all_registered
from translations.rewording import says_the_same
from translations.segments import (
    Segment,
    segment_hash,
    segments_of,
    source_hash,
    split_text,
)
from translations.sources import sources_before

ROWS_AT_ONCE = 500


def current_hash(entry: Registered, row: Any, name: str) -> str:
    """The source hash of a field as it is; `row` has the columns that it takes."""
    return source_hash(getattr(row, name) or "", entry.format_of(row, name))


def current_hashes(entry: Registered, row: Any) -> dict[str, str]:
    """{field: source hash} of a row as it is."""
    return {name: current_hash(entry, row, name) for name in entry.fields}


def source_rows(entry: Registered, keys: Iterable[object]) -> Iterator[SimpleNamespace]:
    """The columns that hashes are made of, and `pk`, of those rows that are there.

    A few at a time: their texts may be long.
    """
    told = {name for name in entry.formats.values() if name not in FORMATS}
    rows = entry.model._default_manager.filter(pk__in=keys)
    for row in rows.values("pk", *entry.fields, *told).iterator(ROWS_AT_ONCE):
        yield SimpleNamespace(**row)


def stale_segments(
    entry: Registered, row: Any, name: str, version: TranslationVersion
) -> list[Segment]:
    """The segments of a field as it is now that a version does not translate."""
    pieces = split_text(getattr(row, name) or "", entry.format_of(row, name))
    told = {segment["source_hash"] for segment in version.segments}
    return [
        segment
        for segment in segments_of(pieces)
        if segment_hash(segment.text) not in told
    ]


def mark_stale(entry: Registered, rows: Iterable[Any]) -> int:
    """Say of the translations of these rows whether their source has changed.

    Where it has in its form alone (see `rewording`), that is said with it, as far as
    the text that was translated is known. Returns how many were marked otherwise than
    before.
    """
    there = {str(row.pk): row for row in rows}
    hashes = {key: current_hashes(entry, row) for key, row in there.items()}
    kind = ContentType.objects.get_for_model(entry.model)
    units = list(
        Translation.objects.filter(
            content_type=kind, object_id__in=there, latest__isnull=False
        ).only("object_id", "field", "source_hash", "is_stale", "minor_from")
    )
    for unit in units:
        hashes[unit.object_id].setdefault(unit.field, unit.source_hash)
    changed = {
        (unit.object_id, unit.field, unit.source_hash)
        for unit in units
        if unit.source_hash != hashes[unit.object_id][unit.field]
    }
    minor = {
        (object_id, name, hash_)
        for (object_id, name, hash_), before in sources_before(kind.pk, changed).items()
        if _says_the_same(entry, there[object_id], name, before)
    }
    marked: dict[tuple[bool, str], list[int]] = {}
    for unit in units:
        key = (unit.object_id, unit.field, unit.source_hash)
        mark = (key in changed, unit.source_hash if key in minor else "")
        if mark != (unit.is_stale, unit.minor_from):
            marked.setdefault(mark, []).append(unit.pk)
    for (is_stale, minor_from), keys in marked.items():
        Translation.objects.filter(pk__in=keys).update(
            is_stale=is_stale, minor_from=minor_from
        )
    return sum(map(len, marked.values()))


@dataclass
class Sweep:
    """Texts looked at, those marked otherwise than before, and the last one where the
    work was cut short."""

    looked_at: int = 0
    marked: int = 0
    cursor: int | None = None


def sweep_sources(
    *, after: int = 0, is_over: Callable[[], bool] = lambda: False
) -> Sweep:
    """Hold every text behind the unit `after` against its source as it is now.

    For changes that no signal told of, such as those by `QuerySet.update` or by another
    program. Safe to repeat.
    """
    done = Sweep()
    units = Translation.objects.filter(latest__isnull=False).order_by("pk")
    units = units.only("content_type_id", "object_id")
    while window := list(units.filter(pk__gt=after)[:ROWS_AT_ONCE]):
        after = window[-1].pk
        done.looked_at += len(window)
        keys: defaultdict[int, set[str]] = defaultdict(set)
        for unit in window:
            keys[unit.content_type_id].add(unit.object_id)
        for content_type_id, of_kind in keys.items():
            model = ContentType.objects.get_for_id(content_type_id).model_class()
            entry = all_registered().get(model._meta.label_lower) if model else None
            if entry is not None:
                done.marked += mark_stale(entry, source_rows(entry, of_kind))
        if is_over():
            done.cursor = after
            break
    return done


def _says_the_same(entry: Registered, row: Any, name: str, before: str) -> bool:
    now = getattr(row, name) or ""
    return says_the_same(before, now, entry.format_of(row, name))
