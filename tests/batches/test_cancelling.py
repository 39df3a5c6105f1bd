"""Runs, jobs and accounts cancelled: what ends at once, what is kept, what goes on."""

from datetime import timedelta

import pytest
from django.utils import timezone

from batches.errors import NotPossible
from batches.models import (
    BatchItem,
    BatchJob,
    ItemAttempt,
    OpenItem,
    Run,
)
from batches.providers.errors import ProviderError
from batches.services.bundling import bundle
from batches.services.by_hand import process_now, submit_now
from batches.services.collection import collect_run
from batches.services.polling import poll_jobs
from batches.services.recount import recount
from batches.services.requeue import failed_of_run, requeue
from batches.services.scopes import (
    Scope,
    foresee,
    steer,
)
from batches.services.steering import (
    cancel_job,
    cancel_run,
    set_priority,
)
from batches.states import (
    HoldScope,
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


def test_of_an_unsent_job_the_other_runs_items_go_out_without_those_cancelled():
    run = make_collected_run(items=2)
    other = make_collected_run(items=2)
    (job,) = bundle()

    cancel_run(run, by="amina")

    job.refresh_from_db()
    assert (job.status, job.items_cancelled, job.items_returned) == ("cancelled", 2, 2)
    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED
    (again,) = bundle()
    assert [share.run for share in again.shares.all()] == [other]
    assert recount(repair=False) == []


def test_a_sent_job_goes_on_until_no_run_needs_it(sandbox):
    sandbox.faults(never_ending=True)
    first = make_collected_run(items=2)
    second = make_collected_run(items=2)
    (job,) = bundle()
    submit_now(job, by="amina")

    cancel_run(first, by="amina")
    job.refresh_from_db()
    assert (job.status, job.intent) == (JobStatus.VALIDATING, Intent.NONE)
    cancel_run(second, by="amina")
    job.refresh_from_db()
    assert job.intent == Intent.CANCEL
    sandbox.clear_faults()
    work_off()

    job.refresh_from_db()
    assert (job.status, job.items_cancelled) == (JobStatus.CANCELLED, 4)
    assert not Caption.objects.exists()
    assert recount(repair=False) == []


def test_answers_of_a_cancelled_run_are_kept_with_their_cost_and_not_applied(sandbox):
    run = make_collected_run(items=2)
    other = make_collected_run(items=2)
    (job,) = bundle()
    submit_now(job, by="amina")
    poll_until(job, JobStatus.COMPLETED)

    cancel_run(run, by="amina")
    work_off()

    kept = ItemAttempt.objects.filter(item__run=run)
    assert {(one.outcome, one.error_code) for one in kept} == {
        ("cancelled", "cancelled")
    }
    assert all(one.answer and one.cost_nanos for one in kept)
    share, whole = run.shares.get(), other.shares.get()
    assert (share.cancelled, share.cost_nanos) == (2, whole.cost_nanos)
    stored = set(Caption.objects.values_list("item_id", flat=True))
    assert stored == set(other.items.values_list("pk", flat=True))
    assert (run.shares.get().complete, whole.complete) == (0, 2)
    assert recount(repair=False) == []


def test_what_fails_or_asks_for_more_of_a_cancelled_run_ends_there(sandbox):
    sandbox.faults(failed_lines={"rate": 1.0, "status": 500})
    run = make_collected_run(items=1, follow_ups=1)
    make_collected_run(items=1)
    (job,) = bundle()
    submit_now(job, by="amina")
    poll_until(job, JobStatus.COMPLETED)
    cancel_run(run, by="amina")

    process_now(job, by="amina")

    attempt = ItemAttempt.objects.get(item__run=run)
    assert (attempt.outcome, attempt.http_status) == ("cancelled", 500)
    assert attempt.raw_line
    assert not OpenItem.objects.filter(run=run).exists()
    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED
    assert (run.items.count(), retry_of(run)) == (1, 0)


def retry_of(run) -> int:
    return requeue(failed_of_run(run), by="amina").requeued


def test_what_is_in_flight_of_a_cancelled_run_is_not_taken_up_again(sandbox):
    """Retrying what failed must not make the rest of it wanted."""
    sandbox.faults(failed_lines={"rate": 1.0, "status": 400})
    run = make_collected_run(items=1)
    bundle()
    work_off()
    sandbox.clear_faults()
    Run.objects.filter(pk=run.pk).update(
        status=RunStatus.PROCESSING, finished_at=None, collected_at=None, cursor=""
    )
    make_paintings("one more")
    collect_run(Run.objects.get(pk=run.pk))
    make_collected_run(items=1)
    (job,) = bundle()
    submit_now(job, by="amina")
    run.refresh_from_db()
    cancel_run(run, by="amina")

    assert retry_of(run) == 0

    work_off()
    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED
    assert retry_of(run) == 1


# --- a workload, an account, everything -----------------------------------------------


def test_an_account_is_cancelled_and_others_are_not():
    ours = make_collected_run(items=1, account="ours")
    theirs = make_collected_run(items=1, account="theirs")
    scope = Scope(HoldScope.ACCOUNT, "ours")

    assert foresee("cancel", scope).unsent.items == 1
    assert steer("cancel", scope, by="amina").done == 1

    ours.refresh_from_db()
    theirs.refresh_from_db()
    assert ours.status == RunStatus.CANCELLED
    assert theirs.status == RunStatus.PENDING


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
