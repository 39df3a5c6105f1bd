"""Guessing passwords: counted by name and by address, and told when it ends."""

import time

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from batches.services.login_throttle import note_failure, seconds_to_wait
from batches.signals import login_throttled

LOGIN = "/admin/login/?next=/admin/"
HERE, THERE, ELSEWHERE = "192.0.2.1", "198.51.100.7", "203.0.113.9"
NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def few_failures(db, settings):
    settings.LOGIN_FAILURES = 3
    settings.LOGIN_LOCK_MINUTES = 10
    cache.clear()


@pytest.fixture
def amina():
    return User.objects.create_user("amina", password="right", is_staff=True)


def sign_in(password, *, name="amina", address=HERE, **extra):
    given = {"username": name, "password": password}
    return Client().post(LOGIN, given, REMOTE_ADDR=address, **extra)


def test_after_too_many_failures_even_the_right_password_waits(amina):
    tries = [sign_in("wrong").status_code for _ in range(3)]
    refused = sign_in("right")

    assert tries == [200, 200, 200]
    assert refused.status_code == 429
    assert 590 <= int(refused["Retry-After"]) <= 600
    assert "Wait 10 minutes, until " in refused.content.decode()
    assert "sessionid" not in refused.cookies


def test_a_stranger_who_guesses_keeps_nobody_out(amina):
    for _ in range(4):
        sign_in("wrong", address=THERE)

    assert sign_in("right", address=THERE).status_code == 429
    assert sign_in("right").status_code == 302


def test_upper_case_and_spaces_are_no_way_around(amina):
    for name in ("amina", "AMINA", " Amina "):
        sign_in("wrong", name=name)

    assert sign_in("right").status_code == 429


def test_a_success_lets_the_name_begin_anew(amina):
    for _ in range(2):
        sign_in("wrong")
        sign_in("wrong")
        assert sign_in("right").status_code == 302


def test_an_address_that_tries_many_names_waits(amina):
    for number in range(12):
        sign_in("wrong", name=f"user-{number}")

    assert sign_in("right").status_code == 429
    assert sign_in("right", address=THERE).status_code == 302


def test_a_name_that_is_guessed_from_many_addresses_waits(amina):
    for number in range(30):
        sign_in("wrong", address=f"203.0.113.{number}")

    assert sign_in("right", address=THERE).status_code == 429


def test_who_is_kept_waiting_is_told_to_whoever_listens(amina):
    heard = []

    def hear(sender, request, username, seconds, **kwargs):
        heard.append((request.META["REMOTE_ADDR"], username, seconds > 0))

    login_throttled.connect(hear)
    try:
        for _ in range(4):
            sign_in("wrong")
    finally:
        login_throttled.disconnect(hear)

    assert heard == [(HERE, "amina", True)]


def test_the_wait_ends_when_it_was_said_to():
    for _ in range(3):
        note_failure("amina", HERE, now=NOW)

    assert seconds_to_wait("amina", HERE, now=NOW) == 600
    assert seconds_to_wait("amina", HERE, now=NOW + 599.5) == 1
    assert seconds_to_wait("nobody", HERE, now=NOW) == 0


def test_an_owner_of_ipv6_has_one_address():
    for number in range(12):
        note_failure(f"user-{number}", f"2001:db8::{number:x}", now=time.time())

    assert seconds_to_wait("amina", "2001:db8::ffff", now=time.time()) > 0
    assert seconds_to_wait("amina", "2001:db8:0:1::1", now=time.time()) == 0


@pytest.mark.parametrize("name", ["", "x" * 5000, "a\ud800b", "أمينة", "%s' OR 1=1"])
def test_any_name_can_be_counted(name):
    for _ in range(3):
        note_failure(name, HERE, now=time.time())

    assert seconds_to_wait(name, HERE, now=time.time()) > 0


def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_saw(amina, settings):
    settings.TRUSTED_PROXIES = [HERE]
    for number in range(3):  # what stands first is what the caller made up
        sign_in("wrong", HTTP_X_FORWARDED_FOR=f"10.0.0.{number}, {THERE}")

    refused = sign_in("right", HTTP_X_FORWARDED_FOR=THERE)

    assert refused.status_code == 429
    assert sign_in("right", HTTP_X_FORWARDED_FOR=ELSEWHERE).status_code == 302


def test_without_a_proxy_nobody_chooses_an_address(amina):
    for number in range(3):
        sign_in("wrong", HTTP_X_FORWARDED_FOR=f"10.0.0.{number}")

    assert sign_in("right").status_code == 429
