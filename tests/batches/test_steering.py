from datetime import timedelta

import pytest
from django.utils import timezone

from batches.models import (
    AuditEntry,
    BatchItem,
    BatchJob,
    Event,
    ItemAttempt,
    OpenItem,
)
from batches.providers.errors import ProviderError
from batches.services.bundling import bundle
from batches.services.polling import poll_jobs
from batches.services.recount import recount
from batches.services.requeue import failed_of_job, failed_of_run, requeue
from batches.services.steering import (
    NotPossible,
    cancel_effect,
    cancel_job,
    cancel_run,
    check_now,
    job_effect,
    pause_run,
    process_now,
    resume_run,
    set_priority,
    submit_now,
    waiting_effect,
)
from batches.states import (
    EventKind,
    Intent,
    ItemStatus,
    JobStatus,
    Priority,
    RunStatus,
)
from tests.driving import work_off
from tests.factories import make_collected_run, make_job, make_paintings
from tests.gallery.models import Caption
from tests.sandbox.fixtures import wait_for

pytestmark = pytest.mark.django_db


def poll_until(job: BatchJob, status: str) -> None:
    def look() -> bool:
        poll_jobs(now=timezone.now() + timedelta(hours=1))
        job.refresh_from_db()
        return job.status == status

    wait_for(look)


def test_a_paused_run_keeps_its_items_and_a_resumed_one_lets_them_go():
    run = make_collected_run(items=2)

    pause_run(run, by="amina")
    assert bundle() == []
    resume_run(run, by="amina")
    assert len(bundle()) == 1

    acts = AuditEntry.objects.order_by("pk").values_list("action", "actor")
    assert list(acts) == [("run.pause", "amina"), ("run.resume", "amina")]


def test_pausing_twice_is_one_act():
    run = make_collected_run(items=1)
    pause_run(run, by="amina")
    pause_run(run, by="amina")

    assert AuditEntry.objects.count() == 1


def test_priority_reorders_what_waits(settings):
    settings.BATCH_MAX_REQUESTS = 2
    make_collected_run(items=2)
    second = make_collected_run(items=2)

    set_priority(second, Priority.HIGH, by="amina")

    first_job, _ = bundle()
    assert first_job.shares.get().run == second


def test_an_effect_is_what_waits_and_the_most_it_may_cost():
    run = make_collected_run(items=3)

    effect = waiting_effect(run)

    assert (effect.items, effect.nanos) == (3, run.estimate_nanos)
    assert cancel_effect(run) == effect
    (job,) = bundle()
    assert waiting_effect(run).items == 0
    assert job_effect(job) == effect


def test_cancelling_a_run_that_was_not_sent_ends_it_at_once(settings):
    settings.BATCH_MAX_REQUESTS = 2
    run = make_collected_run(items=5)
    set_priority(run, Priority.LOW, by="amina")
    bundle()
    make_paintings("another")
    OpenItem.objects.filter(job=BatchJob.objects.last()).count()

    cancel_run(run, by="amina")

    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED
    assert set(BatchJob.objects.values_list("status", flat=True)) == {
        JobStatus.CANCELLED
    }
    assert set(BatchItem.objects.values_list("status", flat=True)) == {
        ItemStatus.CANCELLED
    }
    assert not OpenItem.objects.exists()
    assert recount(repair=False) == []


def test_cancelling_a_run_in_the_pool_ends_it_at_once():
    run = make_collected_run(items=3)

    cancel_run(run, by="amina")

    run.refresh_from_db()
    assert (run.status, run.unsent_cancelled) == (RunStatus.CANCELLED, 3)
    assert ItemAttempt.objects.filter(outcome="cancelled", job=None).count() == 3
    assert recount(repair=False) == []


def test_a_job_shared_with_another_run_goes_on():
    run = make_collected_run(items=2)
    make_collected_run(items=2)
    (job,) = bundle()

    cancel_run(run, by="amina")

    job.refresh_from_db()
    assert (job.status, job.intent) == (JobStatus.PENDING, Intent.NONE)
    run.refresh_from_db()
    assert run.status == RunStatus.PROCESSING


def test_cancelling_a_running_job_keeps_what_was_finished(sandbox):
    sandbox.faults(never_ending=True)
    job = make_job(4)
    submit_now(job, by="amina")
    poll_until(job, JobStatus.IN_PROGRESS)

    cancel_job(job, by="amina")
    assert job.status in (JobStatus.CANCELLING, JobStatus.COMPLETED)
    sandbox.clear_faults()
    work_off()

    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED
    assert job.items_complete + job.items_cancelled == 4
    assert Caption.objects.count() == job.items_complete
    assert recount(repair=False) == []


