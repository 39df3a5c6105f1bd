"""From an answer to a checked translation; pure: the same twice is alike."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import orjson
from django.conf import settings

from batches.workloads import Answer
from translations.glossary.sending import Rows, terms_of
from translations.prompt import TranslationResult, Uncertain, sent_segments
from translations.quality import (
    CHECKS,
    CHECKS_VERSION,
    STRUCTURE,
    Background,
    Finding,
    Pair,
    check_segments,
    is_of_structure,
    score,
)
from translations.quality.answers import uncertain
from translations.quality.findings import gettext_noop
from translations.quality.lengths import too_long
from translations.segments import Piece, from_json, join_pieces, segments_of

# How the sandbox signs text that it only pretends to have translated.
PRETENDED = "sandbox_pseudo"


class Doubt(TypedDict):
    """What the model was unsure of."""

    reason: str
    note: str


class KnownSegment(TypedDict):
    """A segment that was not asked for, as it is kept with the request."""

    source: str
    text: str


class StoredSegment(TypedDict):
    id: str
    source: str
    text: str | None
    doubts: NotRequired[list[Doubt]]


@dataclass(slots=True)
class Judged:
    """A part's translation put together, with what the checks say of it.

    `path` and `cut` say which share of the text this is (see `DraftPart`).
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
    max_length: int | None = None
    rows: Rows = dataclasses.field(default_factory=list)  # of the glossary, as sent
    approved: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    cut: str = ""
    is_repair: bool = False
    findings: list[Finding] = dataclasses.field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether this is a whole text, and no part of one."""
        return self.parts == 1 and not self.path

    @property
    def errors(self) -> int:
        return self._count("error")

    @property
    def warnings(self) -> int:
        return self._count("warning")

    def _count(self, severity: str) -> int:
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def score(self) -> int:
        letters = {
            segment["id"]: sum(map(str.isalpha, segment["source"]))
            for segment in self.segments
        }
        return score(self.findings, letters)

    @property
    def has_errors(self) -> bool:
        """Whether a check holds an error against it that is not its being pretended."""
        return bool(error_codes(self.findings))

    @property
    def is_pretended(self) -> bool:
        mark = pretended().code
        return any(finding.code == mark for finding in self.findings)


def checked_columns(judged: Judged) -> dict[str, Any]:
    """What a version's row says of the checks."""
    return {
        "findings": [finding.to_json() for finding in judged.findings],
        "errors": judged.errors,
        "warnings": judged.warnings,
        "score": judged.score,
        "checks_version": CHECKS_VERSION,
    }


def judge_answer(answer: Answer, result: TranslationResult) -> Judged:
    """Put the segments back into the template kept with the request, and check them.

    The template is the request's, so a source that has changed since does no harm.
    """
    kept: dict[str, Any] = orjson.loads(answer.context)
    asked = asked_for(answer, kept)
    answered: dict[str, str] = {}
    for segment in result.segments:
        answered.setdefault(segment.id, segment.text)
    known: dict[str, KnownSegment] = kept.get("known", {})
    sources = asked
    if known:
        answered |= {key: told["text"] for key, told in known.items()}
        sources = all_sources(kept["pieces"], asked, known)
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
        segments=_segments(sources, answered, result.uncertain),
        max_length=kept.get("max_length"),
        rows=kept.get("glossary", []),
        approved=kept.get("approved", {}),
        cut=kept.get("cut", ""),
        is_repair=kept.get("is_repair", False),
    )
    is_pretended = answer.fingerprint == PRETENDED or kept.get("is_pretended", False)
    judged.findings = check_whole(
        judged,
        [segment.id for segment in result.segments] + list(known),
        is_pretended=is_pretended,
    )
    return judged


def asked_for(answer: Answer, kept: Mapping[str, Any]) -> dict[str, str]:
    """{segment id: source text} of what was asked, from the context kept with it.

    Requests that were made before contexts had the texts have them in their bodies.
    """
    asked: dict[str, str] | None = kept.get("asked")
    return sent_segments(answer.body) if asked is None else asked


