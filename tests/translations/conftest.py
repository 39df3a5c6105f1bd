"""What tests of translations may ask for."""

import pytest

from translations.lessons.models import Course, Lesson


@pytest.fixture
def course():
    return Course.objects.create(external_id="course-1", title="Akadeemiyadda")


@pytest.fixture
def lesson_with(course):
    """Lessons of one course that differ in their bodies."""

    def make(body, format="html"):
        return Lesson.objects.create(
            course=course,
            external_id=f"lesson-{Lesson.objects.count()}",
            title="Cinwaan",
            body=body,
            body_format=format,
        )

    return make
