import pytest
from django.contrib.auth.models import Permission

from batches.admin.display import list_url, row_url
from translations.lessons.models import Lesson
from translations.models import (
    DraftPart,
    Origin,
    ReviewStatus,
    Translation,
    TranslationVersion,
)

pytestmark = pytest.mark.django_db


def test_a_translation_stands_beside_its_source_in_its_own_direction(
    page, make_lesson, make_translation
):
    unit = make_translation(make_lesson("Hurdada ilmaha"), text="نوم الطفل")

    html = page(row_url(Translation, unit.pk))

    source = '<div class="prose" dir="ltr" lang="so">Hurdada ilmaha</div>'
    text = '<div class="prose" dir="rtl" lang="ar">نوم الطفل</div>'
    assert html.index("side-by-side") < html.index(source) < html.index(text)
    assert "Version 1, published: Arabic" in html


@pytest.mark.parametrize(
    ("language", "direction"),
    [("ar", "rtl"), ("fa", "rtl"), ("ur", "rtl"), ("he", "rtl"), ("en", "ltr")],
)
def test_every_text_has_its_language_and_direction(
    page, make_lesson, make_translation, language, direction
):
    unit = make_translation(make_lesson(), language=language)

    for row in (unit, unit.latest):
        html = page(row_url(type(row), row.pk))
        assert f'dir="{direction}" lang="{language}"' in html


def test_findings_are_told_in_full(page, make_lesson, make_translation):
    findings = [
        {
            "code": "number_mismatch",
            "severity": "error",
            "template": "The number %(number)s is missing.",
            "params": {"number": "37"},
            "message": "as it was stored",
            "segment": "4",
        },
        {"code": "of_old", "severity": "warning", "message": "An old sentence."},
    ]
    unit = make_translation(make_lesson(), findings=findings, errors=1, score=49)

    html = page(row_url(Translation, unit.pk))

    assert "number_mismatch" in html
    assert "The number 37 is missing." in html
    assert "An old sentence." in html
    assert "the whole text" in html


def test_versions_stand_in_order_with_their_marks(
    page, make_lesson, make_translation, django_user_model
):
    unit = make_translation(make_lesson(), is_sandbox=True)
    author = django_user_model.objects.create_user("faadumo")
    second = TranslationVersion.objects.create(
        translation=unit,
        number=2,
        text="نوم هادئ",
        source_hash="x",
        origin=Origin.PERSON,
        author=author,
        score=100,
        checks_version=1,
    )
    Translation.objects.filter(pk=unit.pk).update(
        latest=second, status=ReviewStatus.PENDING_REVIEW
    )

    html = page(row_url(Translation, unit.pk))

    assert "Machine: gpt-4o-mini" in html
    assert "Person: faadumo" in html
    assert html.index("Machine:") < html.index("Person:")
    assert "published, sandbox" in html
    assert "Version 2: Arabic" in html
    assert "Version 1, published, pretended by the sandbox: Arabic" in html
    assert "To review" in html


def test_a_stale_translation_says_so(page, make_lesson, make_translation):
    unit = make_translation(make_lesson())
    Translation.objects.filter(pk=unit.pk).update(is_stale=True)

    assert "The source has changed since" in page(row_url(Translation, unit.pk))
    assert "out of date" in page(list_url(Translation))


def test_a_draft_shows_the_parts_that_are_there(
    page, make_lesson, make_item, make_translation
):
    lesson = make_lesson()
    unit = make_translation(lesson, field="body")
    TranslationVersion.objects.all().delete()
    Translation.objects.filter(pk=unit.pk).update(
        latest=None,
        published=None,
        status=ReviewStatus.DRAFT,
        parts_total=3,
        parts_done=1,
    )
    DraftPart.objects.create(
        translation=unit,
        source_hash="x",
        number=2,
        total=3,
        text="الجزء الثاني",
        segments=[],
        item=make_item(subject=lesson),
    )

    html = page(row_url(Translation, unit.pk))

    assert "1 of 3 parts are there." in html
    assert "Part 2 of 3: Arabic" in html
    assert "الجزء الثاني" in html
    assert "Incomplete" in page(list_url(Translation))


def test_a_deleted_source_is_said_so(page, make_lesson, make_translation):
    lesson = make_lesson()
    unit = make_translation(lesson)
    lesson.delete()

    html = page(row_url(Translation, unit.pk))

    assert "The source is gone, or you may not see it." in html
    assert "نوم الطفل" in html


def test_the_source_is_hidden_from_those_who_may_not_see_it(
    client, django_user_model, make_lesson, make_translation
):
    unit = make_translation(make_lesson("Sir qarsoon"))
    staff = django_user_model.objects.create_user("sahra", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_translation"))
    client.force_login(staff)

    html = client.get(row_url(Translation, unit.pk)).content.decode()

    assert "نوم الطفل" in html
    assert "Sir qarsoon" not in html


@pytest.mark.parametrize(
    "query",
    [
        {"language": "ar"},
        {"field": "title"},
        {"status__exact": "published"},
        {"is_stale__exact": "0"},
    ],
)
def test_the_list_is_filtered(page, make_lesson, make_translation, query):
    wanted = make_translation(make_lesson(), language="ar", field="title")
    other = make_translation(make_lesson(), language="en", field="body")
    Translation.objects.filter(pk=other.pk).update(
        status=ReviewStatus.REJECTED, is_stale=True
    )

    html = page(list_url(Translation, **query))

    assert row_url(Translation, wanted.pk) in html
    assert row_url(Translation, other.pk) not in html


def test_a_translation_is_found_by_the_beginning_of_its_contents_key(
    page, make_lesson, make_translation
):
    unit, other = make_translation(make_lesson()), make_translation(make_lesson())
    Translation.objects.filter(pk=unit.pk).update(object_id="uuid-7f3a")

    html = page(list_url(Translation, q="uuid-7"))

    assert row_url(Translation, unit.pk) in html
    assert row_url(Translation, other.pk) not in html


def test_lists_leave_the_texts_where_they_are(
    admin_client, make_lesson, make_translation, django_assert_max_num_queries
):
    for _ in range(3):
        make_translation(make_lesson())

    for model in (Translation, TranslationVersion, Lesson):
        with django_assert_max_num_queries(8) as captured:
            admin_client.get(list_url(model))
        assert not [q for q in captured if '"spans"' in q["sql"]]
        assert not [q for q in captured if '"body"' in q["sql"]]


def test_a_page_takes_few_queries(
    admin_client, make_lesson, make_translation, django_assert_num_queries
):
    unit = make_translation(make_lesson())
    admin_client.get(row_url(Translation, unit.pk))

    # session, user, unit with two versions, all versions, name, source, parts, history
    with django_assert_num_queries(8):
        admin_client.get(row_url(Translation, unit.pk))