def judge_known(
    *,
    pieces: list[Piece],
    known: dict[str, KnownSegment],
    is_pretended: bool,
    **told: Any,
) -> Judged:
    """A text of which every segment is known, put together and checked anew."""
    targets = {key: segment["text"] for key, segment in known.items()}
    judged = Judged(
        **told,
        part=1,
        parts=1,
        path="",
        text=join_pieces(pieces, targets),
        segments=[
            StoredSegment(id=segment.id, source=segment.text, text=targets[segment.id])
            for segment in segments_of(pieces)
        ],
    )
    judged.findings = check_whole(judged, list(known), is_pretended=is_pretended)
    return judged


def all_sources(
    template: Iterable[Any], asked: dict[str, str], known: dict[str, KnownSegment]
) -> dict[str, str]:
    """{segment id: source} of a template's segments in order, asked for and known."""
    keys = [entry["id"] for entry in template if not isinstance(entry, str)]
    return {key: known[key]["source"] if key in known else asked[key] for key in keys}


def check_whole(
    judged: Judged, answered: list[str], *, is_pretended: bool = False
) -> list[Finding]:
    """All checks over a text's segments; `answered` are the ids as they came.

    What is only pretended is held to its structure alone, and says what it is.
    """
    background = Background(
        terms=terms_of(judged.rows),
        approved=judged.approved,
        told_apart=frozenset(settings.LANGUAGES_TOLD_APART),
    )
    pairs = [
        Pair(
            source=segment["source"],
            target=segment["text"],
            source_language=judged.source_language,
            target_language=judged.language,
            format=judged.format,
            segment_id=segment["id"],
            background=background,
        )
        for segment in judged.segments
    ]
    checks = STRUCTURE if is_pretended else CHECKS
    findings = check_segments(pairs, answered, checks)
    findings += _of_whole(judged)
    findings += [
        uncertain(doubt["reason"], doubt["note"], segment["id"])
        for segment in judged.segments
        for doubt in segment.get("doubts", ())
    ]
    return as_pretended(findings) if is_pretended else findings


def as_pretended(findings: Sequence[Finding]) -> list[Finding]:
    """What is held against a text that is known to be pretended: its structure."""
    return [*filter(is_of_structure, findings), pretended()]


def error_codes(findings: Iterable[Finding]) -> str:
    """The errors among findings, by code, with commas; what is pretended is none.

    That a text was made up is no fault of its model: it is known beforehand.
    """
    codes = {finding.code for finding in findings if finding.severity == "error"}
    return ",".join(sorted(codes - {pretended().code}))


def pretended() -> Finding:
    return Finding(
        "sandbox_text",
        gettext_noop(
            "The sandbox has no translation of this and made the text up. "
            "A real provider will give a real one."
        ),
    )


def _segments(
    sources: dict[str, str], answered: dict[str, str], doubts: list[Uncertain]
) -> list[StoredSegment]:
    """The segments that were asked for, in order, each with the model's doubts.

    A doubt about a segment that does not exist goes to the first: it is read there.
    """
    segments = {
        key: StoredSegment(id=key, source=source, text=answered.get(key))
        for key, source in sources.items()
    }
    first = next(iter(segments), "")
    for doubt in doubts:
        if segment := segments.get(doubt.id, segments.get(first)):
            told = Doubt(reason=doubt.reason, note=doubt.note)
            segment.setdefault("doubts", []).append(told)
    return list(segments.values())


def _of_whole(judged: Judged) -> list[Finding]:
    """What can be said only of a text that is put together."""
    if not judged.is_whole:
        return []
    return list(
        too_long(
            Pair(
                source="",
                target=judged.text,
                source_language=judged.source_language,
                target_language=judged.language,
                background=Background(max_length=judged.max_length),
            )
        )
    )
