"""Lessons and quiz questions from rows of a file: created or updated by external id."""

import json
import re
import zoneinfo
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import models
from django.utils import timezone
from pydantic import AfterValidator, Field, model_validator

from translations.importing import BadRow, ContentRow, Importer, Stored, WrongField
from translations.languages import is_known
from translations.lessons.models import (
    Course,
    CourseCategory,
    Difficulty,
    Lesson,
    LessonType,
    Module,
    QuestionType,
    Quiz,
    QuizQuestion,
    TextFormat,
    UnlockType,
    Voice,
)
from translations.registry import all_registered
from translations.segments import guess_format
from translations.staleness import mark_stale

_is_url = URLValidator()


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("It has a NUL character; take it out.")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("It is empty; every row needs one.")
    return value


def _slug(value: str) -> str:
    if not re.fullmatch(r"[-a-zA-Z0-9_]+", value):
        raise ValueError("Use letters from a to z, digits, - and _ only.")
    return value


def _language(value: str) -> str:
    if not is_known(value):
        raise ValueError("It is no language tag such as so, en or pt-BR.")
    return value


def _url(value: str) -> str:
    if value:
        try:
            _is_url(value)
        except ValidationError as err:
            raise ValueError("It is no web address such as https://…") from err
    return value


def _zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as err:
        raise ValueError("It is no time zone such as Africa/Mogadishu.") from err
    return value


def _aware(value: datetime) -> datetime:
    return value if timezone.is_aware(value) else timezone.make_aware(value)


