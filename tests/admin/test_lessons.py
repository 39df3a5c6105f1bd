import pytest
from django.urls import reverse

from batches.admin.display import list_url, row_url
from translations.lessons.models import Course, Lesson, Module, Quiz, QuizQuestion
from translations.models import Translation

pytestmark = pytest.mark.django_db


def form_of(client, url):
    """The fields of an admin form as a browser would send them back."""
    form = client.get(url).context["adminform"].form
    data = {}
    for field in form:
        value = field.value()
        if hasattr(field.field.widget, "widgets"):
            parts = field.field.widget.decompress(value)
            data |= {f"{field.html_name}_{n}": p or "" for n, p in enumerate(parts)}
        elif value is not False:
            data[field.html_name] = "" if value is None else value
    return data


@pytest.fixture
def rows(make_lesson):
    lesson = make_lesson()
    quiz = Quiz.objects.create(lesson=lesson, external_id="q", title="Imtixaan")
    return {
        Course: lesson.course,
        Module: Module.objects.create(course=lesson.course, title="Koowaad"),
        Lesson: lesson,
        Quiz: quiz,
        QuizQuestion: QuizQuestion.objects.create(
            quiz=quiz, external_id="q1", question="Maxaa?", options=["a", "b"]
        ),
    }


@pytest.mark.parametrize("model", [Course, Module, Lesson, Quiz, QuizQuestion])
def test_content_is_listed_and_edited(admin_client, page, rows, model):
    row = rows[model]
    url = row_url(model, row.pk)
    name = "question" if model is QuizQuestion else "title"

    assert url in page(list_url(model))
    assert page(f"/admin/{model._meta.app_label}/{model._meta.model_name}/add/")
    response = admin_client.post(url, form_of(admin_client, url) | {name: "Cusub"})

    assert response.status_code == 302
    row.refresh_from_db()
    assert getattr(row, name) == "Cusub"


@pytest.mark.parametrize("model", [Module, Quiz, QuizQuestion, Lesson])
def test_a_list_takes_few_queries(
    admin_client, rows, model, django_assert_max_num_queries
):
    with django_assert_max_num_queries(6):
        admin_client.get(list_url(model))


@pytest.mark.parametrize(("before", "after"), [(None, None), ("", ""), ("Qoraal", "")])
def test_what_was_never_written_stays_apart_from_what_is_empty(
    admin_client, make_lesson, before, after
):
    lesson = make_lesson(description=before, body=before)
    url = row_url(Lesson, lesson.pk)

    data = form_of(admin_client, url) | {"description": "", "body": "", "title": "X"}
    admin_client.post(url, data)

    lesson.refresh_from_db()
    assert (lesson.title, lesson.description, lesson.body) == ("X", after, after)


def test_a_lesson_shows_its_translations(page, make_lesson, make_translation):
    lesson = make_lesson()
    unit = make_translation(lesson, language="ar")
    other = make_translation(make_lesson())

    html = page(row_url(Lesson, lesson.pk))

    assert row_url(Translation, unit.pk) in html
    assert "Published" in html
    assert row_url(Translation, other.pk) not in html


def test_a_lesson_without_translations_says_so(page, make_lesson):
    assert "It has not been translated." in page(row_url(Lesson, make_lesson().pk))


@pytest.mark.parametrize("term", ["lesson-x7", "Hurd"])
def test_a_lesson_is_found_by_external_id_and_by_how_its_title_begins(
    page, make_lesson, term
):
    lesson = make_lesson("Hurdada", external_id="lesson-x7")
    other = make_lesson("Nafaqada hurdo", external_id="y")

    html = page(list_url(Lesson, q=term))

    assert row_url(Lesson, lesson.pk) in html
    assert row_url(Lesson, other.pk) not in html


def test_lessons_are_offered_to_quizzes_by_name(admin_client, make_lesson):
    make_lesson("Hurdada")

    response = admin_client.get(
        reverse("admin:autocomplete"),
        {
            "app_label": "translations_lessons",
            "model_name": "quiz",
            "field_name": "lesson",
            "term": "hur",
        },
    )

    assert [row["text"] for row in response.json()["results"]] == ["Hurdada"]
