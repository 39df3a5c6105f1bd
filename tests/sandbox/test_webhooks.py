"""OpenAI webhooks for batches: signed, retried, and wrong in every known way."""

import openai
import pytest

from tests.sandbox.fixtures import chat_line, create, run, wait_for
from tests.sandbox.wire_schema import check


@pytest.fixture
def endpoint(client, receiver):
    """A registered endpoint, its signing secret included; gone after the test."""
    made = client.webhooks.create(
        name="test",
        url=receiver.url,
        event_types=["batch.completed", "batch.failed", "batch.cancelled"],
    )
    yield made
    client.webhooks.delete(made.id)


def test_the_end_of_a_batch_is_announced_and_signed(client, receiver, endpoint):
    """Provider facts 8: the official client's `unwrap` verifies and parses it."""
    batch = run(client, [chat_line("1")])

    headers, body = receiver.next()

    event = client.webhooks.unwrap(body, headers, secret=endpoint.signing_secret)
    check("WebhookEvent", event.to_dict())
    assert event.type == "batch.completed"
    assert event.data.id == batch.id
    assert headers["webhook-id"].startswith("wh_")
    assert headers["user-agent"].startswith("OpenAI/1.0")


def test_a_refused_batch_is_announced_as_failed(client, receiver, endpoint):
    """Provider facts 8: one event type for each ending of a batch."""
    run(client, [b"no\n"])

    headers, body = receiver.next()

    event = client.webhooks.unwrap(body, headers, secret=endpoint.signing_secret)
    assert event.type == "batch.failed"


def test_only_the_events_asked_for_are_sent(client, receiver, endpoint):
    client.webhooks.update(endpoint.id, event_types=["batch.failed"])
    run(client, [chat_line("1")])
    failed = run(client, [b"no\n"])

    headers, body = receiver.next()

    event = client.webhooks.unwrap(body, headers, secret=endpoint.signing_secret)
    assert event.data.id == failed.id


@pytest.mark.parametrize("status", [500, 302])
def test_a_delivery_that_is_not_taken_is_repeated(client, receiver, endpoint, status):
    """Provider facts 8: anything but 2xx is retried with the same webhook-id."""
    receiver.statuses = [status]
    run(client, [chat_line("1")])

    first, again = receiver.next(), receiver.next()

    assert first[0]["webhook-id"] == again[0]["webhook-id"]
    assert first[1] == again[1]


def test_events_can_come_twice(sandbox, client, receiver, endpoint):
    sandbox.faults(webhook_duplicates=1)
    run(client, [chat_line("1")])

    first, again = receiver.next(), receiver.next()

    assert first[0]["webhook-id"] == again[0]["webhook-id"]


def test_events_can_come_in_another_order(sandbox, client, receiver, endpoint):
    sandbox.faults(webhook_disorder=1.0)
    made = [run(client, [chat_line("1")]).id for _ in range(2)]

    order = []
    for _ in range(2):
        headers, body = receiver.next()
        event = client.webhooks.unwrap(body, headers, secret=endpoint.signing_secret)
        order.append(event.data.id)

    assert order == made[::-1]


def test_signatures_can_be_bad(sandbox, client, receiver, endpoint):
    sandbox.faults(webhook_bad_signature=True)
    run(client, [chat_line("1")])

    headers, body = receiver.next()

    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(body, headers, secret=endpoint.signing_secret)


def test_endpoints_can_be_managed(client, receiver, endpoint):
    """Provider facts 8: the secret is told on create and rotate only."""
    assert [shown.id for shown in client.webhooks.list()] == [endpoint.id]
    shown = client.webhooks.retrieve(endpoint.id)
    assert not hasattr(shown, "signing_secret")
    assert shown.signing_secret_hint.endswith(endpoint.signing_secret[-4:])
    rotated = client.webhooks.rotate_secret(endpoint.id)
    assert rotated.signing_secret != endpoint.signing_secret

    tested = client.webhooks.test(endpoint.id, event_type="batch.expired")

    headers, body = receiver.next()
    event = client.webhooks.unwrap(body, headers, secret=rotated.signing_secret)
    assert tested.status_code == 200
    assert event.type == "batch.expired"


def test_an_endpoint_that_cannot_be_used_is_refused(client):
    for wrong in ({"url": "ftp://x"}, {"event_types": ["batch.eaten"]}):
        given = {
            "name": "x",
            "url": "http://x",
            "event_types": ["batch.failed"],
            **wrong,
        }
        with pytest.raises(openai.BadRequestError):
            client.webhooks.create(**given)


def test_what_is_due_outlives_a_kill(sandbox, client, receiver, endpoint):
    receiver.statuses = [500]
    batch = create(client, [chat_line("1")])
    receiver.next()
    wait_for(lambda: client.batches.retrieve(batch.id).status == "completed")

    sandbox.kill()
    sandbox.start()

    headers, body = receiver.next()
    event = client.webhooks.unwrap(body, headers, secret=endpoint.signing_secret)
    assert event.data.id == batch.id
