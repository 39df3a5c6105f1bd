"""Who may call what: S0.23, S0.42, S0.43, and the scopes of keys."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from batches.models import ApiKey, AuditEntry, Run
from batches.models.api_key import Scope
from batches.services.api_keys import create_api_key, revoke_api_key
from tests.api.conftest import Caller

pytestmark = pytest.mark.django_db

NOBODY = "00000000-0000-0000-0000-000000000000"
# Every address of the family, what a caller who may come in gets there, and the scope.
ADDRESSES = {
    ("POST", "translation"): (200, Scope.SUBMIT),
    ("POST", "summary"): (200, Scope.SUBMIT),
    ("POST", "quiz-improvement"): (200, Scope.SUBMIT),
    ("GET", ""): (200, Scope.READ),
    ("GET", NOBODY): (404, Scope.READ),
    ("GET", "stats"): (200, Scope.READ),
    ("POST", f"{NOBODY}/check-status"): (404, Scope.OPERATE),
    ("POST", f"{NOBODY}/process-results"): (404, Scope.OPERATE),
    ("POST", f"{NOBODY}/cancel"): (404, Scope.OPERATE),
    ("POST", "check-all-status"): (200, Scope.OPERATE),
}
every_address = pytest.mark.parametrize(
    ("method", "path"), ADDRESSES, ids=lambda text: text or "list"
)


def send(caller: Caller, method: str, path: str, **headers: str):
    return caller.get(path, **headers) if method == "GET" else caller.post(path)


def test_the_table_names_every_address_of_the_family(document):
    named = {
        (method, f"/api/admin/batch-jobs/{path}".rstrip("/"))
        for method, path in ADDRESSES
    }
    documented = {
        (method.upper(), path.replace("{public_id}", NOBODY))
        for path, operations in document["paths"].items()
        for method in operations
        if path.startswith("/api/admin/batch-jobs")
    }

    assert len(named) == 10
    assert named == documented


# --- 401 ------------------------------------------------------------------------------


@pytest.fixture
def stranger(request, document, make_user, signed_in, anonymous):
    """Somebody who may not come in, by the name of the reason."""
    client = Client()
    match request.param:
        case "anonymous":
            return anonymous
        case "not staff":
            return signed_in(is_staff=False)
        case "session expired":
            caller = signed_in()
            Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
            return caller
        case "staff flag taken away":
            caller = signed_in()
            user = caller.client.session["_auth_user_id"]
            type(make_user("other")).objects.filter(pk=user).update(is_staff=False)
            return caller
        case "user switched off":
            caller = signed_in()
            user = caller.client.session["_auth_user_id"]
            type(make_user("other")).objects.filter(pk=user).update(is_active=False)
            return caller
        case "wrong key beside a good cookie":
            client.force_login(make_user())
            return Caller(document, with_header(client, "bs_0123456789." + "x" * 43))
        case "wrong bearer beside a good cookie":
            client.force_login(make_user())
            client.defaults["HTTP_AUTHORIZATION"] = "Bearer nothing"
            return Caller(document, client)
    return Caller(document, with_header(client, bad_key(request.param, make_user)))


def with_header(client: Client, text: str) -> Client:
    client.defaults["HTTP_X_API_KEY"] = text
    return client


def bad_key(why: str, make_user) -> str:
    """The text of a key that is refused."""
    owner = make_user("hodan", is_staff=why != "key of somebody who is not staff")
    key, text = create_api_key("bad", ["admin"], by="test", owner=owner)
    match why:
        case "wrong secret":
            return text[:-1] + ("x" if text[-1] != "x" else "y")
        case "unknown prefix":
            return "bs_0000000000" + text[13:]
        case "no key at all":
            return "anything"
        case "empty key":
            return ""
        case "hash of a key":
            return f"{key.prefix}.{key.digest}"
        case "very long key":
            return "bs_" + "0" * 50_000
        case "key that is not text":
            return "bs_\xff\xfe." + "ä" * 43
        case "revoked key":
            revoke_api_key(key, by="test")
        case "expired key":
            ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        case "key of somebody switched off":
            owner.is_active = False
            owner.save()
        case "key of somebody who is not staff":
            pass
        case _:
            raise ValueError(why)
    return text


WITH_KEYS = [
    "wrong secret",
    "unknown prefix",
    "no key at all",
    "empty key",
    "hash of a key",
    "very long key",
    "key that is not text",
    "revoked key",
    "expired key",
    "key of somebody switched off",
    "wrong key beside a good cookie",
    "wrong bearer beside a good cookie",
]
WITHOUT = [
    "anonymous",
    "not staff",
    "session expired",
    "staff flag taken away",
    "user switched off",
    "key of somebody who is not staff",
]


@pytest.mark.parametrize("stranger", [*WITH_KEYS, *WITHOUT], indirect=True)
@every_address
def test_a_stranger_gets_401_everywhere(stranger, method, path, lessons):
    response = send(stranger, method, path)

    assert response.status_code == 401
    assert set(response.json()) == {"error", "code"}
    assert response["WWW-Authenticate"] == "Bearer"
    assert not Run.objects.exists()


@pytest.mark.parametrize("stranger", WITHOUT, indirect=True)
def test_the_sentence_names_the_four_causes(stranger):
    sentence = stranger.get("").json()["error"]

    for cause in (
        "Log in",
        "session may have expired",
        "lack staff status",
        "log out and in again",
    ):
        assert cause in sentence


@pytest.mark.parametrize("stranger", WITH_KEYS, indirect=True)
def test_a_bad_key_is_called_so_without_saying_what_is_wrong_with_it(stranger):
    assert stranger.get("").json()["code"] == "invalid_key"


# --- scopes ---------------------------------------------------------------------------


@pytest.mark.parametrize("scope", Scope)
@every_address
def test_a_key_may_do_what_its_scope_says_and_no_more(with_key, method, path, scope):
    status, needed = ADDRESSES[method, path]
    may = scope in (needed, Scope.ADMIN) or needed == Scope.READ

    response = send(with_key(scope), method, path)

    assert response.status_code == (status if may else 403)
    if not may:
        assert response.json()["code"] == "missing_scope"
        assert f"scope {needed.value}" in response.json()["error"]


def test_scopes_add_up(with_key):
    caller = with_key("submit", "operate")

    assert caller.post("translation").status_code == 200
    assert caller.post("check-all-status").status_code == 200


def test_a_key_may_come_as_a_bearer_token(anonymous):
    _, text = create_api_key("bearer", ["read"], by="test")

    assert anonymous.get("", Authorization=f"Bearer {text}").status_code == 200
    assert anonymous.get("", Authorization=f"bearer {text}").status_code == 200
    assert anonymous.get("", Authorization="Basic eDp5").status_code == 401


def test_a_good_key_is_good_beside_any_cookie(with_key):
    caller = with_key("read")
    caller.client.cookies["sessionid"] = "nonsense"

    assert caller.get("").status_code == 200


# --- sessions -------------------------------------------------------------------------


@every_address
def test_staff_may_do_everything_with_the_csrf_token(signed_in, method, path):
    caller = signed_in()
    caller.client.get("/admin/")  # whose page brings the cookie
    caller.client.defaults["HTTP_X_CSRFTOKEN"] = caller.client.cookies[
        "csrftoken"
    ].value

    assert send(caller, method, path).status_code == ADDRESSES[method, path][0]


@every_address
def test_staff_may_read_but_not_write_without_the_csrf_token(signed_in, method, path):
    response = send(signed_in(), method, path)

    if method == "GET":
        assert response.status_code == ADDRESSES[method, path][0]
    else:
        assert response.status_code == 403
        assert response.json()["code"] == "csrf_failed"
        assert "X-CSRFToken" in response.json()["error"]


def test_a_key_needs_no_csrf_token(document):
    _, text = create_api_key("program", ["submit"], by="test")
    client = Client(enforce_csrf_checks=True, headers={"X-API-Key": text})

    assert Caller(document, client).post("translation").status_code == 200


def test_what_staff_do_is_in_the_audit_log_under_their_name(make_user, document):
    client = Client()
    client.force_login(make_user("hodan"))

    Caller(document, client).post("translation")

    assert Run.objects.get().owner.get_username() == "hodan"
    assert AuditEntry.objects.get().actor == "hodan"


# --- the document ---------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/docs", "/api/openapi.json"])
def test_the_document_is_for_staff(client, make_user, path):
    assert client.get(path).status_code == 302
    client.force_login(make_user("guest", is_staff=False))
    assert client.get(path).status_code == 302
    client.force_login(make_user("amina"))
    assert client.get(path).status_code == 200
