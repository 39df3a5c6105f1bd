"""Webhooks to others: told after the commit, signed, and tried again."""

import base64
import json
import socket
from datetime import timedelta

import openai
import pytest
from django.db import transaction
from django.utils import timezone

from batches.errors import NotPossible
from batches.models import Alert, AuditEntry, WebhookDelivery, WebhookEndpoint
from batches.services.alerts import raise_alert
from batches.services.outbox import tell
from batches.services.webhook_calls import NotReached, check_address, new_secret, post
from batches.services.webhooks import (
    FAILING,
    PAUSES,
    create_endpoint,
    send_again,
    send_test,
    send_webhooks,
)
from batches.states import RunStatus, WebhookKind
from tests.driving import work_off
from tests.factories import make_collected_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def inner_addresses_are_allowed(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True


@pytest.fixture
def endpoint(receiver):
    made = WebhookEndpoint(
        name="site", url=receiver.url, kinds=list(WebhookKind.values)
    )
    create_endpoint(made, by="amina")
    return made


def send(after=timedelta()):
    return send_webhooks(now=timezone.now() + after)


def verified(endpoint, headers, body):
    """The event, if the signature is right by somebody else's reading of it."""
    client = openai.OpenAI(api_key="none")
    client.webhooks.verify_signature(body, headers, secret=endpoint.secret)
    client.close()
    return json.loads(body)


def test_a_finished_run_is_told_of_and_signed(endpoint, receiver, sandbox):
    run = make_collected_run(3)
    work_off()

    send()

    event = verified(endpoint, *receiver.next())
    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED
    assert event["type"] == "run.finished"
    assert event["data"]["id"] == str(run.public_id)
    told = {name: event["data"][name] for name in ("items", "complete", "failed")}
    assert told == {"items": 3, "complete": 3, "failed": 0}
    assert event["timestamp"].endswith("Z")


def test_an_alert_is_told_of_once(endpoint, receiver):
    raise_alert("disk_full", "The disk is full.", key="here")
    raise_alert("disk_full", "The disk is full.", key="here")

    assert send() == 1

    event = verified(endpoint, *receiver.next())
    assert event["data"]["message"] == "The disk is full."


def test_what_is_rolled_back_is_not_told(endpoint):
    with pytest.raises(RuntimeError), transaction.atomic():
        tell(WebhookKind.ALERT, {})
        raise RuntimeError

    assert not WebhookDelivery.objects.exists()


def test_only_what_was_asked_for_is_told(endpoint, receiver):
    WebhookEndpoint.objects.update(kinds=["run.failed"])
    tell(WebhookKind.ALERT, {})
    WebhookEndpoint.objects.update(kinds=["alert.raised"], is_active=False)
    tell(WebhookKind.ALERT, {})

    assert not WebhookDelivery.objects.exists()


def test_what_is_not_answered_is_tried_again_with_growing_pauses(endpoint, receiver):
    receiver.statuses = [500, 302]
    tell(WebhookKind.ALERT, {"message": "x"})

    assert send() == 0
    first, _ = receiver.next()
    assert send() == 0, "not before its time"
    delivery = WebhookDelivery.objects.get()
    assert (delivery.tries, delivery.last_status) == (1, 500)
    assert send(PAUSES[0]) == 0
    assert send(PAUSES[0] + PAUSES[1]) == 1

    receiver.next()
    last, _ = receiver.next()
    assert last["webhook-id"] == first["webhook-id"]
    delivery.refresh_from_db()
    assert (delivery.tries, delivery.last_status, delivery.last_error) == (3, 200, "")
    assert delivery.delivered_at and not delivery.next_at


def test_after_the_last_try_an_alert_tells_and_it_can_be_sent_again(endpoint, receiver):
    receiver.statuses = [503] * (len(PAUSES) + 1)
    WebhookEndpoint.objects.update(kinds=["run.failed"])
    tell(WebhookKind.RUN_FAILED, {})

    for _ in range(len(PAUSES) + 1):
        assert send(timedelta(days=2)) == 0

    delivery = WebhookDelivery.objects.get()
    assert delivery.is_given_up
    alert = Alert.objects.get(code=FAILING)
    assert "answered with 503" in alert.message
    send_again(delivery, by="amina")
    assert send() == 1
    alert.refresh_from_db()
    assert alert.acknowledged_at, "what is over is closed"


def test_a_server_that_is_away_is_tried_again(endpoint):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    WebhookEndpoint.objects.update(url=f"http://127.0.0.1:{port}/")
    tell(WebhookKind.ALERT, {})

    assert send() == 0

    delivery = WebhookDelivery.objects.get()
    assert "did not answer" in delivery.last_error and delivery.next_at


def test_a_worker_that_died_while_sending_is_followed_by_another(endpoint, receiver):
    tell(WebhookKind.ALERT, {})
    WebhookDelivery.objects.update(next_at=timezone.now() + timedelta(seconds=30))

    assert send() == 0
    assert send(timedelta(seconds=31)) == 1


def test_what_is_over_is_kept_for_a_month(endpoint, receiver):
    tell(WebhookKind.ALERT, {})
    send()
    WebhookDelivery.objects.update(created_at=timezone.now() - timedelta(days=31))

    send()

    assert not WebhookDelivery.objects.exists()


def test_a_test_event_goes_out_whatever_is_wanted(endpoint, receiver):
    WebhookEndpoint.objects.update(kinds=[])
    endpoint.refresh_from_db()

    send_test(endpoint, by="amina")

    assert send() == 1
    assert verified(endpoint, *receiver.next())["type"] == "webhook.test"
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert actions == {"webhook.create", "webhook.test"}
    endpoint.is_active = False
    with pytest.raises(NotPossible, match="switched off"):
        send_test(endpoint, by="amina")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://127.0.0.1/hook", "inside a network of its own"),
        ("https://localhost:8443/", "inside a network of its own"),
        ("https://[::1]/", "inside a network of its own"),
        ("https://10.1.2.3/", "inside a network of its own"),
        ("https://169.254.169.254/latest/meta-data", "inside a network of its own"),
        ("https://[::ffff:192.168.0.1]/", "inside a network of its own"),
        ("https://0x7f000001/", "inside a network of its own|is not found"),
        ("http://example.org/hook", "does not begin with https"),
        ("ftp://example.org/", "does not begin with https"),
        ("https://amina:secret@example.org/", "is no address"),
        ("https://example.org/a b", "is no address"),
        ("https://exa\nmple.org/", "is no address"),
        ("https://example.org:99999/", "is no address"),
        ("https://[::1/", "is no address"),
        ("/hook", "is no address"),
        ("https://no-such-host.invalid/", "is not found"),
    ],
)
def test_inner_and_impossible_addresses_are_refused(settings, url, why):
    settings.WEBHOOK_ALLOW_PRIVATE = False

    for call in (check_address, lambda url: post(url, b"", {})):
        with pytest.raises(NotReached, match=why):
            call(url)


def test_a_name_with_one_inner_address_is_refused(settings, monkeypatch):
    settings.WEBHOOK_ALLOW_PRIVATE = False
    places = [
        (2, 1, 6, "", (address, 443)) for address in ("93.184.215.14", "10.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: places)

    with pytest.raises(NotReached, match=r"is 10\.0\.0\.1, inside"):
        check_address("https://example.org/")


def test_a_secret_is_of_the_standard_form():
    secret = new_secret()

    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
