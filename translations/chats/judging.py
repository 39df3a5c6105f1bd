"""From an answer to a checked analysis; pure: the same twice is alike."""

from typing import Any, NamedTuple, TypedDict

import orjson

from batches.workloads import Answer
from translations.chats.checks import Asked, check_analysis
from translations.chats.prompt import sent_messages
from translations.chats.shapes import (
    ChatAnalysis,
    Escalation,
)
from translations.chats.taxonomies import Taxonomy
from translations.judging import PRETENDED
from translations.quality import Finding
from translations.quality.findings import gettext_noop

FEWEST_CUSTOMER_WORDS = 2


class Kept(TypedDict):
    """What is kept beside a request, and never sent; no personal data is in it."""

    source_hash: str
    taxonomy: str
    categories: tuple[str, ...]
    staff_language: str
    told_apart: list[str]
    left_out: int
    known: list[str]


class Judged(NamedTuple):
    """An analysis with what the checks say of it; `answer` is None where no model was
    asked."""

    content: dict[str, Any]
    taxonomy: str
    source_hash: str
    left_out: int
    findings: list[Finding]
    is_pretended: bool = False
    answer: Answer | None = None


def judge_analysis(answer: Answer, analysis: ChatAnalysis) -> Judged:
    """What the checks find; of what the sandbox made up, only that it did."""
    kept: Kept = orjson.loads(answer.context)
    is_pretended = answer.fingerprint == PRETENDED
    if is_pretended:
        findings = [
            Finding(
                "sandbox_text",
                gettext_noop(
                    "The sandbox made this up. A real provider will give a real "
                    "analysis."
                ),
            )
        ]
    else:
        asked = Asked(
            messages=sent_messages(answer.body),
            known=kept["known"],
            staff_language=kept["staff_language"],
            told_apart=frozenset(kept["told_apart"]),
        )
        findings = check_analysis(analysis, asked)
    return Judged(
        content=analysis.model_dump(mode="json"),
        taxonomy=kept["taxonomy"],
        source_hash=kept["source_hash"],
        left_out=kept["left_out"],
        findings=findings,
        is_pretended=is_pretended,
        answer=answer,
    )


def without_model(taxonomy: Taxonomy, *, source_hash: str, language: str) -> Judged:
    """What is said of a chat in which a customer says next to nothing."""
    analysis = ChatAnalysis(
        primary_language=language,
        languages=[],
        sentiment="neutral",
        sentiment_end="same",
        category=taxonomy.other,
        secondary_categories=[],
        resolution="unclear",
        escalation=Escalation(level="none", reasons=["none"]),
        summary="",
        questions=[],
        evidence=[],
    )
    return Judged(
        content=analysis.model_dump(mode="json"),
        taxonomy=taxonomy.version,
        source_hash=source_hash,
        left_out=0,
        findings=[],
    )
