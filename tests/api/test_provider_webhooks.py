"""Webhooks of the provider: whose are believed, and that they lead to a poll."""

import json
import time
from datetime import timedelta

import openai
import pytest
from django.utils import timezone

from batches.models import BatchJob, ReceivedWebhook
from batches.sandbox.webhooks import new_secret, signature
from batches.services.polling import poll_jobs
from batches.services.submission import submit_jobs
from batches.states import AT_PROVIDER, JobStatus
from tests.factories import make_job
from tests.sandbox.fixtures import wait_for

pytestmark = pytest.mark.django_db

URL = "/api/webhooks/openai"
SECRET = new_secret()


@pytest.fixture(autouse=True)
def places(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path
    settings.OPENAI_WEBHOOK_SECRET = SECRET


@pytest.fixture
def job(sandbox):
    """A job at the provider that is not to be asked for before an hour."""
    later = timezone.now() + timedelta(hours=1)
    return make_job(status=JobStatus.IN_PROGRESS, next_poll_at=later)


def event_of(batch_id, kind="batch.completed"):
    return {"object": "event", "id": "evt_1", "type": kind, "data": {"id": batch_id}}


def send(client, event, *, name="wh_1", secret=SECRET, at=None, **changes):
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    at = int(time.time()) if at is None else at
    headers = {
        "webhook-id": name,
        "webhook-timestamp": str(at),
        "webhook-signature": signature(secret, name, at, body),
        **changes,
    }
    return client.post(
        URL,
        body,
        content_type="application/json",
        headers={name: value for name, value in headers.items() if value is not None},
    )


def is_due(job):
    job.refresh_from_db()
    return job.next_poll_at <= timezone.now()


def test_the_end_of_a_batch_has_it_polled_at_once(client, job):
    response = send(client, event_of(job.provider_batch_id))

    assert (response.status_code, response.json()) == (
        200,
        {"received": True, "new": True},
    )
    assert is_due(job)


def test_what_comes_twice_is_answered_and_does_nothing(client, job):
    send(client, event_of(job.provider_batch_id))
    later = timezone.now() + timedelta(hours=1)
    BatchJob.objects.update(next_poll_at=later)

    response = send(client, event_of(job.provider_batch_id))

    assert response.json() == {"received": True, "new": False}
    assert not is_due(job)


@pytest.mark.parametrize(
    "event", [event_of("batch_of_another"), event_of("resp_1", "response.completed")]
)
def test_what_is_not_ours_is_taken_and_left(client, job, event):
    assert send(client, event).status_code == 200

    assert not is_due(job)


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        ({}, {"secret": new_secret()}),
        ({}, {"at": 1_700_000_000}),
        ({}, {"webhook-signature": "v1,AAAA"}),
        ({}, {"webhook-signature": None}),
        ({}, {"webhook-id": None}),
        ({}, {"webhook-timestamp": "soon"}),
        ({"event": b"{"}, {}),
        ({"event": b"[]"}, {}),
        ({"event": b'{"type": 7}'}, {}),
        ({"event": b"\xff\xfe"}, {}),
        ({"event": event_of("batch_\x00")}, {}),
        ({"event": event_of("batch_1", "batch.\x00")}, {}),
    ],
)
def test_what_is_not_signed_or_no_event_is_refused(client, job, given, changes):
    event = given.get("event", event_of(job.provider_batch_id))

    response = send(client, event, **changes)

    assert (response.status_code, response.json()["code"]) == (400, "bad_webhook")
    assert SECRET not in response.content.decode()
    assert not is_due(job)
    assert not ReceivedWebhook.objects.exists()


def test_a_long_body_is_refused(client):
    assert send(client, b" " * 70_000).status_code == 413
    assert send(client, b" " * 10_000_000).status_code in (400, 413)


def test_without_a_secret_there_is_nothing_here(client, settings):
    settings.OPENAI_WEBHOOK_SECRET = ""

    assert send(client, event_of("batch_1")).status_code == 404


def test_it_is_not_read(client):
    assert client.get(URL).status_code == 405


def test_deliveries_are_forgotten_when_they_are_repeated_no_more(client):
    ReceivedWebhook.objects.create(
        webhook_id="wh_old",
        kind="batch.failed",
        received_at=timezone.now() - timedelta(days=5),
    )

    send(client, event_of("batch_1"), name="wh_new")

    assert list(ReceivedWebhook.objects.values_list("pk", flat=True)) == ["wh_new"]


# The server starts before the test's own folder of static files is there.
@pytest.mark.filterwarnings("ignore:No directory at")
@pytest.mark.django_db(transaction=True)
def test_a_batch_that_ends_at_the_provider_announces_itself(
    live_server, sandbox, settings
):
    """From the sandbox over HTTP, signed as OpenAI signs, to a job that is due."""
    provider = openai.OpenAI(api_key="sandbox", base_url=sandbox.url)
    endpoint = provider.webhooks.create(
        name="batchsite",
        url=f"{live_server.url}{URL}",
        event_types=["batch.completed"],
    )
    settings.OPENAI_WEBHOOK_SECRET = endpoint.signing_secret
    try:
        job = make_job()
        submit_jobs(now=timezone.now())
        later = timezone.now() + timedelta(hours=1)
        BatchJob.objects.filter(status__in=AT_PROVIDER).update(next_poll_at=later)
        assert poll_jobs(now=timezone.now()) == 0

        wait_for(lambda: is_due(job))

        poll_jobs(now=timezone.now())
        job.refresh_from_db()
        assert job.status == JobStatus.COMPLETED
    finally:
        provider.webhooks.delete(endpoint.id)
        provider.close()
