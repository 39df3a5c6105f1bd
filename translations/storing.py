"""Writing judged translations, many at once, inside the transaction of their items.

Units are locked in key order, so two jobs that answer the same units wait for each
other and never block one another for good.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.contenttypes.models import ContentType
from django.utils import timezone

from batches import config
from batches.errors import SubjectGone
from batches.services.bulk import insert_rows, reserve_keys, update_rows
from batches.workloads import Answer
from translations.drafts import add_part, drop_draft, parts_there
from translations.judging import Judged, pretended
from translations.models import (
    Origin,
    ReviewStatus,
    Translation,
    TranslationVersion,
)
from translations.quality import CHECKS_VERSION, Finding, score
from translations.registry import all_registered
from translations.segments import segment_hash
from translations.staleness import current_hashes

UnitKey = tuple[int, str, str, str]  # content type, object id, field, language

VERSION_FIELDS = (
    "id",
    "translation",
    "number",
    "text",
    "segments",
    "source_hash",
    "origin",
    "author",
    "item",
    "provider",
    "model",
    "prompt_version",
    "is_sandbox",
    "findings",
    "errors",
    "warnings",
    "score",
    "checks_version",
    "created_at",
)
UNIT_FIELDS = (
    "source_language",
    "format",
    "status",
    "latest",
    "published",
    "versions_made",
    "source_hash",
    "is_stale",
    "is_sandbox",
    "parts_total",
    "parts_done",
    "updated_at",
)


@dataclass(slots=True)
class NewVersion:
    """A whole text, ready to become a version of its unit."""

    unit: Translation
    answer: Answer
    judged: Judged
    key: int = 0

    @property
    def errors(self) -> int:
        return sum(finding.severity == "error" for finding in self.judged.findings)

    @property
    def warnings(self) -> int:
        return len(self.judged.findings) - self.errors


def store_judged(results: Sequence[tuple[Answer, Judged]]) -> None:
    """Store parts and whole texts; a text whose last part came becomes a version.

    Whether it is published at once is for TRANSLATION_PUBLISH to say; what a person
    keeps is never replaced, the new version waits beside it. Raises SubjectGone where
    rows were deleted meanwhile; nothing is stored then.
    """
    _check_subjects([answer for answer, _ in results])
    now = timezone.now()
    units = _locked_units(results, now)
    new = []
    for answer, judged in results:
        unit = units[_unit_key(answer, judged)]
        if judged.is_whole:
            drop_draft(unit, judged.source_hash)
            new.append(NewVersion(unit, answer, judged))
        elif whole := add_part(unit, answer, judged):
            new.append(NewVersion(unit, answer, whole))
    hashes = _source_hashes(new)
    publish = config.get("TRANSLATION_PUBLISH")
    keys = reserve_keys(TranslationVersion, len(new))
    for version, key in zip(new, keys, strict=True):
        version.key = key
        kind, object_id, field, _ = _unit_key(version.answer, version.judged)
        is_stale = hashes.get((kind, object_id, field)) != version.judged.source_hash
        _take_version(version, is_stale=is_stale, publish=publish)
    insert_rows(
        TranslationVersion,
        VERSION_FIELDS,
        [_version_row(version, now) for version in new],
    )
    changed = {unit.pk: unit for unit in units.values()}
    update_rows(
        Translation, UNIT_FIELDS, [_unit_row(unit, now) for unit in changed.values()]
    )


def store_judged_again(results: Sequence[tuple[Answer, Judged]]) -> None:
    """Store results of items that are done already, from their answers judged anew.

    Where the wording is the same its version stays the only one, with what the checks
    say of it now; if it waits for review, it is published where that is allowed by now.
    Another wording becomes a version, as that of a new answer does. A long text that is
    whole is left as it is; while it is a draft, its parts are stored again.
    """
    units = _find_units(_unit_key(*result) for result in results)
    made = _versions_made(results, units)
    parts = parts_there(units.values())
    differing, same = [], []
    for answer, judged in results:
        unit = units.get(_unit_key(answer, judged))
        version = made.get((unit.pk, answer.item_id)) if unit else None
        if not judged.is_whole:
            place = (judged.source_hash, judged.part, judged.path)
            if unit and (unit.pk, *place) in parts:
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
    results: Sequence[tuple[Answer, Judged]], units: dict[UnitKey, Translation]
) -> dict[tuple[int, int | None], TranslationVersion]:
    """{(unit, item): the newest version that the item made of the unit}."""
    rows = TranslationVersion.objects.filter(
        translation__in=[unit.pk for unit in units.values()],
        item__in=[answer.item_id for answer, _ in results],
    )
    return {(row.translation_id, row.item_id): row for row in rows.order_by("number")}


def _keep_mark(version: TranslationVersion, judged: Judged) -> None:
    """What was pretended stays so: an answer that was applied is kept unsigned."""
    mark = pretended()
    if judged.is_pretended:
        return
    if mark.code in {finding["code"] for finding in version.findings}:
        judged.findings.append(mark)


def _check_anew(same: Sequence[NewVersion], now: datetime) -> None:
    """Write what the checks say now of versions that are there."""
    publish = config.get("TRANSLATION_PUBLISH")
    published = []
    for version in same:
        unit = version.unit
        waits = unit.status == ReviewStatus.PENDING_REVIEW
        if waits and unit.latest_id == version.key:
            _publish_where_allowed(version, is_stale=unit.is_stale, publish=publish)
            if unit.status == ReviewStatus.PUBLISHED:
                published.append(_unit_row(unit, now))
    update_rows(
        TranslationVersion,
        ("findings", "errors", "warnings", "score", "checks_version"),
        [(version.key, *_checked(version)) for version in same],
    )
    update_rows(Translation, UNIT_FIELDS, published)


def _check_subjects(answers: Sequence[Answer]) -> None:
    """Raises SubjectGone for those of these answers whose row is not there."""
    by_kind: dict[int, set[str]] = {}
    for answer in answers:
        by_kind.setdefault(answer.content_type_id, set()).add(answer.object_id)
    there = set()
    names = {}
    for kind, object_ids in by_kind.items():
        content_type = ContentType.objects.get_for_id(kind)
        names[kind] = content_type.name.capitalize()
        if model := content_type.model_class():
            rows = model._default_manager.filter(pk__in=object_ids)
            keys = rows.values_list("pk", flat=True)
            there |= {(kind, str(key)) for key in keys}
    gone = {
        answer.item_id: f"{names[answer.content_type_id]} {answer.object_id}"
        for answer in answers
        if (answer.content_type_id, answer.object_id) not in there
    }
    if gone:
        raise SubjectGone(gone)


def _unit_key(answer: Answer, judged: Judged) -> UnitKey:
    return (answer.content_type_id, answer.object_id, judged.field, judged.language)


def _locked_units(
    results: Sequence[tuple[Answer, Judged]], now: datetime
) -> dict[UnitKey, Translation]:
    """The units of these results, made where they are missing, locked in key order."""
    wanted = {_unit_key(answer, judged): judged for answer, judged in results}
    found = _find_units(wanted)
    missing = sorted(wanted.keys() - found.keys())
    if missing:
        Translation.objects.bulk_create(
            [
                Translation(
                    content_type_id=key[0],
                    object_id=key[1],
                    field=key[2],
                    language=key[3],
                    source_language=wanted[key].source_language,
                    format=wanted[key].format,
                    created_at=now,
                    updated_at=now,
                )
                for key in missing
            ],
            ignore_conflicts=True,
        )
        found = _find_units(wanted)
    return found


def _find_units(wanted: Iterable[UnitKey]) -> dict[UnitKey, Translation]:
    """Those of these units that are there, locked in key order."""
    wanted = set(wanted)
    rows = Translation.objects.select_for_update().filter(
        object_id__in={object_id for _, object_id, _, _ in wanted},
        language__in={language for *_, language in wanted},
    )
    return {
        key: unit
        for unit in rows.order_by("pk")
        if (key := (unit.content_type_id, unit.object_id, unit.field, unit.language))
        in wanted
    }


def _source_hashes(new: Sequence[NewVersion]) -> dict[tuple[int, str, str], str]:
    """{(content type, object id, field): hash of that source as it is now}.

    A subject that is gone has none.
    """
    by_kind: dict[int, set[str]] = {}
    for version in new:
        by_kind.setdefault(version.answer.content_type_id, set()).add(
            version.answer.object_id
        )
    hashes = {}
    entries = all_registered()
    for kind, object_ids in by_kind.items():
        model = ContentType.objects.get_for_id(kind).model_class()
        entry = entries.get(model._meta.label_lower) if model else None
        if entry is None:
            continue
        rows = entry.model._default_manager.filter(pk__in=object_ids)
        for row in rows.iterator(chunk_size=200):
            for field, hash_ in current_hashes(entry, row).items():
                hashes[kind, str(row.pk), field] = hash_
    return hashes


def _take_version(version: NewVersion, *, is_stale: bool, publish: str) -> None:
    """Make a version its unit's latest, and its published one where that is allowed."""
    unit, judged = version.unit, version.judged
    unit.versions_made += 1
    unit.latest_id = version.key
    unit.source_language, unit.format = judged.source_language, judged.format
    unit.source_hash = judged.source_hash
    unit.is_stale = is_stale
    unit.is_sandbox = version.answer.is_sandbox
    unit.status = ReviewStatus.PENDING_REVIEW
    _publish_where_allowed(version, is_stale=is_stale, publish=publish)


