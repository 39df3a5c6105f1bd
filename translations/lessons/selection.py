"""Which lessons and questions have no proposal for what they say now."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import models

from batches.providers.registry import active_provider, is_sandbox
from batches.workloads import Page, Subject
from translations.lessons.models import (
    Lesson,
    Proposal,
    ProposalStatus,
    QuizQuestion,
)
from translations.lessons.quizzes.reading import (
    IDS,
    BadQuestion,
    Content,
    is_open,
    read_question,
)
from translations.lessons.reading import has_prose, lesson_hash, lesson_text
from translations.quality.pair import words
from translations.review.models import why_rejected

# Rows are loaded a few at a time: their texts may be long.
LOADED = 50
# More than a model reads of one text without losing hold of it; it is sent as a whole.
MOST_CHARACTERS = 100_000
FEWEST_WORDS = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row to ask about, or what is wrong with it; `message` is what the model sees.

    `languages` are those in which an answer is wanted; one request is made for each.
    `source_hash` is blank where the row cannot be asked about; `rejections` say, by
    language, why a person did not take the last answer.
    """

    languages: tuple[str, ...]
    source_hash: str = ""
    message: dict[str, Any] | None = None
    before: dict[str, Any] | None = None
    error_code: str = ""
    error_message: str = ""
    rejections: Mapping[str, str] = field(default_factory=dict)


Found = Wanted | str  # what to ask for, or why the row is passed over
Reader = Callable[[Sequence[Any]], Iterable[Found]]


def page_of(
    rows: models.QuerySet[Any],
    read: Reader,
    *,
    after: str,
    limit: int,
    redo: bool,
) -> Page:
    """The next subjects in the order of keys; the cursor is the last key looked at."""
    kind = ContentType.objects.get_for_model(rows.model)
    found: list[Subject] = []
    skipped: Counter[str] = Counter()
    rows = rows.order_by("pk")
    while True:
        chunk = list((rows.filter(pk__gt=int(after)) if after else rows)[:LOADED])
        if not chunk:
            return Page(found, None, dict(skipped))
        current = {} if redo else _answered(chunk)
        rejections = _rejections(chunk)
        for row, wanted in zip(chunk, read(chunk), strict=True):
            after = str(row.pk)
            if isinstance(wanted, str):
                skipped[wanted] += 1
                continue
            lacking = tuple(
                language
                for language in wanted.languages
                if wanted.source_hash not in current.get((row.pk, language), ())
            )
            if lacking:
                source = replace(
                    wanted, languages=lacking, rejections=rejections.get(row.pk, {})
                )
                found.append(Subject(kind.pk, str(row.pk), source))
                if len(found) == limit:
                    return Page(found, after, dict(skipped))


def _rejections(chunk: Sequence[models.Model]) -> dict[int, dict[str, str]]:
    """{row: {language: why its newest proposal was rejected}}"""
    name = _name_of(chunk)
    newest: defaultdict[int, dict[str, str]] = defaultdict(dict)
    proposals = Proposal.objects.filter(**{f"{name}__in": [row.pk for row in chunk]})
    for key, language, reason, explanation in proposals.order_by("number").values_list(
        f"{name}_id", "language", "reason", "explanation"
    ):
        newest[key][language] = why_rejected(reason, explanation)
    return {
        key: {language: why for language, why in found.items() if why}
        for key, found in newest.items()
    }


def _name_of(chunk: Sequence[models.Model]) -> str:
    return "lesson" if isinstance(chunk[0], Lesson) else "question"


def _answered(chunk: Sequence[models.Model]) -> dict[tuple[int, str], set[str]]:
    """{(row, language): hashes of what there are proposals for, or came of one}."""
    name = _name_of(chunk)
    proposals = Proposal.objects.filter(
        **{f"{name}__in": [row.pk for row in chunk]}
    ).exclude(status=ProposalStatus.SUPERSEDED)
    if not is_sandbox(active_provider()):
        proposals = proposals.filter(is_sandbox=False)
    hashes: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
    for key, language, *both in proposals.values_list(
        f"{name}_id", "language", "source_hash", "applied_hash"
    ):
        hashes[key, language] |= {*both} - {""}
    return hashes


