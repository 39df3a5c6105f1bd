"""Writing judged translations, many at once, inside the transaction of their items.

Units are locked in key order, and new ones inserted in the order of what they are of,
so two jobs that answer the same units wait for each other and never block one another
for good.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache

import msgspec
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, transaction
from django.utils import timezone

from batches.errors import SubjectGone
from batches.services.bulk import insert_rows, reserve_keys, update_rows
from batches.services.events import audit
from batches.workloads import Answer, Subject
from translations.drafts import add_part, drop_draft, parts_there
from translations.fields import Ready
from translations.glossary.sending import glossary_version
from translations.judging import Judged, as_pretended, checked_columns, pretended
from translations.models import BY_MACHINE, Origin, ReviewStatus, TranslationVersion
from translations.quality import CHECKS_VERSION
from translations.registry import all_registered
from translations.review.publishing import PublishRules, publish_rules
from translations.segments import segment_hash
from translations.signals import announce_published
from translations.spans import json_text, spans_of
from translations.staleness import current_hash, source_rows
from translations.units import Unit, UnitKey, find_units, take_units, write_units

Results = Sequence[tuple[Answer, Judged]]
SourceKey = tuple[int, str, str]  # content type, object id, field

PENDING_REVIEW = ReviewStatus.PENDING_REVIEW.value
PUBLISHED = ReviewStatus.PUBLISHED.value

# Another job may make one of the same units between our look and our writing.
COLLISION_RETRIES = 5

# Stands for the item of what was put together without one.
NO_ITEM = 0

CHECKED_FIELDS = ("findings", "errors", "warnings", "score", "checks_version")
VERSION_FIELDS = (
    "id",
    "translation",
    "number",
    "text",
    "spans",
    "source_hash",
    "item",
    "provider",
    "model",
    "prompt_version",
    "is_sandbox",
    "glossary_version",
    *CHECKED_FIELDS,
)


class NewVersion(msgspec.Struct, gc=False):
    """A whole text, ready to become a version of its unit."""

    unit: Unit
    answer: Answer
    judged: Judged
    key: int = 0
    number: int = 0


def store_judged(
    results: Results, *, origin: Origin = Origin.MACHINE
) -> list[NewVersion]:
    """Store parts and whole texts; a text whose last part came becomes a version.

    Whether it is published at once is for TRANSLATION_PUBLISH to say; what a person
    keeps is never replaced, the new version waits beside it. Raises SubjectGone where
    rows were deleted meanwhile; nothing is stored then. Returns the versions that have
    errors.
    """
    for collisions in range(COLLISION_RETRIES + 1):
        try:
            with transaction.atomic():
                return _store(results, timezone.now(), origin)
        except IntegrityError:
            if collisions == COLLISION_RETRIES:
                raise
    raise AssertionError("the last collision is raised")


def store_known(ready: Sequence[tuple[Subject, Ready]]) -> None:
    """Store texts that were put together without a request.

    What a row that is gone by now would have had is left out.
    """
    results = [
        (
            Answer(
                item_id=NO_ITEM,
                provider="",
                model="",
                is_sandbox=known.is_sandbox,
                text="",
                content_type_id=subject.content_type_id,
                object_id=subject.object_id,
            ),
            known.judged,
        )
        for subject, known in ready
    ]
    try:
        store_judged(results, origin=Origin.MEMORY)
    except SubjectGone:
        for result in results:
            with suppress(SubjectGone):
                store_judged([result], origin=Origin.MEMORY)


def _store(results: Results, now: datetime, origin: Origin) -> list[NewVersion]:
    keyed = [(_unit_key(*result), *result) for result in results]
    units = take_units({key: judged for key, _, judged in keyed})
    hashes = _source_hashes(results)
    new = []
    for key, answer, judged in keyed:
        unit = units[key]
        if judged.is_whole:
            drop_draft(unit, judged.source_hash)
            new.append(NewVersion(unit, answer, judged))
        elif whole := add_part(unit, answer, judged):
            new.append(NewVersion(unit, answer, whole))
    keys = reserve_keys(TranslationVersion, len(new))
    rules = publish_rules()
    better = better_ones(new)
    for version, pk in zip(new, keys, strict=True):
        version.key = pk
        if version.unit.latest_id in better:
            version.unit.versions_made += 1
            version.number = version.unit.versions_made
            continue
        answer, judged = version.answer, version.judged
        source = (answer.content_type_id, answer.object_id, judged.field)
        is_stale = hashes.get(source) != judged.source_hash
        _take_version(version, is_stale=is_stale, rules=rules)
    write_units(list(units.values()), now)
    # One after the other: all of a chunk's texts are not needed at once.
    hash_of = cache(segment_hash)  # a source is the same for each language
    rows = (_version_row(version, hash_of) for version in new)
    alike = {"origin": origin.value, "author": None, "created_at": now}
    insert_rows(TranslationVersion, VERSION_FIELDS, rows, alike=alike)
    _tell_of_published([v.unit.id for v in new if v.unit.published_id == v.key])
    return [version for version in new if version.judged.errors]


def better_ones(new: Sequence[NewVersion]) -> set[int]:
    """The latest versions that repairs among these do not take the place of.

    A repair gives way to a score as good as its own, and to whatever a person
    wrote after the answer that it repairs.
    """
    repairs = [version for version in new if version.judged.is_repair]
    if not repairs:
        return set()
    there = TranslationVersion.objects.in_bulk(
        [version.unit.latest_id for version in repairs if version.unit.latest_id]
    )
    better = set()
    for repair in repairs:
        before = there.get(repair.unit.latest_id or 0)
        if before is None or before.source_hash != repair.judged.source_hash:
            continue
        if before.origin not in BY_MACHINE or before.score >= repair.judged.score:
            better.add(before.pk)
    return better


def store_judged_again(results: Results) -> None:
    """Store results of items that are done already, from their answers judged anew.

    Where the wording is the same its version stays the only one, with what the checks
    say of it now; if it waits for review, it is published where that is allowed by now.
    Another wording becomes a version, as that of a new answer does. A long text that is
    whole is left as it is; while it is a draft, its parts are stored again.
    """
    units = find_units(_unit_key(*result) for result in results)
    made = _versions_made(results, units)
    parts = parts_there(units.values())
    differing, same = [], []
    for answer, judged in results:
        unit = units.get(_unit_key(answer, judged))
        version = made.get((unit.id, answer.item_id)) if unit else None
        if not judged.is_whole:
            place = (judged.source_hash, judged.cut, judged.part, judged.path)
            if unit and (unit.id, *place) in parts:
                differing.append((answer, judged))
            continue
        if version:
            _keep_mark(version, judged)
        if unit and version and version.text == judged.text:
            same.append(NewVersion(unit, answer, judged, key=version.pk))
        else:
            differing.append((answer, judged))
    _check_anew(same, timezone.now())
    if differing:
        store_judged(differing)


def _versions_made(
    results: Results, units: dict[UnitKey, Unit]
) -> dict[tuple[int, int | None], TranslationVersion]:
    """{(unit, item): the newest version that the item made of the unit}."""
    rows = TranslationVersion.objects.filter(
        translation__in=[unit.id for unit in units.values()],
        item__in=[answer.item_id for answer, _ in results],
    )
    return {(row.translation_id, row.item_id): row for row in rows.order_by("number")}


def _keep_mark(version: TranslationVersion, judged: Judged) -> None:
    """What was pretended stays so: an answer that was applied is kept unsigned."""
    if judged.is_pretended:
        return
    if pretended().code in {finding["code"] for finding in version.findings}:
        judged.findings = as_pretended(judged.findings)


def _check_anew(same: Sequence[NewVersion], now: datetime) -> None:
    """Write what the checks say now of versions that are there."""
    rules = publish_rules()
    published = []
    for version in same:
        unit = version.unit
        waits = unit.status == PENDING_REVIEW
        if waits and unit.latest_id == version.key:
            _publish_where_allowed(version, is_stale=unit.is_stale, rules=rules)
            if unit.status == PUBLISHED:
                published.append(unit)
    update_rows(
        TranslationVersion,
        CHECKED_FIELDS,
        [(version.key, *_checked(version.judged)) for version in same],
    )
    write_units(published, now)
    _tell_of_published([unit.id for unit in published])


def _tell_of_published(units: Sequence[int]) -> None:
    """What a rule published, and nobody looked at: once in the audit log."""
    if not units:
        return
    audit(
        "translation:published",
        actor="TRANSLATION_PUBLISH",
        target=f"translation {units[0]}"
        if len(units) == 1
        else f"{len(units)} translations",
        after={"translations": list(units)},
    )
    announce_published(units)


def _unit_key(answer: Answer, judged: Judged) -> UnitKey:
    return (answer.content_type_id, answer.object_id, judged.field, judged.language)


def _source_hashes(results: Results) -> dict[SourceKey, str]:
    """The hash of each source as it is now; none where its field is not registered.

    Raises SubjectGone for those of these answers whose row is not there.
    """
    fields: defaultdict[int, defaultdict[str, set[str]]]
    fields = defaultdict(lambda: defaultdict(set))
    for answer, judged in results:
        fields[answer.content_type_id][answer.object_id].add(judged.field)
    hashes: dict[SourceKey, str] = {}
    gone: dict[tuple[int, str], str] = {}
    for kind, wanted in fields.items():
        content_type = ContentType.objects.get_for_id(kind)
        left = wanted.keys() - _add_hashes(content_type, wanted, hashes)
        name = content_type.name.capitalize()
        gone |= {(kind, object_id): f"{name} {object_id}" for object_id in left}
    if gone:
        raise SubjectGone(
            {
                answer.item_id: gone[subject]
                for answer, _ in results
                if (subject := (answer.content_type_id, answer.object_id)) in gone
            }
        )
    return hashes


def _add_hashes(
    content_type: ContentType,
    wanted: Mapping[str, set[str]],
    hashes: dict[SourceKey, str],
) -> set[str]:
    """Add the hashes of {object id: its fields}; returns the rows that are there."""
    model = content_type.model_class()
    if model is None:
        return set()
    entry = all_registered().get(model._meta.label_lower)
    if entry is None:
        rows = model._default_manager.filter(pk__in=wanted)
        return {str(key) for key in rows.values_list("pk", flat=True)}
    there = set()
    for row in source_rows(entry, wanted):
        object_id = str(row.pk)
        there.add(object_id)
        for field in wanted[object_id].intersection(entry.fields):
            hashes[content_type.pk, object_id, field] = current_hash(entry, row, field)
    return there


def _take_version(version: NewVersion, *, is_stale: bool, rules: PublishRules) -> None:
    """Make a version its unit's latest, and its published one where that is allowed."""
    unit, judged = version.unit, version.judged
    unit.versions_made = version.number = unit.versions_made + 1
    unit.latest_id = version.key
    unit.source_language, unit.format = judged.source_language, judged.format
    unit.source_hash = judged.source_hash
    unit.is_stale = is_stale
    unit.is_sandbox = version.answer.is_sandbox
    unit.status = PENDING_REVIEW
    _publish_where_allowed(version, is_stale=is_stale, rules=rules)


