"""The checks of an analysis, each a function; pure, and without a database."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

from translations.chats.findings import ChatFinding
from translations.chats.masking import has_personal_data, plain, reopens
from translations.chats.risks import is_negative, risks_in
from translations.chats.shapes import ChatAnalysis
from translations.languages import is_known, language_name
from translations.quality import Finding, Pair
from translations.quality.detection import (
    code_of,
    confidence,
    is_detectable,
    likeliest,
)
from translations.quality.findings import gettext_noop
from translations.quality.language import word_count, wrong_language
from translations.quality.pair import Background, quoted, shortened, words

SUMMARY_WORDS = range(8, 81)
TOLD_FROM_WORDS = 6
CONFLICT_BELOW, OTHER_FROM = 0.5, 0.5
SAME_QUESTION = 0.8
POSITIVE = ("positive", "very_positive")
# Written in the same letters and mixed all the time: neither is called wrong.
MIXED = frozenset({"so", "en"})

_ADDRESS = re.compile(r"https?://\S+|www\.\S+")
_QUESTION_MARK = re.compile(r"[?؟]")


@dataclass(frozen=True)
class Asked:
    """What the analysis was made of: the messages as they were sent.

    `known` are the digests of the names that were masked (`masking.digests`).
    """

    messages: Sequence[dict[str, Any]]
    known: Sequence[str] = ()
    staff_language: str = "en"
    told_apart: frozenset[str] = frozenset()

    @cached_property
    def by_index(self) -> dict[int, dict[str, Any]]:
        return {message["index"]: message for message in self.messages}

    @cached_property
    def risks(self) -> dict[str, str]:
        """{kind of risk: words} of what the customer was seen to say."""
        return risks_in(message["text"] for message in self.customers)

    @cached_property
    def customers(self) -> list[dict[str, Any]]:
        return [one for one in self.messages if one["role"] == "customer"]


Found = Iterator[Finding]


def check_analysis(analysis: ChatAnalysis, asked: Asked) -> list[Finding]:
    return [finding for check in CHECKS for finding in check(analysis, asked)]


def evidence_not_in_source(analysis: ChatAnalysis, asked: Asked) -> Found:
    if not analysis.evidence:
        yield ChatFinding(
            "evidence_not_in_source",
            gettext_noop("It has no evidence at all."),
            segment="evidence",
        )
    for number, row in enumerate(analysis.evidence, 1):
        message = asked.by_index.get(row.message_index)
        if message is None:
            yield ChatFinding(
                "evidence_not_in_source",
                gettext_noop("There is no message %(index)s in what was sent."),
                {"index": str(row.message_index)},
                segment=f"evidence {number}",
            )
        elif not plain(row.quote) or plain(row.quote) not in plain(message["text"]):
            yield ChatFinding(
                "evidence_not_in_source",
                gettext_noop("“%(quote)s” does not stand in message %(index)s."),
                {"quote": shortened(row.quote), "index": str(row.message_index)},
                segment=f"evidence {number}",
            )


def question_bad_index(analysis: ChatAnalysis, asked: Asked) -> Found:
    for number, question in enumerate(analysis.questions, 1):
        place = f"questions {number}"
        message = asked.by_index.get(question.message_index)
        if message is None or message["role"] != "customer":
            yield ChatFinding(
                "question_bad_index",
                gettext_noop("Message %(index)s is none of the customer's."),
                {"index": str(question.message_index)},
                segment=place,
            )
        answer = question.answer_message_index
        if answer is not None and (
            answer not in asked.by_index or answer <= question.message_index
        ):
            yield ChatFinding(
                "question_bad_index",
                gettext_noop("Its answer, message %(index)s, is not a later one."),
                {"index": str(answer)},
                segment=place,
            )


def pii_in_summary(analysis: ChatAnalysis, asked: Asked) -> Found:
    for place, text in _written(analysis):
        if _is_personal(text, asked):
            yield ChatFinding(
                "pii_in_summary",
                gettext_noop("It has personal data that must not stand there."),
                segment=place,
            )


def escalation_missed(analysis: ChatAnalysis, asked: Asked) -> Found:
    if asked.risks and analysis.escalation.level == "none":
        yield ChatFinding(
            "escalation_missed",
            gettext_noop("No escalation, though the customer says %(found)s."),
            {"found": quoted(asked.risks.values())},
            segment="escalation",
        )


def escalation_conflict(analysis: ChatAnalysis, asked: Asked) -> Found:
    has_reason = any(reason != "none" for reason in analysis.escalation.reasons)
    if has_reason != (analysis.escalation.level != "none"):
        yield ChatFinding(
            "escalation_conflict",
            gettext_noop("The level is %(level)s, and the reasons are %(reasons)s."),
            {
                "level": analysis.escalation.level,
                "reasons": quoted(analysis.escalation.reasons),
            },
            segment="escalation",
        )


def sentiment_conflict(analysis: ChatAnalysis, asked: Asked) -> Found:
    if asked.risks and analysis.sentiment in POSITIVE:
        yield ChatFinding(
            "sentiment_conflict",
            gettext_noop("Called %(sentiment)s, though the customer says %(found)s."),
            {
                "sentiment": analysis.sentiment,
                "found": quoted(asked.risks.values()),
            },
            segment="sentiment",
        )


def language_conflict(analysis: ChatAnalysis, asked: Asked) -> Found:
    label = analysis.primary_language
    if not is_known(label):
        yield ChatFinding(
            "language_conflict",
            gettext_noop("“%(label)s” is no language tag we know."),
            {"label": shortened(label)},
            segment="primary_language",
        )
        return
    text = "\n".join(one["text"] for one in asked.customers)
    if not is_detectable(label) or word_count(text, label) < TOLD_FROM_WORDS:
        return
    if confidence(text, label, asked.told_apart) >= CONFLICT_BELOW:
        return
    other, sure = likeliest(text, label, asked.told_apart)
    if sure < OTHER_FROM or {other, code_of(label)} <= MIXED:
        return
    if other != code_of(label):
        yield ChatFinding(
            "language_conflict",
            gettext_noop("The customer writes %(found)s rather than %(label)s."),
            {"found": language_name(other), "label": language_name(label)},
            segment="primary_language",
        )


def resolution_conflict(analysis: ChatAnalysis, asked: Asked) -> Found:
    if analysis.resolution != "resolved" or not asked.messages:
        return
    last = asked.messages[-1]
    if last["role"] != "customer":
        return
    if is_question(last["text"]) or is_negative(last["text"]):
        yield ChatFinding(
            "resolution_conflict",
            gettext_noop("Called resolved; the customer's last words are “%(said)s”."),
            {"said": shortened(last["text"])},
            segment="resolution",
        )


def question_missed(analysis: ChatAnalysis, asked: Asked) -> Found:
    if analysis.questions:
        return
    for message in asked.customers:
        if is_question(message["text"]):
            yield ChatFinding(
                "question_missed",
                gettext_noop("Message %(index)s asks something; no question is given."),
                {"index": str(message["index"])},
                segment="questions",
            )
            return


def summary(analysis: ChatAnalysis, asked: Asked) -> Found:
    """Its length and its language. Not the length of one with personal data, which has
    to be written anew anyway: that is reported once."""
    count = len(words(analysis.summary))
    if count not in SUMMARY_WORDS and not _is_personal(analysis.summary, asked):
        yield ChatFinding(
            "summary_length",
            gettext_noop("It has %(count)s words; 8 to 80 are wanted."),
            {"count": str(count)},
            segment="summary",
        )
    source = "\n".join(message["text"] for message in asked.messages)
    pair = Pair(
        source=source,
        target=analysis.summary,
        source_language=_tag(analysis.primary_language, asked.staff_language),
        target_language=asked.staff_language,
        segment_id="summary",
        background=Background(told_apart=asked.told_apart),
    )
    for finding in wrong_language(pair):
        if finding.code == "wrong_language":
            yield Finding(
                finding.code, finding.template, finding.params, segment="summary"
            )


def duplicate_question(analysis: ChatAnalysis, asked: Asked) -> Found:
    for one, other in combinations(range(len(analysis.questions)), 2):
        first, second = analysis.questions[one].text, analysis.questions[other].text
        if overlap(words(first), words(second)) >= SAME_QUESTION:
            yield ChatFinding(
                "duplicate_question",
                gettext_noop("It asks the same as question %(other)s."),
                {"other": str(one + 1)},
                segment=f"questions {other + 1}",
            )


Check = Callable[[ChatAnalysis, Asked], Found]
CHECKS: tuple[Check, ...] = (
    evidence_not_in_source,
    question_bad_index,
    pii_in_summary,
    escalation_missed,
    escalation_conflict,
    sentiment_conflict,
    language_conflict,
    resolution_conflict,
    question_missed,
    summary,
    duplicate_question,
)


def is_question(text: str) -> bool:
    """Whether a question mark stands in it, outside of web addresses."""
    return bool(_QUESTION_MARK.search(_ADDRESS.sub("", text)))


def overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """Jaccard: the words of both, of the words of either."""
    either = {*one, *other}
    return len({*one} & {*other}) / len(either) if either else 0.0


def _written(analysis: ChatAnalysis) -> Iterator[tuple[str, str]]:
    yield "summary", analysis.summary
    for number, question in enumerate(analysis.questions, 1):
        yield f"questions {number}", question.text


def _is_personal(text: str, asked: Asked) -> bool:
    return has_personal_data(text) or reopens(text, asked.known)


def _tag(label: str, default: str) -> str:
    return label if is_known(label) else default
