"""A job that is late is told of once and polled on; only a person gives it up."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from batches.errors import NotPossible
from batches.models import Alert, AuditEntry, BatchItem, BatchJob, OpenItem
from batches.models.money import to_nanos
from batches.monitoring.explain import explain_job
from batches.providers.registry import get_provider
from batches.services.budget import Budget, Payer
from batches.services.bundling import bundle
from batches.services.deadlines import LATE, VERY_LATE, look_after_abandoned
from batches.services.effects import abandon_effect
from batches.services.lifecycle import run_figures
from batches.services.pipeline import process_once
from batches.services.polling import poll_jobs
from batches.services.recount import recount
from batches.services.requeue import retry_job
from batches.services.steering import (
    abandon_job,
    possible_for_job,
)
from batches.services.submission import submit_jobs
from batches.states import Intent, ItemStatus, JobStatus, RunStatus, Severity
from tests.driving import work_off
from tests.factories import make_job
from tests.gallery.models import Caption
from tests.sandbox.fixtures import wait_for

pytestmark = pytest.mark.django_db


def poll() -> None:
    poll_jobs(now=timezone.now() + timedelta(hours=1))


def running_job(items: int = 2) -> BatchJob:
    """A job that the provider works on."""
    job = make_job(items)
    submit_jobs(now=timezone.now())

    def look() -> bool:
        poll()
        job.refresh_from_db()
        return job.status == JobStatus.IN_PROGRESS

    wait_for(look)
    return job


def send_back(job: BatchJob, *, hours: float, **changes) -> BatchJob:
    """Have the job be at the provider for so long already."""
    then = timezone.now() - timedelta(hours=hours)
    BatchJob.objects.filter(pk=job.pk).update(validating_at=then, **changes)
    job.refresh_from_db()
    return job


def test_a_job_in_time_is_told_of_to_nobody(sandbox):
    sandbox.faults(never_ending=True)
    job = send_back(running_job(), hours=23)

    poll()

    job.refresh_from_db()
    assert not Alert.objects.exists()
    assert job.waiting_reason == ""
    assert "abandon" not in possible_for_job(job)


def test_a_late_job_is_told_of_once_and_polled_on(sandbox):
    sandbox.faults(never_ending=True)
    job = send_back(running_job(), hours=25)

    poll()
    poll()

    alert = Alert.objects.get()
    assert (alert.code, alert.severity, alert.times) == (LATE, Severity.MEDIUM, 1)
    job.refresh_from_db()
    assert "25 hours" in job.waiting_reason
    assert "25 hours" in explain_job(job).facts["alerts"]
    assert job.next_poll_at > timezone.now() - timedelta(minutes=1)
    Alert.objects.update(acknowledged_at=timezone.now())
    poll()
    assert Alert.objects.count() == 1


def test_after_twice_the_time_the_alert_is_critical(sandbox):
    sandbox.faults(never_ending=True)
    send_back(running_job(), hours=49)

    poll()

    assert Alert.objects.get().severity == Severity.CRITICAL
    assert Alert.objects.get().code == VERY_LATE


def test_the_time_is_a_setting(sandbox, settings):
    settings.BATCH_TIMEOUT_HOURS = 2
    sandbox.faults(never_ending=True)
    send_back(running_job(), hours=3)

    poll()

    assert "BATCH_TIMEOUT_HOURS is 2" in Alert.objects.get().message


def test_a_late_job_is_told_of_though_the_provider_is_silent(sandbox):
    sandbox.faults(never_ending=True)
    send_back(running_job(), hours=25, provider_batch_id="batch_nowhere")

    with pytest.raises(Exception, match="batch_nowhere"):
        poll()

    assert Alert.objects.get().code == LATE


def test_the_alert_closes_when_the_job_ends_after_all(sandbox):
    sandbox.faults(never_ending=True)
    send_back(running_job(), hours=25)
    poll()
    sandbox.clear_faults()

    work_off()

    assert Alert.objects.get().acknowledged_at
    assert Caption.objects.count() == 2


# --- giving up ------------------------------------------------------------------------


def test_a_job_that_is_not_late_is_not_abandoned(sandbox):
    sandbox.faults(never_ending=True)
    job = running_job()

    with pytest.raises(NotPossible, match="not late"):
        abandon_job(job, by="amina")

    job.refresh_from_db()
    assert job.intent == Intent.NONE
    assert not AuditEntry.objects.exists()


def test_what_can_be_cancelled_is_cancelled_and_loses_nothing(sandbox):
    sandbox.faults(never_ending=True)
    job = send_back(running_job(4), hours=25)

    abandon_job(job, by="amina")

    assert job.status in (JobStatus.CANCELLING, JobStatus.COMPLETED)
    work_off()
    job.refresh_from_db()
    assert (job.status, job.abandoned_at) == (JobStatus.CANCELLED, None)
    assert job.items_complete + job.items_cancelled == 4
    assert Caption.objects.count() == job.items_complete > 0
    assert recount(repair=False) == []
    entry = AuditEntry.objects.get(action="job.abandon")
    assert (entry.actor, entry.before) == ("amina", {"status": "in_progress"})


def test_a_batch_that_was_just_cancelled_is_waited_for(sandbox):
    sandbox.faults(never_ending=True)
    job = send_back(
        running_job(),
        hours=25,
        status=JobStatus.CANCELLING,
        cancelling_at=timezone.now() - timedelta(minutes=5),
    )

    with pytest.raises(NotPossible, match="can be abandoned from"):
        abandon_job(job, by="amina")


def lost_job(items: int = 2) -> BatchJob:
    """A late job whose batch the provider does not know any more."""
    return send_back(running_job(items), hours=25, provider_batch_id="batch_nowhere")


def test_what_cannot_be_cancelled_ends_and_may_be_retried_by_hand_alone(sandbox):
    sandbox.faults(never_ending=True)
    job = lost_job(3)
    tell = abandon_effect(job)

    abandon_job(job, by="amina")

    assert (tell.items, tell.nanos > 0) == (3, True)
    assert job.status == JobStatus.FAILED
    assert job.abandoned_at
    assert (job.items_failed, OpenItem.objects.count()) == (3, 0)
    item = BatchItem.objects.first()
    assert (item.status, item.error_code) == (ItemStatus.FAILED, "abandoned")
    assert "amina gave up" in item.tries.get().error_message
    assert job.shares.get().run.status == RunStatus.FAILED
    assert bundle() == []
    assert recount(repair=False) == []
    sandbox.clear_faults()
    assert retry_job(job, by="amina").requeued == 3
    work_off()
    assert Caption.objects.count() == 3


def test_a_batch_stuck_in_cancelling_ends(sandbox):
    sandbox.faults(never_ending=True)
    job = send_back(
        running_job(),
        hours=25,
        status=JobStatus.CANCELLING,
        cancelling_at=timezone.now() - timedelta(hours=1),
    )

    abandon_job(job, by="amina")

    assert job.abandoned_at
    assert Alert.objects.filter(acknowledged_at__isnull=True).count() == 0


def test_a_batch_that_has_ended_meanwhile_is_read(sandbox):
    sandbox.faults(never_ending=True)
    job = running_job()
    sandbox.clear_faults()
    wait_for(lambda: has_ended_there(job.provider_batch_id))
    send_back(job, hours=25)

    abandon_job(job, by="amina")

    assert (job.status, job.abandoned_at) == (JobStatus.COMPLETED, None)
    work_off()
    assert Caption.objects.count() == 2


def has_ended_there(batch_id: str) -> bool:
    return get_provider("sandbox").retrieve(batch_id).status == "completed"


def unreadable_job(items: int = 3) -> BatchJob:
    """A job whose results are ready since yesterday, and whose file is gone."""
    job = make_job(items)
    work_off_to(job, JobStatus.COMPLETED)
    yesterday = timezone.now() - timedelta(hours=25)
    BatchJob.objects.filter(pk=job.pk).update(
        output_file_id="file-gone", completed_at=yesterday
    )
    job.refresh_from_db()
    return job


def work_off_to(job: BatchJob, status: JobStatus) -> None:
    submit_jobs(now=timezone.now())

    def look() -> bool:
        poll()
        job.refresh_from_db()
        return job.status == status

    wait_for(look)


def test_results_that_cannot_be_read_are_told_of_and_may_be_given_up(sandbox):
    job = unreadable_job()

    report = process_once()

    assert any("file-gone" in said for said in report.trouble)
    assert "has results that could not be read" in Alert.objects.get(code=LATE).message
    job.refresh_from_db()
    assert "abandon" in possible_for_job(job)
    abandon_job(job, by="amina")
    assert (job.status, job.items_failed) == (JobStatus.FAILED, 3)
    assert job.abandoned_at
    assert recount(repair=False) == []


def test_results_that_can_be_read_after_all_are_not_given_up(sandbox):
    job = unreadable_job()
    batch = get_provider("sandbox").retrieve(job.provider_batch_id)
    BatchJob.objects.filter(pk=job.pk).update(output_file_id=batch.output_file_id)
    job.refresh_from_db()

    abandon_job(job, by="amina")

    assert (job.status, job.abandoned_at) == (JobStatus.PROCESSED, None)
    assert Caption.objects.count() == 3


def test_the_money_of_an_abandoned_job_counts_as_spent(sandbox, settings):
    settings.MONTHLY_CAP_USD = 1
    sandbox.faults(never_ending=True)
    job = lost_job()
    abandon_job(job, by="amina")
    BatchJob.objects.update(provider="openai")
    reserved = run_figures(job.shares.get().run).cost_nanos
    share = job.shares.get()

    purse = Budget("openai", now=timezone.now()).tightest(Payer(job.workload))

    assert reserved == 0
    assert purse.left == to_nanos(1) - share.reserved_nanos


def test_what_ends_after_it_was_abandoned_is_told_of_and_not_applied(sandbox):
    sandbox.faults(never_ending=True)
    job = running_job()
    batch_id = job.provider_batch_id
    send_back(job, hours=25, provider_batch_id="batch_nowhere")
    abandon_job(job, by="amina")
    BatchJob.objects.filter(pk=job.pk).update(provider_batch_id=batch_id)

    assert look_after_abandoned(now=timezone.now()) == 0  # too early
    with time_machine.travel(timezone.now() + timedelta(hours=7)):
        assert look_after_abandoned(now=timezone.now()) == 0  # it runs still
    sandbox.clear_faults()
    wait_for(lambda: has_ended_there(batch_id))
    with time_machine.travel(timezone.now() + timedelta(hours=14)):
        assert look_after_abandoned(now=timezone.now()) == 1
        assert look_after_abandoned(now=timezone.now()) == 0

    job.refresh_from_db()
    assert (job.status, job.provider_status) == (JobStatus.FAILED, "completed")
    assert job.output_file_id
    alert = Alert.objects.get(code="abandoned_job_ended")
    assert "2 of 2 requests answered" in alert.message
    assert Caption.objects.count() == 0