def _publish_where_allowed(
    version: NewVersion, *, is_stale: bool, rules: PublishRules
) -> None:
    """Make a version its unit's published one, unless a person keeps another."""
    unit, judged = version.unit, version.judged
    publish = rules[judged.source_language, judged.language]
    if publish == "review" or unit.is_kept or is_stale:
        return
    judged = version.judged
    if not judged.errors and not (publish == "clean" and judged.warnings):
        unit.published_id = version.key
        unit.status = PUBLISHED


def _version_row(
    version: NewVersion, hash_of: Callable[[str], str]
) -> tuple[object, ...]:
    answer, judged = version.answer, version.judged
    segments = [
        (segment["id"], hash_of(segment["source"]), segment["text"] or "")
        for segment in judged.segments
    ]
    return (
        version.key,
        version.unit.id,
        version.number,
        judged.text,
        spans_of(judged.text, segments),
        judged.source_hash,
        None if answer.item_id == NO_ITEM else answer.item_id,
        answer.provider,
        answer.model,
        answer.prompt_version_id,
        answer.is_sandbox,
        glossary_version(judged.rows),
        *_checked(version.judged),
    )


def _checked(judged: Judged) -> tuple[object, ...]:
    """What the checks say, in the order of CHECKED_FIELDS."""
    if not judged.findings:  # most: they cost no look at each segment
        return "[]", 0, 0, 100, CHECKS_VERSION
    findings, *counts = checked_columns(judged).values()
    return json_text(findings), *counts
