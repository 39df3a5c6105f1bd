"""Lessons of one course, and runs that translate them."""

from batches.services.collection import collect_run, start_run
from batches.states import Trigger
from tests.driving import work_off
from translations.lessons.models import Lesson
from translations.models import Translation


def make_lesson(course, number=1, **fields):
    given = {
        "title": "Dhegaysiga ilmahaaga",
        "description": None,
        "body": None,
        "body_format": "html",
    }
    return Lesson.objects.create(
        course=course, external_id=f"lesson-{number}", **given | fields
    )


def collect(*languages, **given):
    """A run over all lessons, collected; returns it."""
    options = {"languages": list(languages), "content": ["translations_lessons.lesson"]}
    run = start_run("translation", options, trigger=Trigger.COMMAND, **given)
    collect_run(run)
    return run


def translate(*languages, **given):
    """A run over all lessons, worked off; returns it."""
    run = collect(*languages, **given)
    work_off()
    run.refresh_from_db()
    return run


def unit(lesson, field, language):
    return Translation.objects.get(
        object_id=str(lesson.pk), field=field, language=language
    )
