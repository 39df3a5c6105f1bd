"""Is a translation of what its source says now?"""

from collections.abc import Iterable

from django.contrib.contenttypes.models import ContentType
from django.db import models

from translations.models import Translation
from translations.registry import Registered
from translations.segments import source_hash


def current_hashes(entry: Registered, row: models.Model) -> dict[str, str]:
    """{field: source hash} of a row as it is."""
    return {
        name: source_hash(getattr(row, name) or "", entry.format_of(row, name))
        for name in entry.fields
    }


def mark_stale(entry: Registered, rows: Iterable[models.Model]) -> int:
    """Set or clear `is_stale` on the translations of these rows; returns how many."""
    hashes = {str(row.pk): current_hashes(entry, row) for row in rows}
    units = Translation.objects.filter(
        content_type=ContentType.objects.get_for_model(entry.model),
        object_id__in=hashes,
        latest__isnull=False,
    ).only("object_id", "field", "source_hash", "is_stale")
    changed: dict[bool, list[int]] = {True: [], False: []}
    for unit in units:
        current = hashes[unit.object_id].get(unit.field, unit.source_hash)
        if (current != unit.source_hash) != unit.is_stale:
            changed[current != unit.source_hash].append(unit.pk)
    for is_stale, keys in changed.items():
        Translation.objects.filter(pk__in=keys).update(is_stale=is_stale)
    return sum(len(keys) for keys in changed.values())
