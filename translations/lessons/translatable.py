"""The fields of lessons that are translated."""

from django.utils.translation import gettext as _

from translations.lessons.models import Lesson, LessonType
from translations.registry import register


def lesson_context(lesson: Lesson) -> dict[str, str]:
    return {"course": lesson.course.title, "lesson": lesson.title}


def skip_lesson_field(lesson: Lesson, field: str) -> str | None:
    if field == "body" and lesson.lesson_type == LessonType.QUIZ:
        return _("body of a quiz lesson (JSON, not prose)")
    return None


register(
    Lesson,
    fields=["title", "description", "body"],
    source_language="source_language",
    formats={"description": "text", "body": "body_format"},
    context=lesson_context,
    skip=skip_lesson_field,
    select_related=["course"],
    group="course",
    external_id="external_id",
    importer="lessons",
)
