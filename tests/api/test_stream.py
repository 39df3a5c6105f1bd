"""Progress as it happens: Server-Sent Events under ASGI, ETags everywhere (3.42)."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from batches.api.user_batches import stream
from batches.models import Event, Run
from batches.services.api_keys import create_own_key
from batches.services.collection import collect_run, start_run
from batches.services.steering import cancel_run
from batches.states import EventKind, Trigger
from tests.driving import work_off

BATCH = "/api/v1/ai/batch"
EVENTS = {"Accept": "text/event-stream"}
# Whatever is asked of the database on another thread must be committed.
pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Told:
    """One event of a stream; `id` is '' where it has none."""

    event: str
    id: str
    data: dict[str, Any]


def read(piece: str) -> Told | None:
    """A block of a stream as a client reads it; None for comments and settings."""
    lines = dict(
        line.split(": ", 1)
        for line in piece.splitlines()
        if ": " in line and not line.startswith(":")
    )
    if "event" not in lines:
        return None
    return Told(lines["event"], lines.get("id", ""), json.loads(lines["data"]))


async def told_by(response: Any) -> AsyncIterator[Told]:
    rest = ""
    async for chunk in response.streaming_content:
        rest += chunk.decode()
        *whole, rest = rest.split("\n\n")
        for piece in whole:
            if told := read(piece):
                yield told


@pytest.fixture
def amina() -> User:
    return User.objects.create_user("amina", password="x")


@pytest.fixture
def run(amina) -> Run:
    return start(amina)


def start(owner: User, **options: Any) -> Run:
    given = {"words": ["patience", "calm"], "features": ["etymology"], **options}
    run = start_run("word_features", given, owner=owner, trigger=Trigger.API)
    collect_run(run)
    return run


@pytest.fixture
def key(amina) -> str:
    return create_own_key(amina, "follower", ["read"])[1]


def address(run: Run) -> str:
    return f"{BATCH}/{run.public_id}/events"


def get(path: str, **headers: str) -> Any:
    """The answer of an ASGI server, its stream not read yet."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return async_to_sync(AsyncClient().get)(path, headers={**EVENTS, **named})


