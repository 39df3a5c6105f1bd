"""The import wizard: upload, columns, a look at it, and then the good rows."""

import csv
import io
import json
import os
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile

from batches.admin.display import list_url
from batches.models import AuditEntry
from translations.admin import importing
from translations.lessons.models import Lesson, QuizQuestion

pytestmark = pytest.mark.django_db

GOOD = {
    "id": "l1",
    "course_id": "c1",
    "title": "Biyo",
    "body": "Biyaha kari.",
    "source_language": "so",
}
BAD = GOOD | {"id": "l2", "source_language": "klingon"}


@pytest.fixture(autouse=True)
def spool(settings, tmp_path):
    settings.SPOOL_DIR = tmp_path / "spool"
    return settings.SPOOL_DIR / "imports"


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_csv(header, *rows, sign=","):
    out = io.StringIO()
    csv.writer(out, delimiter=sign).writerows([header, *rows])
    return out.getvalue().encode()


def upload(client, data, name="lessons.jsonl", model=Lesson):
    """Upload a file; returns the address of the next page, or the page with errors."""
    file = SimpleUploadedFile(name, data)
    response = client.post(f"{list_url(model)}import/", {"file": file})
    if response.status_code != 302:
        return response.content.decode()
    return response.url


def told(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_a_file_is_looked_at_before_anything_is_imported(admin_client, page, spool):
    url = upload(admin_client, jsonl(GOOD, BAD))

    html = page(url)

    assert "Import 1 lesson<" in html
    assert "Biyaha kari." in html
    for cell in ("source_language", "“klingon”", "It is no language tag such as"):
        assert cell in html
    assert not Lesson.objects.exists()
    (file,) = spool.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes() == jsonl(GOOD, BAD)


def test_the_good_rows_are_imported_and_the_bad_ones_listed(
    admin_client, admin_user, page, spool
):
    url = upload(admin_client, jsonl(GOOD, BAD))

    after = admin_client.post(url, {"import": "1"})
    html = page(after.url)

    assert Lesson.objects.get().external_id == "l1"
    assert told(after) == ["Imported 1 lesson."]
    assert "“klingon”" in html
    assert "Import again" in html
    assert list(spool.iterdir()) == []
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target) == ("import.lessons", "lessons.jsonl")
    assert entry.after == {"created": 1, "updated": 0, "unchanged": 0, "refused": 1}


def test_without_bad_rows_the_list_is_shown(admin_client):
    url = upload(admin_client, jsonl(GOOD))

    after = admin_client.post(url, {"import": "1"})

    assert after.url == list_url(Lesson)


def test_two_clicks_import_once(admin_client, page):
    url = upload(admin_client, jsonl(GOOD, BAD))

    admin_client.post(url, {"import": "1"})
    second = admin_client.post(url, {"import": "1"})

    assert second.status_code == 200  # what was imported
    assert "What was imported" in second.content.decode()
    assert AuditEntry.objects.count() == 1


def test_a_file_that_another_click_has_taken_is_told(admin_client, spool):
    url = upload(admin_client, jsonl(GOOD))
    for file in spool.iterdir():
        file.rename(file.with_suffix(".taken"))

    after = admin_client.post(url, {"import": "1"})

    assert "This upload is no longer here" in told(after)[0]
    assert not Lesson.objects.exists()


def test_columns_of_a_csv_are_known_by_name_however_written(admin_client, page):
    data = as_csv(["ID", "Course ID", "Title", "Notes"], ["l1", "c1", "Biyo", "x"])
    url = upload(admin_client, data, "lessons.csv")

    html = page(url)
    admin_client.post(url, {"import": "1"})

    for field in ("id", "course_id", "title"):
        assert f'<option value="{field}" selected>' in html
    assert "Import 1 lesson<" in html
    assert Lesson.objects.get().title == "Biyo"


