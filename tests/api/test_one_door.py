"""POST /api/admin/steering: every verb, every kind of target, and what is refused."""

from uuid import uuid4

import pytest

from batches.models import AuditEntry, BatchJob, Hold, OpenItem, Run
from batches.services.bundling import bundle
from batches.states import AuditOutcome, Priority, RunStatus
from tests.factories import make_collected_run, make_job

pytestmark = pytest.mark.django_db

STEERING = "/api/admin/steering"


def test_a_run_is_paused_and_resumed(program):
    run = make_collected_run(items=2)

    told = program.post(STEERING, {"act": "pause", "run": str(run.public_id)}).json()

    assert (told["done"], told["chosen"], told["trouble"]) == (1, 1, [])
    assert told["effect"]["unsent_items"] == 2
    assert told["message"].startswith("2 items, at most $")
    assert bundle() == []
    program.post(STEERING, {"act": "resume", "run": str(run.public_id)})
    assert len(bundle()) == 1


def test_a_dry_run_changes_nothing(program):
    job = make_job(2)
    body = {"act": "cancel", "job": str(job.public_id), "dryRun": True}

    told = program.post(STEERING, body).json()

    assert told["dryRun"] is True
    assert (told["done"], told["effect"]["items"]) == (0, 2)
    acts = AuditEntry.objects.filter(outcome=AuditOutcome.SUCCESS)
    assert not acts.exclude(action="api_key.create").exists()
    job.refresh_from_db()
    assert job.intent == ""


def test_an_account_is_held_with_its_reason(program):
    body = {"act": "pause", "account": "acme", "reason": "unpaid"}

    assert program.post(STEERING, body).status_code == 200

    hold = Hold.objects.get()
    assert (hold.scope, hold.key, hold.message) == ("account", "acme", "unpaid")
    assert program.post(STEERING, body).status_code == 409
    assert program.post(STEERING, {"act": "resume", "account": "acme"}).json()["done"]
    assert program.post(STEERING, {"act": "resume", "account": "acme"}).json() == {
        "code": "conflict",
        "detail": "There is no hold by hand on the account acme.",
    }


def test_everything_is_cancelled_run_by_run(program):
    runs = [make_collected_run(items=1), make_collected_run(items=2)]

    told = program.post(STEERING, {"act": "cancel", "everything": True}).json()

    assert (told["done"], told["chosen"]) == (2, 2)
    assert not OpenItem.objects.exists()
    for run in runs:
        run.refresh_from_db()
        assert run.status == RunStatus.CANCELLED


def test_the_priority_of_a_kind_of_work(program):
    run = make_collected_run(items=1)
    body = {"act": "priority", "workload": "captions", "priority": "low"}

    assert program.post(STEERING, body).json()["done"] == 1

    assert Run.objects.get(pk=run.pk).priority == Priority.LOW
    assert OpenItem.objects.get().priority == Priority.LOW


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        ({"act": "pause"}, 400, "this names none"),
        (
            {"act": "pause", "everything": True, "account": "x"},
            400,
            "account and everything",
        ),
        ({"act": "explode", "everything": True}, 400, "act is 'explode'"),
        ({"act": "pause", "run": "x"}, 400, "run is 'x'"),
        ({"act": "pause", "run": str(uuid4())}, 404, "There is no run"),
        ({"act": "pause", "workload": "nothing"}, 400, "No workload is called"),
        ({"act": "pause", "account": ""}, 400, "Name the account"),
        ({"act": "pause", "everything": False}, 400, "everything is False"),
        ({"act": "pause", "everything": True, "more": 1}, 400, "more is no field"),
    ],
)
def test_what_is_wrong_is_said(program, body, status, part):
    response = program.post(STEERING, body)

    assert response.status_code == status, response.content
    assert part in response.json()["detail"]
    acts = AuditEntry.objects.filter(outcome=AuditOutcome.SUCCESS)
    assert not acts.exclude(action="api_key.create").exists()


def test_what_cannot_be_is_409(program):
    job = make_job(1, status="completed")

    for act in ("pause", "recall", "resume", "cancel", "priority"):
        response = program.post(STEERING, {"act": act, "job": str(job.public_id)})
        assert (response.status_code, response.json()["code"]) == (409, "conflict")
    assert BatchJob.objects.get().intent == ""


def test_only_who_may_operate_steers(with_key, anonymous):
    body = {"act": "pause", "everything": True}

    assert anonymous.post(STEERING, body).status_code == 401
    assert with_key("submit").post(STEERING, body).status_code == 403
    assert with_key("operate").post(STEERING, body).status_code == 200
