"""What proposals are held against: the rows as they are now, read and written."""

from typing import Any

from translations.lessons.models import (
    Lesson,
    LessonSummary,
    Proposal,
    ProposalKind,
    QuizQuestion,
)
from translations.lessons.quizzes.reading import BadQuestion, read_question
from translations.lessons.reading import lesson_hash

SUMMARY_FIELDS = ("summary_short", "summary", "key_points", "objectives")
QUESTION_FIELDS = ("question", "options", "explanation", "difficulty")

Row = Lesson | QuizQuestion
Values = dict[str, Any]


def row_of(proposal: Proposal, *, lock: bool = False) -> Row:
    """The lesson or the question that it is for, as it is now."""
    if proposal.lesson_id is not None:
        lessons = Lesson.objects.select_related("course")
        if lock:
            lessons = lessons.select_for_update(no_key=True, of=("self",))
        return lessons.get(pk=proposal.lesson_id)
    questions = QuizQuestion.objects.select_related("quiz__lesson")
    if lock:
        questions = questions.select_for_update(no_key=True, of=("self",))
    return questions.get(pk=proposal.question_id or 0)


def source_hash_of(row: Row) -> str:
    """What a proposal's `source_hash` would be now; blank where none can be asked
    for."""
    if isinstance(row, Lesson):
        return lesson_hash(row)
    try:
        return read_question(row).hash(lesson_hash(row.quiz.lesson))
    except BadQuestion:
        return ""


def summary_in_use(lesson_id: int, language: str) -> Values | None:
    rows = LessonSummary.objects.filter(lesson=lesson_id, language=language)
    return rows.values(*SUMMARY_FIELDS).first()


def present(row: Row, language: str) -> Values | None:
    """What stands now where a proposal would: in its shape, None for nothing."""
    if isinstance(row, Lesson):
        return summary_in_use(row.pk, language)
    return {name: getattr(row, name) for name in QUESTION_FIELDS}


def proposed(proposal: Proposal) -> Values:
    """The columns that applying it writes. A question's key is none of them."""
    content = proposal.content
    if proposal.kind == ProposalKind.SUMMARY:
        return {name: content[name] for name in SUMMARY_FIELDS}
    return {
        "question": content["question"],
        "options": [option["text"] for option in in_order(content["options"])],
        "explanation": content["explanation"],
        "difficulty": content["difficulty"],
    }


def in_order(options: list[Values]) -> list[Values]:
    """Options in the order of their letters, which is that of the question."""
    return sorted(options, key=lambda option: str(option["id"]))


def write(row: Row, language: str, values: Values | None) -> None:
    """Put these columns there; None takes a summary out of use."""
    if not isinstance(row, Lesson):
        for name, value in (values or {}).items():
            setattr(row, name, value)
        row.save(update_fields=list(values or {}))
    elif values is None:
        LessonSummary.objects.filter(lesson=row.pk, language=language).delete()
    else:
        LessonSummary.objects.update_or_create(
            lesson=row, language=language, defaults=values
        )
