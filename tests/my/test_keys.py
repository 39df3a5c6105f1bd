"""My keys: made with few rights, shown once, revoked."""

import pytest
from django.test import Client

from batches.models import ApiKey, AuditEntry
from batches.services import api_keys

pytestmark = pytest.mark.django_db

KEYS = "/my/keys/"
FORM = {"name": "laptop", "scopes": ["read", "submit"], "expires_days": "30"}
BATCH = "/api/v1/ai/batch"


def made(client: Client, **changes) -> str:
    """The text of a new key, as the page shows it."""
    html = client.post(KEYS, {**FORM, **changes}).content.decode()
    found = api_keys.KEY.search(html)
    assert found, html
    return found[0]


def test_a_key_is_shown_once_and_works_as_its_owner(mine, amina, ask):
    run = ask(amina, "patience")

    text = made(mine)

    key = ApiKey.objects.get()
    assert (key.name, key.owner, key.scopes) == (
        "amina/laptop",
        amina,
        ["read", "submit"],
    )
    assert (key.expires_at - key.created_at).days == 30
    secret = text.partition(".")[2]
    assert secret not in mine.get(KEYS).content.decode()
    assert AuditEntry.objects.get(action="api_key.create").actor == "amina"
    jobs = Client().get(BATCH, headers={"X-API-Key": text}).json()["jobs"]
    assert [job["jobId"] for job in jobs] == [str(run.public_id)]


def test_a_key_may_no_more_than_was_ticked(mine, amina, ask):
    run = ask(amina, "patience")
    program = Client(headers={"X-API-Key": made(mine, scopes=["read"])})

    answer = program.delete(f"{BATCH}/{run.public_id}")

    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
    assert program.get("/api/admin/batch-jobs").status_code in (401, 403)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": " "}, "This field is required."),
        ({"name": "x" * 61}, "at most 60 characters"),
        ({"name": "a\x00b"}, "Null characters are not allowed."),
        ({"scopes": []}, "This field is required."),
        ({"scopes": ["admin"]}, "Select a valid choice."),
        ({"expires_days": "0"}, "Select a valid choice."),
    ],
)
def test_what_is_wrong_with_a_key_is_said_at_its_field(mine, changes, said):
    html = mine.post(KEYS, {**FORM, **changes}).content.decode()

    assert said in html
    assert not ApiKey.objects.exists()


def test_a_name_is_taken_for_its_owner_alone(mine, theirs):
    made(mine)
    again = mine.post(KEYS, FORM).content.decode()
    made(theirs)

    assert "There is a key named &#x27;amina/laptop&#x27; already" in again
    assert ApiKey.objects.count() == 2


def test_nobody_hoards_keys(mine, monkeypatch):
    monkeypatch.setattr(api_keys, "MOST_OWN_KEYS", 1)
    made(mine)

    refused = mine.post(KEYS, {**FORM, "name": "other"}).content.decode()

    assert "You have 1 keys that work; revoke one" in refused


def test_a_key_is_revoked_after_a_question(mine):
    text = made(mine)
    page = f"{KEYS}{text.partition('.')[0]}/revoke/"

    question = mine.get(page).content.decode()
    still = Client().get(BATCH, headers={"X-API-Key": text}).status_code
    done = mine.post(page, follow=True).content.decode()

    assert "amina/laptop" in question
    assert (still, "is revoked" in done) == (200, True)
    assert Client().get(BATCH, headers={"X-API-Key": text}).status_code == 401
    assert "None yet." in done


def test_the_key_of_another_is_not_there(mine, theirs):
    prefix = made(mine).partition(".")[0]

    assert prefix not in theirs.get(KEYS).content.decode()
    assert theirs.get(f"{KEYS}{prefix}/revoke/").status_code == 404
    assert theirs.post(f"{KEYS}{prefix}/revoke/").status_code == 404
    assert ApiKey.objects.get().revoked_at is None