def _one_of(choices: type[models.TextChoices]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in choices.values:
            raise ValueError(f"It is none of {', '.join(choices.values)}.")
        return value

    return AfterValidator(check)


Text = Annotated[str, AfterValidator(_without_nul)]
Id = Annotated[Text, Field(max_length=100), AfterValidator(_not_blank)]
Slug = Annotated[Id, AfterValidator(_slug)]
Title = Annotated[Text, Field(max_length=300), AfterValidator(_not_blank)]
Language = Annotated[str, AfterValidator(_language)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Url = Annotated[Text, Field(max_length=500), AfterValidator(_url)]
Moment = Annotated[datetime, AfterValidator(_aware)]


class LessonRow(ContentRow):
    """A lesson. Null is kept for description and body; elsewhere it means not given."""

    may_be_empty: ClassVar = frozenset({"description", "body"})

    id: Id
    course_id: Slug
    course_title: Title | None = None
    course_category: Annotated[Text, _one_of(CourseCategory)] | None = None
    module_title: Title | None = None
    title: Title
    description: Text | None = None
    body: Text | None = None
    format: Annotated[Text, _one_of(TextFormat)] | None = None
    source_language: Language | None = None
    lesson_type: Annotated[Text, _one_of(LessonType)] | None = None
    position: Count | None = None
    duration: Annotated[Text, Field(max_length=50)] | None = None
    video_url: Url | None = None
    audio_url: Url | None = None
    voice_name: Annotated[Text, _one_of(Voice)] | None = None
    assignment_requirements: Text | None = None
    unlock_type: Annotated[Text, _one_of(UnlockType)] | None = None
    unlock_date: Moment | None = None
    unlock_days_after: Count | None = None
    is_live: bool | None = None
    live_url: Url | None = None
    live_date: Moment | None = None
    live_timezone: Annotated[Text, AfterValidator(_zone)] | None = None
    is_free: bool | None = None

    def values(self) -> dict[str, Any]:
        """What is given, under the model's names; without course and module."""
        given = self.model_dump(
            include=self.model_fields_set & type(self).model_fields.keys()
        )
        for name in (
            "id",
            "course_id",
            "course_title",
            "course_category",
            "module_title",
        ):
            given.pop(name, None)
        if "format" in given:
            given["body_format"] = given.pop("format")
        return {
            name: value
            for name, value in given.items()
            if value is not None or name in self.may_be_empty
        }


class Option(ContentRow):
    text: Title


class QuestionRow(ContentRow):
    """A quiz question. Options come as texts, or as objects with id and text.

    The right answer comes as `correct_answer`, the index from 0, or as one id in
    `correct_option_ids`. In a CSV, lists stand as JSON in their cell.
    """

    id: Id
    lesson_id: Id
    quiz_id: Id | None = None
    quiz_title: Title | None = None
    passing_score: Annotated[int, Field(ge=0, le=100)] | None = None
    question: Annotated[Text, AfterValidator(_not_blank)]
    question_type: (
        Literal["multiple_choice", "single_choice", "true_false", "open_ended"] | None
    ) = None
    options: list[Title] | list[Option] | None = None
    correct_answer: Count | None = None
    correct_option_ids: list[str] | None = None
    explanation: Text | None = None
    difficulty: Annotated[Text, _one_of(Difficulty)] | None = None
    position: Count | None = None
    source_language: Language | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_lists(cls, data: Any) -> Any:
        """JSON inside JSON, or in a cell: a list that comes as text is read."""
        if isinstance(data, dict):
            for name in ("options", "correct_option_ids"):
                if isinstance(data.get(name), str):
                    try:
                        data = {**data, name: json.loads(data[name])}
                    except ValueError as err:
                        problem = f"It is no JSON list: {err}"
                        raise WrongField(name, data[name], problem) from err
        return data

    @model_validator(mode="after")
    def _check_answer(self) -> "QuestionRow":
        texts, answer = self.option_texts, self.answer
        if self.question_type == "open_ended":
            if texts or answer is not None:
                problem = "An open-ended question has no options and no right answer."
                raise WrongField("question_type", "open_ended", problem)
        elif texts is None or len(texts) < 2:
            problem = "A multiple choice question needs two options or more."
            raise WrongField("options", texts, problem)
        elif answer is None or answer >= len(texts):
            problem = "The right answer must be exactly one of the options."
            if self.correct_option_ids is not None:
                raise WrongField("correct_option_ids", self.correct_option_ids, problem)
            raise WrongField("correct_answer", self.correct_answer, problem)
        return self

    @property
    def option_texts(self) -> list[str] | None:
        if self.options is None:
            return None
        return [o.text if isinstance(o, Option) else o for o in self.options]

    @property
    def answer(self) -> int | None:
        """The right option's index; None where it is not exactly one."""
        if self.correct_answer is not None:
            return self.correct_answer
        ids = [option.id for option in self.options or () if isinstance(option, Option)]
        wanted = self.correct_option_ids or []
        if len(wanted) != 1 or ids.count(wanted[0]) != 1:
            return None
        return ids.index(wanted[0])

    def values(self) -> dict[str, Any]:
        """What is given, under the model's names; without the quiz."""
        is_open = self.question_type == "open_ended"
        given = {
            "explanation": self.explanation,
            "difficulty": self.difficulty,
            "position": self.position,
            "source_language": self.source_language,
        }
        return {
            "question": self.question,
            "question_type": (
                QuestionType.OPEN_ENDED if is_open else QuestionType.MULTIPLE_CHOICE
            ),
            "options": None if is_open else self.option_texts,
            "correct_answer": None if is_open else self.answer,
            **{name: value for name, value in given.items() if value is not None},
        }


def store_lessons(rows: Sequence[tuple[int, LessonRow]]) -> Stored:
    """Create or update lessons, with the courses and modules that they name.

    Translations of a changed lesson become stale in the same transaction.
    """
    courses = _courses([row for _, row in rows])
    modules = _modules([row for _, row in rows], courses)
    known = _by_external_id(Lesson, (row.id for _, row in rows))
    now = timezone.now()
    new: list[Lesson] = []
    changed: dict[Lesson, set[str]] = {}
    for _, row in rows:
        values = {**row.values(), "course_id": courses[row.course_id].pk}
        if row.module_title:
            values["module_id"] = modules[row.course_id, row.module_title].pk
        lesson = known.get(row.id)
        if lesson is None:
            values.setdefault("body_format", guess_format(values.get("body") or ""))
            new.append(Lesson(external_id=row.id, **values))
        elif names := _set(lesson, values):
            lesson.updated_at = now  # bulk_update does not set it
            changed[lesson] = {*names, "updated_at"}
    Lesson.objects.bulk_create(new)
    _update(Lesson, changed)
    entry = all_registered().get(Lesson._meta.label_lower)
    if changed and entry:
        mark_stale(entry, changed)
    return Stored(len(new), len(changed), len(rows) - len(new) - len(changed))


def store_questions(rows: Sequence[tuple[int, QuestionRow]]) -> Stored:
    """Create or update quiz questions and their quizzes, for lessons that are there."""
    lessons = _by_external_id(Lesson, (row.lesson_id for _, row in rows))
    stored = Stored()
    good: list[QuestionRow] = []
    for line, row in rows:
        if row.lesson_id in lessons:
            good.append(row)
            continue
        problem = "There is no such lesson; import the lessons first."
        stored.bad.append(BadRow(line, "lesson_id", f"“{row.lesson_id}”", problem))
    quizzes = _quizzes(good, lessons)
    known = _by_external_id(QuizQuestion, (row.id for row in good))
    new: list[QuizQuestion] = []
    changed: dict[QuizQuestion, set[str]] = {}
    for row in good:
        values = {**row.values(), "quiz_id": quizzes[_quiz_id(row)].pk}
        question = known.get(row.id)
        if question is None:
            new.append(QuizQuestion(external_id=row.id, **values))
        elif names := _set(question, values):
            changed[question] = names
    QuizQuestion.objects.bulk_create(new)
    _update(QuizQuestion, changed)
    stored.created, stored.updated = len(new), len(changed)
    stored.unchanged = len(good) - len(new) - len(changed)
    return stored


LESSONS = Importer("lessons", ("lesson", "lessons"), LessonRow, store_lessons)
QUIZZES = Importer(
    "quizzes", ("quiz question", "quiz questions"), QuestionRow, store_questions
)


def _courses(rows: Iterable[LessonRow]) -> dict[str, Course]:
    """{external id: course}; new ones are made, old ones follow the rows."""
    given: dict[str, dict[str, Any]] = {}
    for row in rows:
        values = {"title": row.course_title, "category": row.course_category}
        given.setdefault(row.course_id, {}).update(
            {name: value for name, value in values.items() if value is not None}
        )
    Course.objects.bulk_create(
        [
            Course(external_id=key, **{"title": key, **values})
            for key, values in given.items()
        ],
        ignore_conflicts=True,
    )
    courses = _by_external_id(Course, given)
    changed = {course: _set(course, given[key]) for key, course in courses.items()}
    _update(Course, changed)
    return courses


def _modules(
    rows: Iterable[LessonRow], courses: dict[str, Course]
) -> dict[tuple[str, str], Module]:
    """{(course's external id, title): module}, in the order in which rows name them."""
    wanted = {
        (row.course_id, row.module_title): None for row in rows if row.module_title
    }
    Module.objects.bulk_create(
        [
            Module(course=courses[course_id], title=title, position=position)
            for position, (course_id, title) in enumerate(
                wanted, Module.objects.count()
            )
        ],
        ignore_conflicts=True,
    )
    found = Module.objects.filter(course__external_id__in={key for key, _ in wanted})
    return {
        (module.course.external_id, module.title): module
        for module in found.select_related("course")
    }


def _quizzes(
    rows: Iterable[QuestionRow], lessons: dict[str, Lesson]
) -> dict[str, Quiz]:
    """{external id: quiz}; a question that names no quiz goes into its lesson's own."""
    wanted: dict[str, QuestionRow] = {_quiz_id(row): row for row in rows}
    Quiz.objects.bulk_create(
        [
            Quiz(
                external_id=key,
                lesson=lessons[row.lesson_id],
                title=row.quiz_title or lessons[row.lesson_id].title,
                **_passing_score(row),
            )
            for key, row in wanted.items()
        ],
        ignore_conflicts=True,
    )
    quizzes = _by_external_id(Quiz, wanted)
    changed: dict[Quiz, set[str]] = {}
    for key, quiz in quizzes.items():
        values: dict[str, Any] = _passing_score(wanted[key])
        values["lesson_id"] = lessons[wanted[key].lesson_id].pk
        if title := wanted[key].quiz_title:
            values["title"] = title
        if names := _set(quiz, values):
            changed[quiz] = names
    _update(Quiz, changed)
    return quizzes


def _quiz_id(row: QuestionRow) -> str:
    return row.quiz_id or row.lesson_id


def _passing_score(row: QuestionRow) -> dict[str, Any]:
    return {} if row.passing_score is None else {"passing_score": row.passing_score}


Row = TypeVar("Row", bound=models.Model)


def _by_external_id(model: type[Row], keys: Iterable[str]) -> dict[str, Row]:
    """{external id: row}, locked until the transaction ends."""
    rows = model._default_manager.select_for_update().filter(external_id__in=set(keys))
    return {row.external_id: row for row in rows}  # type: ignore[attr-defined]


def _set(row: models.Model, values: dict[str, Any]) -> set[str]:
    """Set values; returns the names of those that were others."""
    changed = {name for name, value in values.items() if getattr(row, name) != value}
    for name in changed:
        setattr(row, name, values[name])
    return changed


def _update(model: type[Row], changed: dict[Row, set[str]]) -> None:
    """Save rows of which the named fields changed."""
    if names := {name for names in changed.values() for name in names}:
        model._default_manager.bulk_update(changed, sorted(names), batch_size=100)
