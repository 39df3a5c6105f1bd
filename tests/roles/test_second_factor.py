"""The second factor: codes of an app, recovery codes, and nothing open before them."""

import re
from base64 import b32encode
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from batches.models import AuditEntry, SecondFactor
from batches.services import second_factor
from batches.services.api_keys import create_api_key
from batches.services.second_factor import code_at, step_of

PAGE = "/second-factor/"
LIST = "/admin/batches/run/"
API = "/api/admin/batch-jobs"


@pytest.fixture(autouse=True)
def no_failures(db):
    cache.clear()


@pytest.fixture
def amina():
    return User.objects.create_superuser("amina", password="right")


@pytest.fixture
def codes(amina):
    """Amina's recovery codes, with a factor that is in force."""
    now = timezone.now() - timedelta(minutes=5)
    factor = second_factor.begin(amina)
    return second_factor.confirm(amina, code_at(factor.secret, step_of(now)), now=now)


def code_of_now(user):
    return code_at(SecondFactor.objects.get(user=user).secret, step_of(timezone.now()))


def signed_in(**given):
    client = Client(**given)
    client.post("/admin/login/", {"username": "amina", "password": "right"})
    return client


# The vectors of RFC 6238, appendix B (SHA-1); of their eight figures ours are the last.
@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_codes_are_those_of_the_standard(seconds, code):
    secret = b32encode(b"12345678901234567890").decode()

    assert code_at(secret, seconds // 30) == code[-6:]


def test_it_is_set_up_with_an_app_and_gives_recovery_codes(amina):
    client = signed_in()
    html = client.get(PAGE).content.decode()
    secret = SecondFactor.objects.get().secret
    assert "<svg" in html
    assert " ".join(re.findall("....", secret)) in html

    done = client.post(PAGE, {"code": code_of_now(amina), "act": "confirm"})

    shown = re.findall(r"<code>([a-z2-7-]{19})</code>", done.content.decode())
    assert len(set(shown)) == 10
    assert client.get(LIST).status_code == 200  # this session is past it already
    again = client.get(PAGE).content.decode()
    assert secret not in again.replace(" ", "")
    assert "10 recovery codes are left" in again
    assert AuditEntry.objects.filter(action="second_factor.confirm").exists()


def test_a_wrong_code_sets_nothing_up(amina):
    client = signed_in()
    client.get(PAGE)

    answer = client.post(PAGE, {"code": "000000", "act": "confirm"})

    assert "not the code of now" in answer.content.decode()
    assert second_factor.factor_of(amina) is None
    assert signed_in().get(LIST).status_code == 200


def test_a_sign_in_gets_nowhere_before_the_code(amina, codes):
    client = signed_in()

    led = client.get(f"{LIST}?q=1")
    api = client.get(API)
    documents = [client.get("/api/docs"), client.get("/api/openapi.json")]

    assert led.status_code == 302
    assert led.url == f"{PAGE}?next=%2Fadmin%2Fbatches%2Frun%2F%3Fq%3D1"
    assert (api.status_code, api.json()["code"]) == (403, "second_factor_required")
    assert [one.url[: len(PAGE)] for one in documents] == [PAGE, PAGE]

    passed = client.post(led.url, {"code": code_of_now(amina)})

    assert passed.url == f"{LIST}?q=1"
    assert client.get(passed.url).status_code == 200
    assert client.get(API).status_code == 200


def test_the_page_before_the_code_shows_nothing_of_the_site(amina, codes):
    html = signed_in().get(PAGE).content.decode()

    assert "Log out" in html
    assert "/admin/password_change/" not in html
    assert "nav-sidebar" not in html


def test_no_code_is_taken_twice(amina, codes):
    code = code_of_now(amina)

    assert signed_in().post(PAGE, {"code": code}).status_code == 302
    assert signed_in().post(PAGE, {"code": code}).status_code == 200


def test_a_code_of_long_ago_or_of_somebody_else_is_not_taken(amina, codes):
    now = timezone.now()
    other = second_factor.begin(User.objects.create_user("cabdi"))
    secret = SecondFactor.objects.get(user=amina).secret

    for code in (
        code_at(secret, step_of(now) - 3),
        code_at(secret, step_of(now) + 3),
        code_at(other.secret, step_of(now)),
        "",
        "١٢٣٤٥٦",
        "x" * 40,
    ):
        assert not second_factor.check(amina, code, now=now)


def test_each_recovery_code_lets_in_once(amina, codes):
    first = signed_in()

    assert first.post(PAGE, {"code": codes[0].upper()}).status_code == 302
    assert first.get(LIST).status_code == 200
    assert signed_in().post(PAGE, {"code": codes[0]}).status_code == 200
    assert signed_in().post(PAGE, {"code": codes[1]}).status_code == 302
    kept = str(SecondFactor.objects.values_list("recovery_digests", flat=True))
    assert not any(code in kept for code in codes)


def test_new_recovery_codes_end_the_old(amina, codes):
    client = signed_in()
    client.post(PAGE, {"code": codes[0]})

    html = client.post(PAGE, {"code": code_of_now(amina), "act": "renew"})

    assert b"Recovery codes" in html.content
    assert not second_factor.check(amina, codes[1], now=timezone.now())


def test_it_is_turned_off_with_a_code_alone(amina, codes):
    client = signed_in()
    client.post(PAGE, {"code": codes[0]})

    client.post(PAGE, {"code": "000000", "act": "remove"})
    assert second_factor.factor_of(amina)
    client.post(PAGE, {"code": codes[1], "act": "remove"})
    assert second_factor.factor_of(amina) is None


def test_guessing_codes_is_slowed_down(amina, codes, settings):
    settings.LOGIN_FAILURES = 3
    client = signed_in()
    for _ in range(3):
        client.post(PAGE, {"code": "000000"})

    refused = client.post(PAGE, {"code": code_of_now(amina)})

    assert refused.status_code == 429
    assert int(refused["Retry-After"]) > 0


def test_nobody_is_led_to_another_site(amina, codes):
    led = signed_in().post(f"{PAGE}?next=https://evil.example/", {"code": codes[0]})

    assert led.url == "/admin/"


def test_a_key_needs_no_second_factor(amina, codes):
    _, text = create_api_key("robot", ["read"], by="test", owner=amina)

    assert Client(headers={"X-API-Key": text}).get(API).status_code == 200
    beside = signed_in(headers={"X-API-Key": text})
    assert beside.get(API).status_code == 200


# --- required of platform admins ------------------------------------------------------


@pytest.fixture
def required(settings):
    settings.SECOND_FACTOR_REQUIRED = True


def test_platform_admins_get_nowhere_without_one(amina, required):
    client = signed_in()

    assert client.get(LIST).url.startswith(PAGE)
    assert client.get("/api/admin/legacy/summary").status_code == 403
    html = client.get(PAGE).content.decode()
    assert "Platform admins need a second factor" in html
    client.post(PAGE, {"code": code_of_now(amina), "act": "confirm"})

    assert client.get(LIST).status_code == 200
    assert client.get("/api/admin/legacy/summary").status_code == 200


def test_it_is_required_of_whoever_has_the_permission(amina, required):
    amina.is_superuser = False
    amina.save()
    assert signed_in().get("/admin/").status_code == 200
    amina.user_permissions.add(Permission.objects.get(codename="platform_admin"))

    assert signed_in().get("/admin/").url.startswith(PAGE)


def test_who_needs_one_cannot_turn_it_off(amina, codes, required):
    client = signed_in()
    client.post(PAGE, {"code": codes[0]})

    assert "Turn it off" not in client.get(PAGE).content.decode()
    client.post(PAGE, {"code": codes[1], "act": "remove"})
    assert second_factor.factor_of(amina)


def test_it_is_not_required_unless_the_setting_says_so(amina):
    assert signed_in().get(LIST).status_code == 200


# --- a lost telephone -----------------------------------------------------------------


def test_the_command_takes_it_away(amina, codes, capsys):
    waiting = signed_in()
    call_command("reset_second_factor", "amina")

    assert "password alone" in capsys.readouterr().out
    assert signed_in().get(LIST).status_code == 200
    assert waiting.get(LIST).status_code == 302  # until the next sign-in
    assert AuditEntry.objects.filter(action="second_factor.remove").exists()
    with pytest.raises(CommandError, match="has no second factor"):
        call_command("reset_second_factor", "amina")
    with pytest.raises(CommandError, match="Nobody is called"):
        call_command("reset_second_factor", "nobody")


def test_the_secret_is_nowhere_in_the_admin(amina, codes):
    client = signed_in()
    client.post(PAGE, {"code": codes[0]})
    secret = SecondFactor.objects.get(user=amina).secret

    for path in ("/admin/", f"/admin/auth/user/{amina.pk}/change/", PAGE):
        assert secret not in client.get(path).content.decode()
