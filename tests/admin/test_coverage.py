"""The page “Coverage”, what it sends, and files out and in."""

import json

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from tests.translations.publishing import answer, make_lesson
from translations.models import Translation

pytestmark = pytest.mark.django_db
PAGE = reverse("admin:translations_coverage")
SEND = reverse("admin:translations_coverage_send")
EXPORT = reverse("admin:translations_coverage_export")
IMPORT = reverse("admin:translations_coverage_import")


def told(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


@pytest.fixture
def staff(client):
    """A client of staff with these permissions alone."""

    def make(*codes):
        user = User.objects.create_user("hodan", password="x", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codes))
        client.force_login(user)
        return client

    return make


def test_each_course_and_language_has_a_bar(page, settings):
    settings.TRANSLATION_PUBLISH = "all"
    answer(make_lesson(description="Biyo"))

    html = page(PAGE)

    assert "50 % of 2 texts are published. Published 1, missing 1." in html
    assert "<bdi>Waalidnimo</bdi> · <bdi>Arabic</bdi>" in html
    assert '<rect class="state-missing" x="50.0" width="50.0"' in html
    assert "Translate 1…" in html
    assert "style=" not in html.partition('id="content-main"')[2]


def test_without_content_it_says_so(page):
    assert "There is nothing to translate" in page(PAGE)


def test_names_are_escaped(page):
    make_lesson(course="<script>x")

    assert "<script>X" not in page(PAGE)
    assert "&lt;Script&gt;X" in page(PAGE)


def test_one_click_leads_to_the_page_with_the_price(admin_client, page, settings):
    settings.TRANSLATION_PUBLISH = "all"
    done, missing = make_lesson("Done"), make_lesson("Missing")
    make_lesson("Elsewhere", course="other")
    answer(done)
    where = {"kind": "lesson", "group": str(done.course_id), "language": "ar"}

    asked = admin_client.post(SEND, where)
    html = page(asked.url)

    assert "Translate 1 lesson" in html
    assert missing.course == done.course
    assert 'value="ar" id="id_languages_1" checked' in html
    assert 'value="en" id="id_languages_0" checked' not in html
    assert "Worst case, reserved" in html
    assert "Start translating" in html


def test_a_language_that_is_not_configured_goes_along(admin_client, page):
    lesson = make_lesson()
    where = {"kind": "lesson", "group": str(lesson.course_id), "language": "fr"}

    html = page(admin_client.post(SEND, where).url)

    assert 'name="other" value="fr"' in html


def test_what_is_no_longer_missing_is_said(admin_client):
    where = {"kind": "lesson", "group": "999", "language": "ar"}

    response = admin_client.post(SEND, where)

    assert (response.url, told(response)) == (
        PAGE,
        ["Nothing is missing here any more."],
    )


@pytest.mark.parametrize(
    "where", [{}, {"kind": "poem", "language": "ar"}, {"kind": "lesson"}]
)
def test_a_click_that_names_nothing_leads_back(admin_client, where):
    assert admin_client.post(SEND, where).url == PAGE
    assert admin_client.get(SEND, where).url == PAGE


@pytest.mark.parametrize(
    ("format", "begins"),
    [
        ("csv", "\ufeffkind,id,field"),
        ("jsonl", '{"kind": "lesson"'),
        ("xliff", "<?xml"),
        ("po", "#"),
    ],
)
def test_each_format_is_downloaded(admin_client, format, begins):
    lesson = make_lesson()
    where = {"kind": "lesson", "group": str(lesson.course_id), "language": "ar"}

    response = admin_client.get(EXPORT, {**where, "format": format})

    assert b"".join(response).decode().startswith(begins)
    assert "lesson-ar." in response["Content-Disposition"]


def test_an_export_of_nothing_is_told(admin_client):
    where = {"kind": "lesson", "language": "ar", "format": "xliff"}

    response = admin_client.get(EXPORT, where)

    assert told(response) == ["There is nothing to translate into this language."]


def rows(admin_client, **changes):
    where = {"kind": "lesson", "language": "ar", "format": "jsonl"}
    lines = b"".join(admin_client.get(EXPORT, where)).decode().splitlines()
    given = [{**json.loads(line), "target": "نوم", **changes} for line in lines]
    return SimpleUploadedFile(
        "back.jsonl", "".join(f"{json.dumps(row)}\n" for row in given).encode()
    )


def test_a_file_is_checked_and_then_taken_back(admin_client):
    make_lesson()

    checked = admin_client.post(
        IMPORT, {"file": rows(admin_client), "only_check": "on"}
    )
    assert "What it would do" in checked.content.decode()
    assert not Translation.objects.exists()
    done = admin_client.post(IMPORT, {"file": rows(admin_client)}).content.decode()

    assert "1 text waits for review." in done
    assert Translation.objects.get().latest.author.username == "admin"


def test_bad_rows_are_shown_escaped(admin_client):
    make_lesson()
    file = rows(admin_client, id="<script>")

    html = admin_client.post(IMPORT, {"file": file}).content.decode()

    assert "There is no lesson with this id." in html
    assert "“&lt;script&gt;”" in html
    assert "“<script>”" not in html


def test_a_file_that_cannot_be_read_is_told_at_its_field(admin_client):
    file = SimpleUploadedFile("back.xlf", b"no xml")

    html = admin_client.post(IMPORT, {"file": file}).content.decode()

    assert "back.xlf is no well-formed XML" in html


def test_who_may_not_see_translations_sees_none_of_it(staff):
    client = staff("view_lesson")

    assert client.get(PAGE).status_code == 403
    assert client.get(EXPORT, {"kind": "lesson", "language": "ar"}).status_code == 403
    assert client.get(IMPORT).status_code == 403


def test_who_may_only_look_can_neither_send_nor_import(staff):
    make_lesson()
    client = staff("view_lesson", "view_translation")

    html = client.get(PAGE).content.decode()

    assert "Export" in html
    assert "Translate 1…" not in html
    assert IMPORT not in html
    where = {"kind": "lesson", "language": "ar"}
    assert client.post(SEND, where).status_code == 403
    assert client.get(IMPORT).status_code == 403