def test_a_cancel_that_the_provider_was_not_told_is_told_later(sandbox):
    sandbox.faults(never_ending=True)
    job = make_job(2)
    submit_now(job, by="amina")
    poll_until(job, JobStatus.IN_PROGRESS)
    sandbox.faults(http_500={"on": ["batches.cancel"], "times": 1})

    with pytest.raises(Exception, match="500"):
        cancel_job(job, by="amina")
    job.refresh_from_db()
    assert (job.status, job.intent) == (JobStatus.IN_PROGRESS, Intent.CANCEL)

    def is_told() -> bool:
        poll_jobs(now=timezone.now() + timedelta(hours=1))
        job.refresh_from_db()
        return job.provider_status in ("cancelling", "cancelled")

    wait_for(is_told)
    sandbox.clear_faults()
    work_off()
    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED


def test_a_run_is_cancelled_whole_whatever_one_of_its_jobs_is_at(sandbox, settings):
    settings.BATCH_MAX_REQUESTS = 2
    sandbox.faults(never_ending=True)
    run = make_collected_run(items=6)
    first, second, third = bundle()
    for job in (first, second):
        submit_now(job, by="amina")
        poll_until(job, JobStatus.IN_PROGRESS)
    BatchJob.objects.filter(pk=first.pk).update(status=JobStatus.COMPLETED)
    sandbox.faults(http_500={"on": ["batches.cancel"], "times": 1})

    with pytest.raises(ProviderError, match="500"):
        cancel_run(run, by="amina")

    wanted = dict(BatchJob.objects.values_list("pk", "intent"))
    assert wanted == {first.pk: "", second.pk: "cancel", third.pk: "cancel"}
    third.refresh_from_db()
    assert third.status == JobStatus.CANCELLED
    run.refresh_from_db()
    assert run.cancelled_at is not None


@pytest.mark.parametrize(
    "status", [JobStatus.COMPLETED, JobStatus.PROCESSED, JobStatus.FAILED]
)
def test_a_job_that_is_over_cannot_be_cancelled(status):
    job = make_job(1, status=status)

    with pytest.raises(NotPossible, match="cannot be cancelled"):
        cancel_job(job, by="amina")

    assert BatchJob.objects.get(pk=job.pk).intent == Intent.NONE


@pytest.mark.parametrize(
    ("act", "status"),
    [
        (submit_now, JobStatus.VALIDATING),
        (check_now, JobStatus.PENDING),
        (process_now, JobStatus.IN_PROGRESS),
    ],
)
def test_a_stage_is_refused_to_a_job_it_is_not_for(act, status):
    job = make_job(1, status=status)

    with pytest.raises(NotPossible, match="this is for one that is"):
        act(job, by="amina")


def test_every_act_on_a_finished_run_is_refused():
    run = make_collected_run(items=1)
    cancel_run(run, by="amina")
    run.refresh_from_db()

    for act in (pause_run, resume_run, cancel_run):
        with pytest.raises(NotPossible, match="is finished"):
            act(run, by="amina")


def test_failed_items_go_out_again_and_the_figures_follow(sandbox):
    sandbox.faults(failed_lines={"rate": 1.0, "status": 500})
    job = make_job(3)
    run = job.shares.get().run
    work_off()
    run.refresh_from_db()
    assert run.status == RunStatus.FAILED
    sandbox.clear_faults()

    done = requeue(failed_of_run(run), by="amina")

    assert (done.requeued, done.skipped) == (3, 0)
    run.refresh_from_db()
    assert run.status == RunStatus.PROCESSING
    assert recount(repair=False) == []
    work_off()
    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED
    assert Caption.objects.count() == 3
    assert recount(repair=False) == []
    assert Event.objects.filter(run=run, kind=EventKind.RUN_RETRY).count() == 1
    assert AuditEntry.objects.get(action="items.requeue").after == {
        "requeued": 3,
        "skipped": 0,
    }


def test_what_was_never_sent_is_not_requeued():
    make_paintings("TOO LARGE")
    run = make_collected_run(items=0)

    done = requeue(failed_of_run(run), by="amina")

    assert (done.requeued, done.skipped) == (0, 1)


def test_requeueing_twice_does_it_once(sandbox):
    sandbox.faults(failed_lines={"rate": 1.0, "status": 400})
    job = make_job(2)
    work_off()

    assert requeue(failed_of_job(job), by="amina").requeued == 2
    assert requeue(failed_of_job(job), by="amina").requeued == 0
    assert OpenItem.objects.count() == 2
