"""From an answer to a checked proposal; pure: the same twice is alike."""

from collections.abc import Callable
from typing import Any

import orjson
from django.conf import settings

from batches.workloads import Answer
from translations.judging import PRETENDED, pretended
from translations.lessons.proposals.storing import Judged
from translations.lessons.quizzes.checks import check_question
from translations.lessons.quizzes.prompt import QuizResult
from translations.lessons.summaries.checks import check_summary
from translations.lessons.summaries.prompt import SummaryResult
from translations.quality import Finding


def judge_summary(answer: Answer, result: SummaryResult) -> Judged:
    asked = asked_of(answer)
    return _judged(
        answer,
        result,
        lambda: check_summary(
            result,
            asked,
            wanted=asked["language"],
            told_apart=settings.LANGUAGES_TOLD_APART,
        ),
    )


def judge_question(answer: Answer, result: QuizResult) -> Judged:
    asked = asked_of(answer)
    return _judged(
        answer,
        result,
        lambda: check_question(result, asked, told_apart=settings.LANGUAGES_TOLD_APART),
    )


def asked_of(answer: Answer) -> dict[str, Any]:
    """What the model was given as data."""
    content = orjson.loads(answer.body)["messages"][1]["content"]
    asked: dict[str, Any] = orjson.loads(content)
    return asked


def _judged(
    answer: Answer,
    result: SummaryResult | QuizResult,
    check: Callable[[], list[Finding]],
) -> Judged:
    """What is only pretended is not checked: it says what it is, as an error."""
    kept = orjson.loads(answer.context)
    return Judged(
        language=kept["language"],
        source_hash=kept["source_hash"],
        content=result.model_dump(mode="json"),
        before=kept["before"],
        findings=[pretended()] if answer.fingerprint == PRETENDED else check(),
    )
