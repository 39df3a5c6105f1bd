"""The admin's lists of content, which may be very long."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.translations.publishing import make_lesson
from translations.lessons.models import Course, Quiz, QuizQuestion

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("name", ["lesson", "quiz", "quizquestion"])
def test_a_list_is_put_in_order_by_columns_of_its_own_table(name, admin_client):
    quiz = Quiz.objects.create(external_id="q", lesson=make_lesson(), title="Hurdo")
    QuizQuestion.objects.create(external_id="qq", quiz=quiz, question="Immisa?")
    url = reverse(f"admin:translations_lessons_{name}_changelist")

    with CaptureQueriesContext(connection) as asked:
        admin_client.get(url)

    table = f'"translations_lessons_{name}"'
    (page,) = [
        one["sql"].split(" ORDER BY ")[1].split(" LIMIT ")[0].split(", ")
        for one in asked
        if f"FROM {table}" in one["sql"] and "ORDER BY" in one["sql"]
        if f'{table}."position"' in one["sql"].split(" ORDER BY ")[1]
    ]
    assert len(page) == 3
    assert all(column.startswith(f"{table}.") for column in page), page


def test_lessons_of_a_course_stand_together_and_in_their_order(admin_client):
    late = make_lesson("Late", course="a", position=2)
    other = make_lesson("Other", course="b", position=1)
    early = make_lesson("Early", course="a", position=1)
    Course.objects.filter(external_id="a").update(position=9)

    page = admin_client.get(reverse("admin:translations_lessons_lesson_changelist"))

    assert list(page.context["cl"].result_list) == [early, late, other]
