"""Checking, processing and cancelling: S0.36-S0.39, and doing each twice."""

from datetime import timedelta

import pytest
from django.utils import timezone

from batches.models import AuditEntry, BatchItem, BatchJob, Run
from batches.services.polling import poll_jobs
from batches.services.submission import submit_jobs
from batches.states import AT_PROVIDER, JOB_FINAL, JobStatus, RunStatus
from tests.driving import work_off
from tests.factories import make_collected_run, make_job
from tests.gallery.models import Caption
from tests.sandbox.fixtures import wait_for

pytestmark = pytest.mark.django_db


def sent_job(**given) -> BatchJob:
    job = make_job(**given)
    submit_jobs(now=timezone.now())
    job.refresh_from_db()
    assert job.status in AT_PROVIDER
    return job


def job_with_results(**given) -> BatchJob:
    """A job whose answers lie at the provider, not read."""
    job = sent_job(**given)

    def look() -> bool:
        poll_jobs(now=timezone.now() + timedelta(hours=1))
        job.refresh_from_db()
        return job.status == JobStatus.COMPLETED

    wait_for(look)
    return job


# --- check-status ---------------------------------------------------------------------


def test_check_status_asks_the_provider(program, sandbox):
    job = sent_job(items=2)

    def is_there() -> bool:
        answer = program.post(f"{job.public_id}/check-status").json()
        assert set(answer) == {"job", "message"}
        assert answer["job"]["status"] == "processing"
        return answer["job"]["state"] == JobStatus.COMPLETED

    wait_for(is_there)
    entry = AuditEntry.objects.filter(action="job.check_status")[0]
    assert entry.actor.startswith("key:program")


def test_check_status_takes_a_runs_id(program, sandbox):
    sent_job(items=2)

    answer = program.post(f"{Run.objects.get().public_id}/check-status").json()

    assert answer["job"]["kind"] == "run"
    assert answer["message"] == "Asked the provider about 1 of 1 job."


@pytest.mark.parametrize("status", [JobStatus.PENDING, *JOB_FINAL])
def test_check_status_of_what_is_not_at_the_provider_shows_it(program, status):
    job = make_job(items=1, status=status)

    response = program.post(f"{job.public_id}/check-status")

    assert response.status_code == 200
    assert "Nothing of it is at the provider" in response.json()["message"]


def test_a_provider_that_cannot_be_reached_is_503_with_a_time(program, settings):
    settings.SANDBOX_URL = "http://127.0.0.1:9/v1"
    job = make_job(items=1, status=JobStatus.IN_PROGRESS)

    response = program.post(f"{job.public_id}/check-status")

    assert response.status_code == 503
    assert response.json()["code"] == "provider_unreachable"
    assert int(response["Retry-After"]) > 0


def test_a_provider_that_says_no_is_502(program, sandbox):
    job = make_job(items=1, status=JobStatus.IN_PROGRESS)  # which it has never seen

    response = program.post(f"{job.public_id}/check-status")

    assert response.status_code == 502
    assert response.json()["code"] == "provider_error"


# --- check-all-status -----------------------------------------------------------------


def test_check_all_status_asks_about_every_job(program, sandbox):
    jobs = [sent_job(items=1), sent_job(items=1)]
    make_job(items=1)

    answer = program.post("check-all-status").json()

    assert set(answer) == {"jobs", "message"}
    assert [job["id"] for job in answer["jobs"]] == [str(job.public_id) for job in jobs]
    assert answer["message"] == "Asked the provider about 2 of 2 jobs."


def test_check_all_status_with_nothing_under_way(program):
    assert program.post("check-all-status").json() == {
        "jobs": [],
        "message": "No job is at a provider.",
    }


def test_one_jobs_trouble_does_not_keep_the_others(program, sandbox):
    make_job(items=1, status=JobStatus.IN_PROGRESS)  # unknown there
    sent_job(items=1)

    response = program.post("check-all-status")

    assert response.status_code == 200
    assert response.json()["message"] == "Asked the provider about 1 of 2 jobs."


# --- process-results ------------------------------------------------------------------


def test_process_results_applies_them_once_however_often_it_is_called(program, sandbox):
    job = job_with_results(items=3)

    first = program.post(f"{job.public_id}/process-results")
    second = program.post(f"{job.public_id}/process-results")

    assert first.status_code == second.status_code == 200
    assert first.json()["job"]["status"] == "completed"
    assert first.json()["message"] == "Read the results of 1 of 1 job."
    assert "nothing was changed" in second.json()["message"]
    assert first.json()["job"] == second.json()["job"]
    assert Caption.objects.count() == 3


def test_process_results_takes_a_runs_id(program, sandbox):
    job_with_results(items=2)

    answer = program.post(f"{Run.objects.get().public_id}/process-results").json()

    assert (answer["job"]["kind"], answer["job"]["status"]) == ("run", "completed")


@pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.IN_PROGRESS])
def test_results_that_are_not_there_are_a_conflict(program, status):
    job = make_job(items=1, status=status)

    response = program.post(f"{job.public_id}/process-results")

    assert response.status_code == 409
    assert "no results yet" in response.json()["error"]


# --- cancel ---------------------------------------------------------------------------


def test_cancel_ends_what_was_never_sent(program):
    job = make_job(items=2)

    answer = program.post(f"{job.public_id}/cancel").json()

    assert (answer["job"]["status"], answer["message"]) == ("cancelled", "Cancelled.")
    assert answer["job"]["cancelledRequests"] == 2
    assert AuditEntry.objects.get(action="job.cancel").actor.startswith("key:program")


def test_cancel_of_a_running_job_is_told_to_the_provider(program, sandbox):
    job = sent_job(items=2)

    response = program.post(f"{job.public_id}/cancel")

    assert response.status_code == 200
    assert response.json()["job"]["status"] in ("processing", "cancelled")
    work_off()
    assert BatchJob.objects.get().status in JOB_FINAL


def test_cancel_takes_a_runs_id(program):
    run = make_collected_run(items=2)

    answer = program.post(f"{run.public_id}/cancel").json()

    assert (answer["job"]["status"], answer["message"]) == ("cancelled", "Cancelled.")
    assert BatchItem.objects.filter(status="cancelled").count() == 2


@pytest.mark.parametrize("status", [*JOB_FINAL, JobStatus.COMPLETED])
def test_cancel_of_what_is_over_is_a_conflict(program, status):
    job = make_job(items=1, status=status)

    response = program.post(f"{job.public_id}/cancel")

    assert response.status_code == 409
    assert response.json()["code"] == "conflict"
    assert not AuditEntry.objects.filter(action="job.cancel").exists()


def test_cancelling_twice_is_a_conflict_the_second_time(program):
    job = make_job(items=1)

    assert program.post(f"{job.public_id}/cancel").status_code == 200
    assert program.post(f"{job.public_id}/cancel").status_code == 409


def test_cancel_of_a_finished_run_is_a_conflict(program):
    run = make_collected_run(items=1)
    Run.objects.filter(pk=run.pk).update(
        status=RunStatus.COMPLETED, finished_at=timezone.now()
    )

    assert program.post(f"{run.public_id}/cancel").status_code == 409


@pytest.mark.parametrize("act", ["check-status", "process-results", "cancel"])
@pytest.mark.parametrize("key", ["00000000-0000-0000-0000-000000000000", "abc", "1"])
def test_an_id_that_is_none_is_not_found(program, act, key):
    response = program.post(f"{key}/{act}")

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"
