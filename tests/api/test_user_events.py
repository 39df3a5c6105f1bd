"""GET /api/v1/ai/batch/:jobId/events: what happened to a job, oldest first."""

import pytest

from batches.models import Event, Run
from batches.services.requeue import retry_run
from batches.states import EventKind
from tests.api.orders import BATCH, ordered
from tests.driving import work_off

pytestmark = pytest.mark.django_db


def told_of(caller, job) -> list[str]:
    answer = caller.get(f"{BATCH}/{job}/events")
    assert answer.status_code == 200
    return [event["event_type"] for event in answer.json()["events"]]


def test_a_job_that_failed_and_was_retried_says_all_of_it(sandbox, mine):
    sandbox.faults(failed_lines={"rate": 1.0, "status": 400})
    job = ordered(mine)
    work_off()
    sandbox.clear_faults()

    retry_run(Run.objects.get(), by="test")
    work_off()

    assert told_of(mine, job) == [
        "job:created",
        "job:started",
        "job:progress",
        "job:failed",
        "job:retry",
        "job:started",
        "job:progress",
        "job:completed",
    ]


def test_a_job_that_was_cancelled_says_so(mine):
    job = ordered(mine)

    mine.delete(f"{BATCH}/{job}")

    assert told_of(mine, job) == ["job:created", "job:cancelled"]


def test_who_wants_no_progress_is_told_of_none(mine):
    quiet = ordered(mine, options={"notifyProgress": False})
    run = Run.objects.get()
    Event.objects.create(run=run, kind=EventKind.RUN_PROGRESS)

    events = mine.get(f"{BATCH}/{quiet}/events").json()["events"]

    assert [event["event_type"] for event in events] == ["job:created"]


def test_events_come_page_by_page(mine):
    job = ordered(mine)
    run = Run.objects.get()
    Event.objects.bulk_create(
        Event(run=run, kind=EventKind.RUN_PROGRESS, data={"n": number})
        for number in range(5)
    )

    first = mine.get(f"{BATCH}/{job}/events?limit=4").json()
    rest = mine.get(f"{BATCH}/{job}/events?limit=4&after={first['next']}").json()

    assert len(first["events"]) == 4
    assert [event["event_data"] for event in rest["events"]] == [{"n": 3}, {"n": 4}]
    assert rest["next"] is None
