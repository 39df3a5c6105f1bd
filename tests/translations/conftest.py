"""What tests of translations may ask for."""

import pytest

from translations.lessons.models import Course, Lesson


@pytest.fixture
def lesson_with():
    """Lessons of one course that differ in their bodies."""
    course = Course.objects.create(external_id="course-1", title="Akadeemiyadda")

    def make(body, format="html"):
        return Lesson.objects.create(
            course=course,
            external_id=f"lesson-{Lesson.objects.count()}",
            title="Cinwaan",
            body=body,
            body_format=format,
        )

    return make
