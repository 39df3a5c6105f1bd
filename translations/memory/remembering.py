"""Writing into memory what a person approved."""

from collections.abc import Iterator
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q

from translations.memory.lookup import memory_hash
from translations.models import (
    ApprovedSegment,
    ReviewEntry,
    ReviewStatus,
    Translation,
    TranslationVersion,
)
from translations.registry import all_registered
from translations.review.models import ReviewAct
from translations.segments import segment_hash, segments_of, split_text
from translations.staleness import current_hash

ROWS_AT_ONCE = 100
KEY = ["source_hash", "language", "source_language", "format", "field", "is_sandbox"]


def remember(unit: Translation, version: TranslationVersion, *, now: datetime) -> int:
    """Put the segments of a version that a person approved into memory.

    Returns how many; none where its source is another by now, as what a segment
    translates would be a guess. A segment that was there gets the newer wording, what
    was approved after `now` stays, and nothing that is published changes with it. Safe
    to repeat.
    """
    model = unit.content_type.model_class()
    entry = all_registered().get(model._meta.label_lower) if model else None
    if model is None or entry is None or unit.field not in entry.fields:
        return 0
    row = model._default_manager.filter(pk=unit.object_id).first()
    if row is None or current_hash(entry, row, unit.field) != version.source_hash:
        return 0
    pieces = split_text(getattr(row, unit.field), entry.format_of(row, unit.field))
    sources = {segment_hash(piece.text): piece.text for piece in segments_of(pieces)}
    known = {}
    for segment in version.segments:
        source = sources.get(segment["source_hash"])
        if source is None or not segment["text"]:
            continue
        hash_ = memory_hash(source)
        known[hash_] = ApprovedSegment(
            source_hash=hash_,
            source_language=unit.source_language,
            language=unit.language,
            format=unit.format,
            field=unit.field,
            source=source,
            text=segment["text"],
            version=version,
            is_sandbox=version.is_sandbox,
            approved_at=now,
        )
    with transaction.atomic():
        newer = ApprovedSegment.objects.filter(
            source_hash__in=known,
            language=unit.language,
            source_language=unit.source_language,
            format=unit.format,
            field=unit.field,
            is_sandbox=version.is_sandbox,
            approved_at__gt=now,
        )
        for hash_ in newer.values_list("source_hash", flat=True):
            del known[hash_]
        ApprovedSegment.objects.bulk_create(
            [known[hash_] for hash_ in sorted(known)],  # one order: no deadlock
            update_conflicts=True,
            unique_fields=KEY,
            update_fields=["source", "text", "version", "approved_at"],
        )
    return len(known)


def approvals() -> Iterator[tuple[Translation, TranslationVersion, datetime]]:
    """What people approved and did not take back: the oldest approval first.

    (unit, version, when), of versions that are their unit's latest or published one.
    """
    entries = ReviewEntry.objects.filter(act=ReviewAct.APPROVED).filter(
        Q(version=F("translation__published"))
        | Q(
            version=F("translation__latest"),
            translation__status__in=(ReviewStatus.APPROVED, ReviewStatus.PUBLISHED),
        )
    )
    entries = entries.select_related("translation__content_type", "version")
    for entry in entries.order_by("pk").iterator(ROWS_AT_ONCE):
        yield entry.translation, entry.version, entry.created_at
