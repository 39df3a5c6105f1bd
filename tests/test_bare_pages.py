"""Pages for who is kept out for a while: they say why, until when, and what helps."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from batches.services import second_factor
from batches.services.second_factor import code_at, step_of

pytestmark = pytest.mark.django_db

PASSWORD_HELP = "If you forgot your password"
CODE_HELP = "a recovery code lets you in"


@pytest.fixture(autouse=True)
def one_try(settings):
    cache.clear()
    settings.LOGIN_FAILURES = 1


@pytest.fixture
def amina():
    return User.objects.create_superuser("amina", password="right")


def sign_in(client, password):
    given = {"username": "amina", "password": password}
    return client.post("/admin/login/", given)


def test_who_guessed_passwords_is_told_of_passwords(client, amina):
    sign_in(client, "wrong")

    refused = sign_in(client, "right")

    html = refused.content.decode()
    assert refused.status_code == 429
    assert "and sign in again" in html
    assert PASSWORD_HELP in html
    assert CODE_HELP not in html


def test_who_guessed_codes_is_told_of_codes(client, amina):
    before = timezone.now() - timedelta(minutes=5)
    factor = second_factor.begin(amina)
    second_factor.confirm(amina, code_at(factor.secret, step_of(before)), now=before)
    sign_in(client, "right")
    client.post("/second-factor/", {"code": "wrong"})

    refused = client.post("/second-factor/", {"code": "wrong again"})

    html = refused.content.decode()
    assert refused.status_code == 429
    assert "and type a code again" in html
    assert CODE_HELP in html
    assert "assword" not in html
    assert "sign in again" not in html


def test_what_comes_from_another_site_is_refused_with_a_way_back(amina):
    refused = Client(enforce_csrf_checks=True).post("/admin/login/", {})

    html = refused.content.decode()
    assert refused.status_code == 403
    assert html.count("Nothing was changed") == 2  # of the window and of the page
    assert '<a href="/">' in html