def test_columns_with_other_names_are_mapped_by_hand(admin_client, page):
    header = ["Kood", "Koorso", "Cinwaan", "Qoraal"]
    data = as_csv(header, ["l1", "c1", "Biyo", "Biyaha kari."], sign=";")
    url = upload(admin_client, data, "lessons.csv")
    before = page(url)

    fields = ["id", "course_id", "title", ""]
    mapping = {f"column_{n}": field for n, field in enumerate(fields)}
    checked = admin_client.post(url, mapping | {"check": "1"})
    after = page(checked.url)
    admin_client.post(url, {"import": "1"})

    assert "Say which column is id, course_id, title; every row needs it." in before
    assert "Import 1 lesson<" in after
    lesson = Lesson.objects.get()
    assert (lesson.external_id, lesson.title, lesson.body) == ("l1", "Biyo", None)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (["id", "id", "title"], "Two columns are id; choose one of them."),
        (["id", "course_id", "colour"], "colour is not one of the available choices"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(admin_client, fields, sentence):
    data = as_csv(["id", "course_id", "title"], ["l1", "c1", "Biyo"])
    url = upload(admin_client, data, "lessons.csv")

    mapping = {f"column_{n}": field for n, field in enumerate(fields)}
    response = admin_client.post(url, mapping | {"check": "1"})

    assert sentence in response.content.decode()


def test_a_mapping_changed_after_the_look_is_looked_at_before_the_import(
    admin_client, page
):
    data = as_csv(["id", "course_id", "title", "x"], ["l1", "c1", "Biyo", "Qoraal"])
    url = upload(admin_client, data, "lessons.csv")
    page(url)
    fields = ["id", "course_id", "title", "body"]
    form = {f"column_{n}": field for n, field in enumerate(fields)} | {"import": "1"}

    first = admin_client.post(url, form)
    assert (first.url, Lesson.objects.count()) == (url, 0)
    assert "You changed the columns." in told(first)[0]
    admin_client.post(url, form)

    assert Lesson.objects.get().body == "Qoraal"


def test_an_import_without_a_needed_column_is_not_begun(admin_client):
    url = upload(admin_client, as_csv(["Kood"], ["l1"]), "lessons.csv")
    admin_client.get(url)

    after = admin_client.post(url, {"import": "1"})

    assert after.url == url
    assert not Lesson.objects.exists()


def test_quiz_questions_are_imported_for_lessons_that_are_there(
    admin_client, page, make_lesson
):
    make_lesson(external_id="l1")
    row = {"id": "q1", "lesson_id": "l1", "question": "Maxaa?"}
    row |= {"options": ["a", "b"], "correct_answer": 1}
    data = jsonl(row, row | {"id": "q2", "lesson_id": "none"})
    url = upload(admin_client, data, "quizzes.jsonl", QuizQuestion)

    html = page(url)
    admin_client.post(url, {"import": "1"})

    assert "There is no such lesson; import the lessons first." in html
    assert QuizQuestion.objects.get().external_id == "q1"


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("x.exe", b"MZ", "x.exe is neither CSV nor JSON Lines"),
        ("x.csv", b"", "The submitted file is empty."),
    ],
)
def test_a_file_that_is_none_is_refused_at_once(admin_client, name, data, sentence):
    assert sentence in upload(admin_client, data, name)


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("x.csv", b"id,title\n\xff", "x.csv is not UTF-8: byte 0xff on line 2."),
        ("x.jsonl", b'[{"id": 1}]', "x.jsonl is one JSON array"),
        ("x.csv", b"\n\n", "x.csv has 0 columns; it must have 1 to 200."),
        ("x.csv", b'"id,title\n', "The first line, which names the columns"),
        ("x.csv", b"a," * 300 + b"\n", "x.csv has 301 columns"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(
    admin_client, spool, name, data, sentence
):
    url = upload(admin_client, data, name)

    after = admin_client.get(url)

    assert after.url == f"{list_url(Lesson)}import/"
    assert sentence in told(after)[0]
    assert list(spool.iterdir()) == []


def test_a_file_that_is_too_large_is_refused_with_its_size(
    admin_client, monkeypatch, spool
):
    monkeypatch.setattr(importing, "MOST_BYTES", 10)

    html = upload(admin_client, jsonl(GOOD))

    assert "at most 10\xa0bytes can be imported here" in html
    assert not spool.exists()


def test_cancelling_leaves_nothing(admin_client, spool):
    url = upload(admin_client, jsonl(GOOD))

    after = admin_client.post(url, {"cancel": "1"})

    assert after.url == list_url(Lesson)
    assert list(spool.iterdir()) == []
    assert not Lesson.objects.exists()


def test_an_upload_is_of_the_session_that_made_it(
    admin_client, client, django_user_model
):
    url = upload(admin_client, jsonl(GOOD))
    client.force_login(
        django_user_model.objects.create_superuser("hodan", password="x")
    )

    seen, imported = client.get(url), client.post(url, {"import": "1"})

    for response in (seen, imported):
        assert response.url == f"{list_url(Lesson)}import/"
    assert not Lesson.objects.exists()


def test_an_upload_of_lessons_is_none_of_quizzes(admin_client):
    token = upload(admin_client, jsonl(GOOD)).split("/")[-2]

    after = admin_client.get(f"{list_url(QuizQuestion)}import/{token}/")

    assert "This upload is no longer here" in told(after)[0]


@pytest.mark.parametrize("token", ["x", "..", "%2e%2e%2fx", "x" * 500])
def test_a_token_that_is_none_is_told(admin_client, token):
    after = admin_client.get(f"{list_url(Lesson)}import/{token}/")

    assert after.status_code in (302, 404)


def test_a_session_that_ended_in_the_middle_imports_nothing(admin_client, admin_user):
    url = upload(admin_client, jsonl(GOOD))
    admin_client.logout()

    to_login = admin_client.post(url, {"import": "1"})
    admin_client.force_login(admin_user)
    after = admin_client.get(url)

    assert to_login.url.startswith("/admin/login/?next=")
    assert "This upload is no longer here" in told(after)[0]
    assert not Lesson.objects.exists()


def test_what_nobody_came_back_for_is_removed_with_the_next_upload(admin_client, spool):
    upload(admin_client, jsonl(GOOD))
    (old,) = spool.iterdir()
    os.utime(old, (0, 0))

    upload(admin_client, jsonl(GOOD))

    assert len(list(spool.iterdir())) == 1
    assert not old.exists()


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("model", [Lesson, QuizQuestion])
def test_the_template_can_be_imported_as_it_is(
    admin_client, page, make_lesson, model, suffix
):
    make_lesson(external_id="lesson-1")
    template = admin_client.get(f"{list_url(model)}import/template.{suffix}")
    name = template["Content-Disposition"].split('"')[1]

    url = upload(admin_client, template.content, name, model)
    html = page(url)
    admin_client.post(url, {"import": "1"})

    assert Path(name).suffix == f".{suffix}"
    assert "Errors" not in html
    assert model.objects.filter(external_id__endswith="-1").exists()


def test_it_needs_the_permission_to_add_and_to_change(client, django_user_model):
    user = django_user_model.objects.create_user("sahra", is_staff=True)
    client.force_login(user)
    pages = ["import/", "import/x/", "import/template.csv"]

    for codename in ("view_lesson", "add_lesson"):
        user.user_permissions.add(Permission.objects.get(codename=codename))
        for end in pages:
            assert client.get(f"{list_url(Lesson)}{end}").status_code == 403
    listed = client.get(list_url(Lesson)).content.decode()
    user.user_permissions.add(Permission.objects.get(codename="change_lesson"))
    offered = client.get(list_url(Lesson)).content.decode()

    assert ">Import<" not in listed
    assert ">Import<" in offered
    assert client.get(f"{list_url(Lesson)}import/").status_code == 200


def test_values_are_escaped_and_pages_have_no_inline_script(admin_client, page):
    evil = "<script>alert(1)</script>"
    rows = [GOOD | {"title": evil}, BAD | {"source_language": evil}]
    pages = [page(f"{list_url(Lesson)}import/")]
    url = upload(admin_client, jsonl(*rows), f"{evil}.jsonl".replace("/", "_"))
    pages.append(page(url))
    pages.append(page(admin_client.post(url, {"import": "1"}).url))

    for html in pages:
        assert "<script>" not in html
        assert "style=" not in html
