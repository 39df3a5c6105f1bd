"""/api/admin/batch-monitoring/:id, what it does: S4.34, S4.36."""

import pytest

from batches.models import (
    AuditEntry,
    BatchItem,
    BatchJob,
    OpenItem,
)
from batches.services.bundling import bundle
from batches.states import Intent, Priority
from tests.api.monitoring import MONITORING, NOBODY
from tests.driving import work_off
from tests.factories import make_collected_run, make_job

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("nobody_has_asked_yet"),
]


def test_a_job_is_paused_resumed_and_cancelled(program):
    job = make_job(2)
    address = f"{MONITORING}/{job.public_id}"

    paused = program.post(f"{address}/pause").json()["data"]
    job.refresh_from_db()
    assert (paused["id"], job.intent) == (str(job.public_id), Intent.PAUSE)
    assert paused["message"].startswith("2 items, at most $")
    program.post(f"{address}/resume")
    job.refresh_from_db()
    assert job.intent == Intent.NONE
    cancelled = program.post(f"{address}/cancel").json()["data"]

    assert cancelled["status"] == "cancelled"
    assert set(AuditEntry.objects.values_list("action", flat=True)) >= {
        "job.pause",
        "job.resume",
        "job.cancel",
    }
    again = program.post(f"{address}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert again.json()["success"] is False


def test_a_run_gets_another_priority(program):
    run = make_collected_run(items=1)

    answer = program.post(
        f"{MONITORING}/{run.public_id}/priority", {"priority": "high"}
    )

    assert answer.status_code == 200, answer.content
    assert OpenItem.objects.get().priority == Priority.HIGH


def test_a_job_has_its_place(program):
    job = make_job(1)
    address = f"{MONITORING}/{job.public_id}/priority"

    assert program.post(address, {"priority": "low"}).status_code == 409
    assert program.post(address, {"priority": "urgent"}).status_code == 400
    assert program.post(address).status_code == 400


def test_failed_requests_go_out_again_in_a_new_job(program, sandbox):
    sandbox.faults(failed_lines={"rate": 1.0, "status": 400})
    run = make_collected_run(items=2)
    work_off()
    job = BatchJob.objects.get()
    sandbox.clear_faults()

    answer = program.post(f"{MONITORING}/{job.public_id}/retry").json()["data"]

    assert (answer["retriedCount"], answer["skippedCount"]) == (2, 0)
    bundle()
    assert BatchItem.objects.filter(run=run).exclude(job=job).count() == 2
    again = program.post(f"{MONITORING}/{job.public_id}/retry")
    assert again.status_code == 409


@pytest.mark.parametrize("act", ["retry", "pause", "resume", "cancel", "priority"])
def test_what_is_not_there_is_404(program, act):
    answer = program.post(f"{MONITORING}/{NOBODY}/{act}", {"priority": "low"})

    assert (answer.status_code, answer.json()["success"]) == (404, False)
