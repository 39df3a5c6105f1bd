"""/api/chats: sessions in, work asked for, analyses out."""

import json

import pytest

from batches.models import AuditEntry, Run
from tests.chats.test_pipeline import EXAMPLES, ask, store
from translations.chats.models import ChatSession

pytestmark = pytest.mark.django_db


@pytest.fixture
def call(client, django_user_model):
    user = django_user_model.objects.create_user("staff", is_staff=True)
    client.force_login(user)

    def send(method, path, body=None):
        answer = getattr(client, method)(
            f"/api/chats{path}",
            *([json.dumps(body)] if body is not None else []),
            **({"content_type": "application/json"} if body is not None else {}),
        )
        return answer.status_code, answer.json()

    return send


def test_sessions_are_written_and_those_that_are_not_right_are_named(call):
    good = {"id": "a", "messages": [{"role": "user", "text": "Hello there"}]}
    bad = {"id": "b", "messages": [{"role": "boss", "text": "Hello"}]}

    status, told = call("post", "", {"sessions": [good, bad, good]})

    assert status == 200
    assert (told["created"], told["ignored"]) == (1, [])
    assert [one["place"] for one in told["refused"]] == [2, 3]
    assert told["refused"][0]["field"] == "messages.0.role"
    assert call("post", "", {"sessions": [good]})[1]["unchanged"] == 1
    assert ChatSession.objects.get().source == "api"
    assert AuditEntry.objects.filter(action="chats.write").count() == 2


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"sessions": []}, "sessions"),
        ({"sessions": [{"id": str(n)} for n in range(501)]}, "sessions"),
        ({}, "sessions is missing"),
    ],
)
def test_a_body_that_is_not_right_is_refused(call, body, says):
    status, told = call("post", "", body)

    assert status == 400
    assert says in told["detail"]


def test_work_is_asked_for_and_an_analysis_read(call, sandbox, samples):
    status, told = call("post", "/analysis", {"sessions": ["chat-01"], "limit": 5})

    assert (status, Run.objects.get().items_collected) == (200, 1)
    assert told["runId"] == str(Run.objects.get().public_id)
    assert call("get", "/chat-01")[0] == 404
    store(samples[0], EXAMPLES["chat-01"])

    status, told = call("get", "/chat-01")

    assert status == 200
    assert told["escalated"] is True
    assert told["evidence"][0]["message_index"] == 2


def test_what_is_not_there_is_said(call, sandbox, samples):
    ask()

    assert "no analysis yet" in call("get", "/chat-02")[1]["detail"]
    assert "There is no chat session 'x'" in call("get", "/x")[1]["detail"]
    assert call("get", "/chat-02?account=other")[0] == 404


def test_nobody_comes_in_without_being_known(client):
    assert client.get("/api/chats/chat-01").status_code == 401
    assert client.post("/api/chats").status_code == 401
