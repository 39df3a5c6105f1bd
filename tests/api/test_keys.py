"""Making keys, and how they are kept."""

import json
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches.models import ApiKey, AuditEntry
from batches.services.api_keys import create_api_key, find_api_key, revoke_api_key
from tests.api.conftest import Caller

pytestmark = pytest.mark.django_db


def run(*args: str) -> tuple[str, str]:
    """What the command prints on stdout and on stderr."""
    out, err = StringIO(), StringIO()
    call_command("create_api_key", *args, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_prints_the_key_alone_on_stdout():
    out, err = run("nightly", "--scopes", "read,submit")

    key = ApiKey.objects.get()
    assert find_api_key(out.strip()) == key
    assert key.scopes == ["read", "submit"]
    assert "nightly may read, submit" in err
    assert out.strip() not in err


def test_the_command_prints_one_json_object():
    out, _ = run("nightly", "--scopes=read", "--json")

    assert list(json.loads(out)) == ["key"]
    assert find_api_key(json.loads(out)["key"]) == ApiKey.objects.get()


def test_the_printed_key_opens_the_api(anonymous):
    out, _ = run("nightly", "--json")

    assert anonymous.get("", X_API_Key=json.loads(out)["key"]).status_code == 200


def test_owner_and_end_are_kept(make_user):
    amina = make_user("amina")

    run("nightly", "--owner", "amina", "--expires-days", "30")

    key = ApiKey.objects.get()
    assert key.owner == amina
    assert key.expires_at == key.created_at + timedelta(days=30)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nightly", "--scopes", "read,fly"], "There is no scope 'fly'"),
        (["nightly", "--scopes", ""], "There is no scope ''"),
        (["nightly", "--scopes", "READ"], "There is no scope 'READ'"),
        (["taken"], "There is a key named 'taken' already"),
        ([" taken "], "There is a key named 'taken' already"),
        ([""], "The name '' cannot be used"),
        (["a\nb"], "cannot be used"),
        (["x" * 101], "1 to 100 characters"),
        (["nightly", "--owner", "nobody"], "There is no user 'nobody'"),
        (["nightly", "--owner", "gone"], "'gone' is not active"),
        (["nightly", "--expires-days", "0"], "--expires-days"),
        (["nightly", "--expires-days", "-1"], "--expires-days"),
        (["nightly", "--expires-days", "x"], "--expires-days"),
        (["nightly", "--expires-days", "99999999999"], "cannot expire"),
    ],
)
def test_what_cannot_be_a_key_is_refused_in_one_sentence(args, words, make_user):
    create_api_key("taken", ["read"], by="test")
    gone = make_user("gone")
    gone.is_active = False
    gone.save()

    with pytest.raises(CommandError, match="(?s).*") as refused:
        run(*args)

    assert words in str(refused.value)
    assert "\n" not in str(refused.value).strip()
    assert ApiKey.objects.count() == 1


def test_the_secret_is_nowhere_in_the_database():
    _, text = create_api_key("nightly", ["admin"], by="test")
    prefix, _, secret = text.partition(".")

    row = ApiKey.objects.values().get()
    entry = AuditEntry.objects.values().get()

    assert row["prefix"] == prefix
    assert secret not in f"{row} {entry}"
    assert str(ApiKey.objects.get()) == "nightly"


def test_making_and_revoking_are_in_the_audit_log():
    key, _ = create_api_key("nightly", ["read"], by="amina")
    revoke_api_key(key, by="hodan")
    revoke_api_key(key, by="hodan")

    acts = AuditEntry.objects.order_by("pk").values_list("action", "actor", "target")
    assert list(acts) == [
        ("api_key.create", "amina", "nightly"),
        ("api_key.revoke", "hodan", "nightly"),
    ]


def test_a_key_works_until_the_moment_it_expires():
    with time_machine.travel("2026-03-01T00:00:00Z", tick=False) as clock:
        _, text = create_api_key("short", ["read"], by="test", expires_days=1)
        clock.shift(timedelta(hours=23, minutes=59, seconds=59))
        assert find_api_key(text)
        clock.shift(timedelta(seconds=1))
        assert find_api_key(text) is None


def test_the_last_use_is_noted_at_most_once_a_minute():
    key, text = create_api_key("busy", ["read"], by="test")
    with time_machine.travel("2026-03-01T00:00:00Z", tick=False) as clock:
        find_api_key(text)
        first = timezone.now()
        clock.shift(timedelta(seconds=59))
        with CaptureQueriesContext(connection) as captured:
            find_api_key(text)
        key.refresh_from_db()
        assert (len(captured), key.last_used_at) == (1, first)
        clock.shift(timedelta(seconds=1))
        find_api_key(text)
        key.refresh_from_db()
        assert key.last_used_at == first + timedelta(minutes=1)


def test_a_wrong_key_is_no_use():
    key, text = create_api_key("quiet", ["read"], by="test")

    find_api_key(text[:-1] + "~")
    key.refresh_from_db()

    assert key.last_used_at is None


def test_a_key_ends_with_its_owner(make_user):
    hodan = make_user("hodan")
    _, text = create_api_key("hers", ["read"], by="test", owner=hodan)

    hodan.delete()

    assert find_api_key(text) is None


def test_a_key_shows_in_no_answer_and_no_log(anonymous: Caller, caplog):
    _, text = create_api_key("nightly", ["read"], by="test")

    answers = [
        anonymous.get(path, X_API_Key=text).content.decode()
        for path in ("", "abc", "?limit=0")
    ]
    answers.append(anonymous.post("translation", X_API_Key=text).content.decode())

    assert text.partition(".")[2] not in caplog.text + "".join(answers)


@pytest.mark.parametrize("scopes", [[], ["everything"], ["READ", ""]])
def test_words_that_are_no_scopes_grant_nothing(anonymous, scopes):
    _, text = create_api_key("odd", ["read"], by="test")
    ApiKey.objects.update(scopes=scopes)

    assert anonymous.get("", X_API_Key=text).status_code == 403
