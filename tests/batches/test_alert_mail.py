"""New alerts go out by mail, once each; mail that does not work spoils nothing."""

import logging

import pytest

from batches.models import Alert
from batches.services.alerts import raise_alert

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def addresses(settings):
    settings.ALERT_EMAILS = ["operator@example.org"]


def test_an_alert_is_mailed_once_while_it_is_open(
    mailoutbox, django_capture_on_commit_callbacks
):
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            raise_alert("cap_reached", "80 % of the monthly cap is spent.", key="x")

    (mail,) = mailoutbox
    assert mail.subject == "[Batchsite] Medium: cap reached"
    assert mail.to == ["operator@example.org"]
    assert "80 % of the monthly cap is spent." in mail.body


def test_a_mail_server_that_is_away_is_logged_and_the_alert_stays(
    settings, caplog, django_capture_on_commit_callbacks
):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1  # nobody listens there

    with (
        caplog.at_level(logging.ERROR),
        django_capture_on_commit_callbacks(execute=True),
    ):
        raise_alert("cap_reached", "80 % of the monthly cap is spent.")

    assert "No mail of alert cap_reached" in caplog.text
    assert Alert.objects.count() == 1


def test_nobody_is_mailed_where_nobody_is_named(
    settings, mailoutbox, django_capture_on_commit_callbacks
):
    settings.ALERT_EMAILS = []

    with django_capture_on_commit_callbacks(execute=True):
        raise_alert("cap_reached", "80 % of the monthly cap is spent.")

    assert mailoutbox == []
