"""Headers on the answers that no row of the permission table is of; and cookies."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import path

from batchsite import urls
from tests.processes import clean_environment, manage
from tests.roles.answers import check_answer, policy_of

pytestmark = pytest.mark.django_db


def fails(request):
    raise RuntimeError("secret words")


class WithFault:
    """The site's addresses, and two at which it fails."""

    urlpatterns = [path("fails", fails), path("api/fails", fails), *urls.urlpatterns]


@pytest.mark.parametrize("address", ["/fails", "/api/fails"])
def test_a_fault_of_ours_has_them_too(settings, address):
    settings.ROOT_URLCONF = WithFault

    response = Client(raise_request_exception=False).get(address)

    assert response.status_code == 500
    assert "secret words" not in response.content.decode()
    check_answer(response)


@pytest.mark.parametrize(
    ("address", "given", "status"),
    [
        ("/nothing-here", {}, 404),
        ("/api/nothing-here", {}, 404),
        ("/admin/", {"headers": {"Host": "evil.example"}}, 400),
        ("/api/docs", {"headers": {"Host": "evil.example"}}, 400),
        ("/static/batches/admin.css", {}, 200),
        ("/static/nothing.css", {}, 404),
    ],
)
def test_refusals_and_files_have_them(address, given, status):
    response = Client().get(address, **given)

    assert response.status_code == status
    for name in ("Content-Security-Policy", "X-Content-Type-Options"):
        assert response[name]
    response.close()


def test_what_came_from_somewhere_else_by_a_form_has_them():
    client = Client(enforce_csrf_checks=True)

    response = client.post("/admin/login/", {"username": "x", "password": "x"})

    assert response.status_code == 403
    check_answer(response)


def test_the_way_to_https_has_them(settings):
    settings.SECURE_SSL_REDIRECT = True

    response = Client().get("/admin/")

    assert (response.status_code, response.url[:8]) == (301, "https://")
    check_answer(response)


def test_the_documentation_may_set_styles_and_run_nothing_inline():
    client = Client()
    client.force_login(User.objects.create_superuser("amina"))

    policy = policy_of(client.get("/api/docs"))

    assert policy["script-src"] == "'self'"
    assert policy["style-src"] == "'self' 'unsafe-inline'"


def test_cookies_keep_to_https_and_to_this_site(tmp_path):
    code = (
        "from django.conf import settings as s;"
        "print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE,"
        " s.SESSION_COOKIE_HTTPONLY, s.SESSION_COOKIE_SAMESITE, s.CSRF_COOKIE_SAMESITE)"
    )
    environment = clean_environment(
        DATA_DIR=str(tmp_path), SECRET_KEY="x" * 60, DEBUG="false"
    )

    done = manage("shell", "-v0", "-c", code, env=environment)

    assert done.stdout.split() == ["True", "True", "True", "Lax", "Lax"]


def test_the_check_of_what_is_deployed_finds_nothing(tmp_path):
    key = "".join(chr(33 + number % 90) for number in range(70))
    environment = clean_environment(
        DATA_DIR=str(tmp_path), SECRET_KEY=key, DEBUG="false"
    )

    done = manage("check", "--deploy", "--fail-level", "WARNING", env=environment)

    assert done.returncode == 0, done.stderr
