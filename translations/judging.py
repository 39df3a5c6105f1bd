"""From an answer to a checked translation; pure: the same twice is alike."""

import dataclasses
from dataclasses import dataclass
from typing import Any, TypedDict

import orjson

from batches.workloads import Answer
from translations.prompt import TranslationResult, sent_segments
from translations.quality import Finding, Pair, check_segments
from translations.quality.findings import gettext_noop
from translations.segments import from_json, join_pieces

# How the sandbox signs text that it only pretends to have translated.
PRETENDED = "sandbox_pseudo"


class StoredSegment(TypedDict):
    id: str
    source: str
    text: str | None


@dataclass(slots=True)
class Judged:
    """A part's translation put together, with what the checks say of it.

    `path` is blank, or says which half of the part this is (see `DraftPart`).
    """

    field: str
    language: str
    source_language: str
    format: str
    source_hash: str
    part: int
    parts: int
    path: str
    text: str
    segments: list[StoredSegment]
    findings: list[Finding] = dataclasses.field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether this is a whole text, and no part of one."""
        return self.parts == 1 and not self.path

    @property
    def is_pretended(self) -> bool:
        mark = pretended().code
        return any(finding.code == mark for finding in self.findings)


def judge_answer(answer: Answer, result: TranslationResult) -> Judged:
    """Put the segments back into the template kept with the request, and check them.

    The template is the request's, so a source that has changed since does no harm.
    """
    kept: dict[str, Any] = orjson.loads(answer.context)
    sources = sent_segments(answer.body)
    answered: dict[str, str] = {}
    for segment in result.segments:
        answered.setdefault(segment.id, segment.text)
    judged = Judged(
        field=kept["field"],
        language=kept["language"],
        source_language=kept["source_language"],
        format=kept["format"],
        source_hash=kept["source_hash"],
        part=kept["part"],
        parts=kept["parts"],
        path=kept.get("path", ""),
        text=join_pieces(
            from_json(kept["pieces"], sources),
            {key: text for key, text in answered.items() if key in sources},
        ),
        segments=[
            StoredSegment(id=key, source=source, text=answered.get(key))
            for key, source in sources.items()
        ],
    )
    judged.findings = check_whole(judged, [segment.id for segment in result.segments])
    if answer.fingerprint == PRETENDED:
        judged.findings.append(pretended())
    return judged


def check_whole(judged: Judged, answered: list[str]) -> list[Finding]:
    """All checks over a text's segments; `answered` are the ids as they came."""
    pairs = [
        Pair(
            source=segment["source"],
            target=segment["text"],
            source_language=judged.source_language,
            target_language=judged.language,
            format=judged.format,
            segment_id=segment["id"],
        )
        for segment in judged.segments
    ]
    return check_segments(pairs, answered)


def pretended() -> Finding:
    return Finding(
        "sandbox_text",
        gettext_noop(
            "The sandbox has no translation of this and made the text up. "
            "A real provider will give a real one."
        ),
    )