def read_lessons(lessons: Sequence[Lesson], languages: list[str]) -> Iterable[Found]:
    """What to ask of each; without languages in the lesson's own."""
    neighbours = _neighbours({lesson.course_id for lesson in lessons})
    for lesson in lessons:
        if not has_prose(lesson):
            yield "quiz lesson (its body is JSON, not prose)"
            continue
        text = lesson_text(lesson)
        if len(words(text)) < FEWEST_WORDS:
            yield f"lesson of less than {FEWEST_WORDS} words"
            continue
        wanted = tuple(languages) or (lesson.source_language,)
        if problem := _too_long(lesson, text):
            yield _failed(wanted, "too_large", problem)
            continue
        before, after = neighbours.get(lesson.pk, ("", ""))
        yield Wanted(
            languages=wanted,
            source_hash=lesson_hash(lesson),
            message={
                "source_language": lesson.source_language,
                "level": lesson.course.age_range,
                "lesson_before": before,
                "lesson_after": after,
                "lesson": _message_of(lesson, text),
            },
        )


def read_questions(rows: Sequence[QuizQuestion]) -> Iterable[Found]:
    keys = _keys_of_quizzes({row.quiz_id for row in rows})
    for row in rows:
        if is_open(row):
            yield "open-ended question (it has no options)"
            continue
        lesson = row.quiz.lesson
        text = lesson_text(lesson)
        languages = (row.source_language,)
        try:
            content = read_question(row)
        except BadQuestion as err:
            yield _failed(languages, err.code, str(err))
            continue
        if problem := _too_long(lesson, text):
            yield _failed(languages, "too_large", problem)
            continue
        yield Wanted(
            languages=languages,
            source_hash=content.hash(lesson_hash(lesson)),
            before=content.to_json(),
            message=_question_message(content, row, text, keys[row.quiz_id]),
        )


def _question_message(
    content: Content, row: QuizQuestion, text: str, keys: list[str]
) -> dict[str, Any]:
    lesson = row.quiz.lesson
    return {
        "question_type": "single_choice",
        "question": content.question,
        "options": [
            {"id": letter, "text": option}
            for letter, option in zip(IDS, content.options, strict=False)
        ],
        "correct_ids": [IDS[content.key]],
        "explanation": content.explanation,
        "difficulty": content.difficulty,
        "level": lesson.course.age_range,
        "keys_of_quiz": keys,
        "lesson": _message_of(lesson, text),
    }


def _message_of(lesson: Lesson, text: str) -> dict[str, str]:
    description = lesson.description or ""
    return {
        "course": lesson.course.title,
        "title": lesson.title,
        "description": "" if description == text else description,
        "text": text,
    }


def _too_long(lesson: Lesson, text: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return ""
    return (
        f"Lesson {lesson.pk} ({lesson.external_id}) has {len(text):,} characters; "
        f"at most {MOST_CHARACTERS:,} are sent. Divide it into several lessons."
    )


def _failed(languages: tuple[str, ...], code: str, message: str) -> Wanted:
    return Wanted(languages, error_code=code, error_message=message)


def _neighbours(courses: set[int]) -> dict[int, tuple[str, str]]:
    """{lesson: titles of the lessons before and after it in its course}"""
    titles: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
    rows = Lesson.objects.filter(course__in=courses).order_by("position", "pk")
    for key, course, title in rows.values_list("pk", "course_id", "title"):
        titles[course].append((key, title))
    found = {}
    for lessons in titles.values():
        names = ["", *(title for _, title in lessons), ""]
        for place, (key, _) in enumerate(lessons):
            found[key] = (names[place], names[place + 2])
    return found


def _keys_of_quizzes(quizzes: set[int]) -> dict[int, list[str]]:
    """{quiz: the letters of its right answers}"""
    keys: defaultdict[int, list[str]] = defaultdict(list)
    rows = QuizQuestion.objects.filter(quiz__in=quizzes, correct_answer__isnull=False)
    for quiz, answer in rows.order_by("position", "pk").values_list(
        "quiz_id", "correct_answer"
    ):
        if answer is not None and answer < len(IDS):
            keys[quiz].append(IDS[answer])
    return keys