@async_to_sync
async def followed(path: str, **headers: str) -> list[Told]:
    """All that a stream tells until it ends by itself."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    answer = await AsyncClient().get(path, headers={**EVENTS, **named})
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "text/event-stream"
    return [told async for told in told_by(answer)]


def names(told: list[Told]) -> list[str]:
    return [one.event for one in told if one.id]


def test_a_run_that_ended_is_told_whole_and_in_order(run, key, sandbox):
    work_off()

    told = followed(address(run), X_API_Key=key)

    assert names(told) == [
        "job:created",
        "job:started",
        "job:progress",
        "job:completed",
    ]
    ids = [int(one.id) for one in told if one.id]
    assert ids == sorted(ids)
    listed = Client().get(address(run), headers={"X-API-Key": key}).json()["events"]
    assert [one.data for one in told if one.id] == listed
    figures = [one.data for one in told if one.event == "figures"]
    assert figures == [
        {
            "status": "completed",
            "progress": 100,
            "totalItems": 2,
            "completedItems": 2,
            "failedItems": 0,
            "answeredAtProvider": 0,
        }
    ]


def test_what_happens_meanwhile_is_told_when_it_does(run, key, monkeypatch):
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.01)

    @async_to_sync
    async def watch() -> list[Told]:
        answer = await AsyncClient().get(
            address(run), headers={**EVENTS, "X-API-Key": key}
        )
        seen = []
        async for told in told_by(answer):
            seen.append(told)
            if told.event == "figures" and told.data["status"] == "pending":
                await sync_to_async(cancel_run)(run, by="amina")
        return seen

    told = watch()

    assert names(told) == ["job:created", "job:cancelled"]
    statuses = [one.data["status"] for one in told if one.event == "figures"]
    assert statuses == ["pending", "cancelled"]


def test_who_was_cut_off_goes_on_where_it_was(run, key):
    cancel_run(run, by="amina")
    first, last = run.events.filter(kind__startswith="job:").order_by("pk")

    rest = followed(address(run), X_API_Key=key, Last_Event_ID=str(first.pk))
    after = followed(f"{address(run)}?after={first.pk}", X_API_Key=key)
    end = get(address(run), X_API_Key=key, Last_Event_ID=str(last.pk))

    assert names(rest) == names(after) == ["job:cancelled"]
    assert (end.status_code, end.content) == (204, b"")


def test_who_wants_no_progress_is_pushed_none(amina, key):
    quiet = start(amina, notify_progress=False)
    Event.objects.create(run=quiet, kind=EventKind.RUN_PROGRESS)
    cancel_run(quiet, by="amina")

    assert names(followed(address(quiet), X_API_Key=key)) == [
        "job:created",
        "job:cancelled",
    ]


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "9" * 30])
def test_a_wrong_last_event_id_is_named(run, key, given):
    answer = get(address(run), X_API_Key=key, Last_Event_ID=given)

    assert answer.status_code == 400
    assert f"Last-Event-ID is '{given}'" in answer.json()["error"]


def test_a_stream_is_for_those_who_may_see_the_run(run, key):
    bashir = User.objects.create_user("bashir")
    _, other = create_own_key(bashir, "follower", ["read"])

    assert get(address(run)).status_code == 401
    assert get(address(run), X_API_Key="bs_0123456789.wrong").status_code == 401
    assert get(address(run), X_API_Key=other).status_code == 404


def test_a_quiet_stream_says_that_it_lives_and_ends_in_time(run, key, monkeypatch):
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(stream, "LONGEST_SECONDS", 0.5)

    @async_to_sync
    async def listen() -> bytes:
        answer = await AsyncClient().get(
            address(run), headers={**EVENTS, "X-API-Key": key}
        )
        return b"".join([piece async for piece in answer.streaming_content])

    text = listen()

    assert text.startswith(b"retry: 2000\n\n")
    assert text.count(b"\n: still here\n") >= 2
    assert text.count(b"event: figures") == 1


def test_there_are_so_many_streams_and_no_more(run, key, settings, monkeypatch):
    monkeypatch.setattr(stream, "MOST_EACH", 2)

    @async_to_sync
    async def open_three() -> tuple[list[int], int, int]:
        headers = {**EVENTS, "X-API-Key": key}
        open_, statuses = [], []
        for _ in range(3):
            answer = await AsyncClient().get(address(run), headers=headers)
            statuses.append(answer.status_code)
            if answer.status_code == 200:
                pieces = answer.streaming_content
                await anext(pieces)
                open_.append(pieces)
        held = stream.open_streams()
        await sync_to_async(cancel_run)(run, by="amina")
        for pieces in open_:
            assert [piece async for piece in pieces]
        return statuses, held, stream.open_streams()

    statuses, held, left = open_three()
    settings.EVENT_STREAMS = 0
    off = get(address(run), X_API_Key=key)

    assert (statuses, held, left) == ([200, 200, 429], 2, 0)
    assert off["Content-Type"].startswith("application/json")


def test_a_threaded_server_answers_with_json_and_says_what_is_unchanged(run, key):
    client = Client(headers={"X-API-Key": key})

    first = client.get(address(run), headers=EVENTS)
    same = client.get(address(run), headers={"If-None-Match": first["ETag"]})
    job = client.get(f"{BATCH}/{run.public_id}")
    unchanged = client.get(
        f"{BATCH}/{run.public_id}", headers={"If-None-Match": job["ETag"]}
    )
    cancel_run(run, by="amina")
    changed = client.get(address(run), headers={"If-None-Match": first["ETag"]})

    assert first["Content-Type"].startswith("application/json")
    assert (same.status_code, same.content) == (304, b"")
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert len(changed.json()["events"]) == 2
