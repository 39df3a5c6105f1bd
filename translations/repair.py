"""One more request for an answer that has errors, with what it failed quoted."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

from batches.models import PromptVersion
from batches.workloads import FollowUp, Subject
from translations.fields import Part
from translations.judging import KnownSegment
from translations.known import cut_of
from translations.quality import Finding
from translations.registry import Registered, all_registered
from translations.requests import request_for
from translations.segments import (
    MAX_PART_CHARACTERS,
    MAX_PART_SEGMENTS,
    Segment,
    segments_of,
    source_hash,
    split_text,
)
from translations.storing import NewVersion
from translations.targets import target_key


def repairs_of(
    faulty: Sequence[NewVersion], *, response_format: dict[str, Any]
) -> list[FollowUp]:
    """A follow-up for each version with errors that may have one.

    It asks for the segments with errors alone; the others stay as they are. None for
    what is pretended, for what is a repair itself, for what is out of date, and for
    more than fits into one request: so much is wrong with the text as a whole.
    """
    wanted = [
        version
        for version in faulty
        if version.judged.has_errors
        and not version.judged.is_repair
        and not version.judged.is_pretended
        and not version.unit.is_stale
    ]
    if not wanted:
        return []
    rows = _rows_of(wanted)
    prompts = PromptVersion.objects.in_bulk(
        {version.answer.prompt_version_id for version in wanted}
    )
    follow_ups = []
    for version in wanted:
        answer = version.answer
        prompt = prompts.get(answer.prompt_version_id)
        there = rows.get((answer.content_type_id, answer.object_id))
        part = _part(*there, version) if there else None
        if there is None or part is None or prompt is None:
            continue
        follow_ups.append(
            FollowUp(
                parent_item_id=answer.item_id,
                subject=Subject(answer.content_type_id, answer.object_id),
                target=target_key(part.field, part.language, 1, 1),
                request=request_for(
                    *there,
                    part,
                    prompt=prompt.text,
                    response_format=response_format,
                    repair=_quoted(version, part),
                ),
            )
        )
    return follow_ups


def _rows_of(
    wanted: Sequence[NewVersion],
) -> dict[tuple[int, str], tuple[Registered, Model]]:
    keys: defaultdict[int, set[str]] = defaultdict(set)
    for version in wanted:
        keys[version.answer.content_type_id].add(version.answer.object_id)
    found = {}
    registered = all_registered()
    for kind, object_ids in keys.items():
        model = ContentType.objects.get_for_id(kind).model_class()
        entry = registered.get(model._meta.label_lower) if model else None
        if entry is None:
            continue
        rows = entry.model._default_manager.select_related(*entry.select_related)
        for row in rows.filter(pk__in=object_ids):
            found[kind, str(row.pk)] = (entry, row)
    return found


def _part(entry: Registered, row: Model, version: NewVersion) -> Part | None:
    """What is asked anew; None where the source is another now, or it is too much."""
    judged = version.judged
    text = getattr(row, judged.field, None) or ""
    if source_hash(text, judged.format) != judged.source_hash:
        return None
    pieces = split_text(text, judged.format)
    bad = _faulty_segments(version)
    known = {
        segment["id"]: KnownSegment(source=segment["source"], text=segment["text"])
        for segment in judged.segments
        if bad and segment["id"] not in bad and segment["text"]
    }
    asked = [segment for segment in segments_of(pieces) if segment.id not in known]
    if not _fits(asked):
        return None
    return Part(
        field=judged.field,
        language=judged.language,
        number=1,
        total=1,
        pieces=pieces,
        source_hash=judged.source_hash,
        format=judged.format,
        rows=judged.rows,
        known=known,
        cut=cut_of(known),
        approved=judged.approved,
    )


def _fits(asked: Sequence[Segment]) -> bool:
    characters = sum(len(segment.text) for segment in asked)
    return 0 < len(asked) <= MAX_PART_SEGMENTS and (
        len(asked) == 1 or characters <= MAX_PART_CHARACTERS
    )


def _errors(version: NewVersion) -> list[Finding]:
    return [found for found in version.judged.findings if found.severity == "error"]


def _faulty_segments(version: NewVersion) -> set[str]:
    """The segments with errors; none where one is held against the whole text."""
    faulty = {finding.segment for finding in _errors(version)}
    return set() if "" in faulty else faulty


def _quoted(version: NewVersion, part: Part) -> dict[str, Any]:
    """What the model is told of its first answer."""
    return {
        "failed_checks": [
            {
                "segment": finding.segment,
                "check": finding.code,
                "problem": finding.message,
            }
            for finding in _errors(version)
        ],
        "earlier": [
            {"id": segment["id"], "text": segment["text"] or ""}
            for segment in version.judged.segments
            if segment["id"] not in part.known
        ],
    }