def _publish_where_allowed(
    version: NewVersion, *, is_stale: bool, publish: str
) -> None:
    """Make a version its unit's published one, unless a person keeps another."""
    unit = version.unit
    is_clean = not version.judged.findings
    may_publish = {"review": False, "clean": is_clean, "all": not version.errors}[
        publish
    ]
    if may_publish and not unit.is_kept and not is_stale:
        unit.published_id = version.key
        unit.status = ReviewStatus.PUBLISHED


def _version_row(version: NewVersion, now: datetime) -> tuple[object, ...]:
    answer, judged = version.answer, version.judged
    segments = [
        {
            "id": segment["id"],
            "source_hash": segment_hash(segment["source"]),
            "text": segment["text"] or "",
        }
        for segment in judged.segments
    ]
    return (
        version.key,
        version.unit.pk,
        version.unit.versions_made,
        judged.text,
        segments,
        judged.source_hash,
        Origin.MACHINE.value,
        None,
        answer.item_id,
        answer.provider,
        answer.model,
        answer.prompt_version_id,
        answer.is_sandbox,
        *_checked(version),
        now,
    )


def _checked(version: NewVersion) -> tuple[object, ...]:
    """What the checks say: the columns from `findings` to `checks_version`."""
    judged = version.judged
    return (
        [finding.to_json() for finding in judged.findings],
        version.errors,
        version.warnings,
        _score(judged.findings, judged),
        CHECKS_VERSION,
    )


def _score(findings: list[Finding], judged: Judged) -> int:
    letters = {
        segment["id"]: sum(map(str.isalpha, segment["source"]))
        for segment in judged.segments
    }
    return score(findings, letters)


def _unit_row(unit: Translation, now: datetime) -> tuple[object, ...]:
    return (
        unit.pk,
        unit.source_language,
        unit.format,
        str(unit.status),
        unit.latest_id,
        unit.published_id,
        unit.versions_made,
        unit.source_hash,
        unit.is_stale,
        unit.is_sandbox,
        unit.parts_total,
        unit.parts_done,
        now,
    )
