"""Files of requests in the admin: upload, price, run, answers."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from batches.admin.display import list_url, row_url
from batches.models import AuditEntry, Run
from tests.driving import work_off
from tests.translations.files.conftest import jsonl, request_line
from translations.files.models import RequestFile

pytestmark = pytest.mark.django_db

UPLOAD = reverse("admin:translations_files_requestfile_upload")


@pytest.fixture(autouse=True)
def static_root(settings, tmp_path):
    """Whitenoise warns of a directory for static files that is not there."""
    settings.STATIC_ROOT = tmp_path


def url_of(name, *args):
    return reverse(f"admin:translations_files_requestfile_{name}", args=args)


def upload(client, data, name="mine.jsonl", **given):
    file = SimpleUploadedFile(name, data)
    return client.post(UPLOAD, {"file": file, **given})


def test_an_upload_leads_to_its_price_its_run_and_its_answers(admin_client, sandbox):
    html = admin_client.get(list_url(RequestFile)).content.decode()
    assert UPLOAD in html
    said = upload(admin_client, jsonl(request_line("b"), request_line("a", "Hi")))
    file = RequestFile.objects.get()
    assert said.url == url_of("start", file.pk)
    assert file.owner.username == "admin"

    html = admin_client.get(said.url).content.decode()
    facts = dict(re.findall(r"<dt>([^<]+)</dt><dd><bdi>([^<]+)</bdi>", html))
    assert facts["Requests (items)"] == "2"
    assert facts["Worst case, reserved"].startswith("$0.0")
    key = re.search(r'name="form_key" value="([^"]+)"', html)[1]
    admin_client.post(said.url, {"form_key": key})
    assert Run.objects.get().options["file"] == file.pk
    work_off()

    html = admin_client.get(row_url(RequestFile, file.pk)).content.decode()
    assert str(Run.objects.get()) in html
    answers = admin_client.get(url_of("answers", file.pk, "jsonl"))
    lines = b"".join(answers.streaming_content).decode().splitlines()
    assert [line.count('"error":null') for line in lines] == [1, 1]
    assert answers["Content-Disposition"] == (
        f'attachment; filename="answers-{file.pk}.jsonl"'
    )
    actions = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["file.import", "run.start", "file.export"]


def test_bad_lines_are_shown_in_a_table_and_escaped(admin_client):
    said = upload(admin_client, jsonl({**request_line(), "url": "<b>"}, b"{\n"))

    html = said.content.decode()
    assert "Nothing of it was kept" in html
    assert "“&lt;b&gt;”" in html
    assert "This is not JSON" in html
    assert not RequestFile.objects.exists()


def test_a_table_needs_its_prompt(admin_client):
    html = upload(admin_client, b"a\n1\n", "mine.csv").content.decode()
    assert "say what is asked of each row with a prompt" in html

    upload(admin_client, b"a\n1\n", "mine.csv", prompt="Say $a", output_limit=9)

    assert RequestFile.objects.get().prompt == "Say $a"


def test_an_empty_upload_says_what_is_missing(admin_client):
    html = admin_client.post(UPLOAD, {}).content.decode()

    assert "This field is required" in html


def test_a_file_is_deleted_with_its_lines_counted_and_told(admin_client, bring):
    file = bring(request_line("a"), request_line("b"))
    url = url_of("delete", file.pk)

    assert "2 requests and their answers" in admin_client.get(url).content.decode()
    admin_client.post(url, {"post": "yes"})

    assert not RequestFile.objects.exists()
    assert AuditEntry.objects.filter(action="file.delete").exists()


def test_rights_are_asked_on_every_page(client, django_user_model, bring):
    file = bring(request_line("a"))
    user = django_user_model.objects.create_user("eve", is_staff=True)
    client.force_login(user)
    pages = [UPLOAD, url_of("start", file.pk), url_of("answers", file.pk, "csv")]

    assert [client.get(page).status_code for page in pages] == [403, 403, 403]

    user.user_permissions.add(Permission.objects.get(codename="view_requestfile"))
    codes = [client.get(page).status_code for page in pages]
    assert codes == [403, 403, 200]
    assert (
        "Start a run" not in client.get(row_url(RequestFile, file.pk)).content.decode()
    )


@pytest.mark.parametrize("name", ["start", "answers"])
def test_what_is_not_there_is_not_found(admin_client, bring, name):
    file = bring(request_line("a"))
    more = ["xml"] if name == "answers" else []
    wrong = file.pk if more else file.pk + 1

    assert admin_client.get(url_of(name, wrong, *more)).status_code == 404
