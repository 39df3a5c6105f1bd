"""A question as it stands in its row, or what is wrong with the row."""

import json
import string
from dataclasses import dataclass
from typing import Any

from translations.lessons.models import QuestionType, QuizQuestion
from translations.lessons.reading import content_hash

IDS = string.ascii_lowercase


class BadQuestion(Exception):
    """A row that nothing can be asked about: `code`, and in words the next step."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Content:
    """What of a question may be improved, and its key, which stays.

    Options are told apart by letters, in their order: "a" is the first.
    """

    question: str
    options: list[str]
    key: int
    explanation: str
    difficulty: str

    def hash(self, lesson_hash: str) -> str:
        return content_hash(
            self.question,
            self.options,
            self.key,
            self.explanation,
            self.difficulty,
            lesson_hash,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "question": self.question,
            "options": self.options,
            "key": self.key,
            "explanation": self.explanation,
            "difficulty": self.difficulty,
        }


def is_open(row: QuizQuestion) -> bool:
    return row.question_type == QuestionType.OPEN_ENDED


def read_question(row: QuizQuestion) -> Content:
    """Raises BadQuestion for a row without usable options or key."""
    options = _options(row)
    key = row.correct_answer
    if key is None or key >= len(options):
        found = "none is set" if key is None else f"it is {key}"
        raise BadQuestion(
            "bad_key",
            f"{_name(row)}: the right answer must be one of 0 to {len(options) - 1}, "
            f"and {found}. Set it in the question, and start again.",
        )
    return Content(
        question=row.question,
        options=options,
        key=key,
        explanation=row.explanation,
        difficulty=row.difficulty,
    )


def _options(row: QuizQuestion) -> list[str]:
    options = row.options
    if isinstance(options, str):  # JSON in JSON
        try:
            options = json.loads(options)
        except ValueError as err:
            raise _bad_options(row, f"they are a text that is no JSON ({err})") from err
    if not isinstance(options, list):
        raise _bad_options(row, "they are no list")
    if wrong := [one for one in options if not isinstance(one, str) or not one.strip()]:
        raise _bad_options(row, f"{str(wrong[0])[:60]!r} is no text")
    if not 2 <= len(options) <= len(IDS):
        raise _bad_options(row, f"there are {len(options)}, not 2 to {len(IDS)}")
    return options


def _bad_options(row: QuizQuestion, problem: str) -> BadQuestion:
    return BadQuestion(
        "bad_options",
        f"{_name(row)}: its options cannot be used: {problem}. They must be a list of "
        "texts; correct them in the question, and start again.",
    )


def _name(row: QuizQuestion) -> str:
    return f"Quiz question {row.pk} ({row.external_id})"
