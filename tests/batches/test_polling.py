import json
from datetime import timedelta

import pytest
from django.utils import timezone

from batches.models import BatchItem, BatchJob, ItemAttempt, OpenItem, StrayLine
from batches.providers.openai_batch import RemoteBatch
from batches.services.bundling import bundle
from batches.services.polling import _next_status, poll_jobs
from batches.services.recount import recount
from batches.services.submission import submit_jobs
from batches.states import AT_PROVIDER, Intent, ItemStatus, JobStatus
from tests.driving import work_off
from tests.factories import make_job
from tests.gallery.models import Caption
from tests.sandbox.fixtures import wait_for

pytestmark = pytest.mark.django_db


def poll_until(job: BatchJob, status: str) -> BatchJob:
    """Poll, an hour later each time, until the job has a status."""

    def look() -> bool:
        poll_jobs(now=timezone.now() + timedelta(hours=1))
        job.refresh_from_db()
        return job.status == status

    wait_for(look)
    return job


def sent_job(items: int = 3) -> BatchJob:
    job = make_job(items)
    submit_jobs(now=timezone.now())
    job.refresh_from_db()
    assert job.status == JobStatus.VALIDATING
    return job


def ask(item: BatchItem, **body) -> None:
    """Have the item's request say something else."""
    body["messages"] = [{"role": "user", "content": "x"}]
    item.request.body = json.dumps(body)
    item.request.save()


@pytest.mark.parametrize("ending", ["completed", "expired", "cancelled", "failed"])
@pytest.mark.parametrize("status", AT_PROVIDER)
def test_every_ending_of_a_batch_leads_to_its_files(status, ending):
    job = BatchJob(status=status)
    batch = RemoteBatch(id="b", status=ending, total=3)

    assert _next_status(job, batch) == JobStatus.COMPLETED


def test_a_status_that_nobody_knows_is_not_an_ending():
    job = BatchJob(status=JobStatus.IN_PROGRESS)

    assert _next_status(job, RemoteBatch(id="b", status="dreaming")) is None


def test_a_status_that_would_lead_back_is_not_taken():
    job = BatchJob(status=JobStatus.FINALIZING)

    assert _next_status(job, RemoteBatch(id="b", status="in_progress")) is None


def test_the_providers_counts_are_mirrored_beside_our_own(sandbox):
    job = sent_job()

    poll_until(job, JobStatus.COMPLETED)

    assert (job.provider_total, job.provider_completed) == (3, 3)
    assert job.items_complete == 0
    assert job.provider_status == "completed"
    assert job.output_file_id
    assert '"request_counts"' in job.provider_answer


def test_a_job_that_stays_where_it_is_is_polled_again(sandbox):
    sandbox.faults(never_ending=True)
    job = sent_job()
    poll_until(job, JobStatus.IN_PROGRESS)

    assert poll_jobs(now=timezone.now() + timedelta(hours=1)) == 0

    sandbox.clear_faults()
    poll_until(job, JobStatus.COMPLETED)


def test_a_full_token_queue_sends_the_same_file_again_under_a_new_number(sandbox):
    sandbox.faults(token_limit=1)
    job = sent_job()
    file_id = job.input_file_id

    poll_until(job, JobStatus.PENDING)

    assert job.submission_number == 2
    assert job.input_file_id == file_id
    assert job.provider_batch_id is None
    assert "token" in job.waiting_reason.lower()
    assert set(BatchItem.objects.values_list("attempts", flat=True)) == {1}
    sandbox.clear_faults()
    work_off()
    assert Caption.objects.count() == 3
    assert recount(repair=False) == []


def test_a_refused_line_fails_alone_and_the_rest_goes_out_again(sandbox):
    job = make_job(3)
    bad = OpenItem.objects.filter(job=job).order_by("item_id")[1].item
    ask(bad, model="gpt-4o-mini", stream=True)

    work_off()

    bad.refresh_from_db()
    assert (bad.status, bad.error_code) == (ItemStatus.FAILED, "streaming_unsupported")
    assert Caption.objects.count() == 2
    job.refresh_from_db()
    assert (job.status, job.items_failed, job.items_returned) == (
        JobStatus.FAILED,
        1,
        2,
    )
    assert BatchJob.objects.count() == 2
    assert recount(repair=False) == []


def test_a_model_that_the_provider_does_not_know_fails_every_item(sandbox):
    job = make_job(2)
    for opened in OpenItem.objects.filter(job=job):
        ask(opened.item, model="gpt-unknown")

    work_off()

    job.refresh_from_db()
    assert (job.status, job.items_failed) == (JobStatus.FAILED, 2)
    assert set(BatchItem.objects.values_list("error_code", flat=True)) == {
        "model_not_found"
    }
    assert ItemAttempt.objects.first().error_message


def test_one_jobs_trouble_does_not_keep_the_others(sandbox):
    first, second = sent_job(2), None
    second = make_job(2)
    submit_jobs(now=timezone.now())
    BatchJob.objects.filter(pk=first.pk).update(provider_batch_id="batch_nowhere")

    def look() -> bool:
        with pytest.raises(Exception, match="batch_nowhere"):
            poll_jobs(now=timezone.now() + timedelta(hours=1))
        second.refresh_from_db()
        return second.status == JobStatus.COMPLETED

    wait_for(look)
    first.refresh_from_db()
    assert first.status == JobStatus.VALIDATING
    assert "batch_nowhere" in first.waiting_reason


def test_what_expired_goes_back_and_is_paid_once(sandbox):
    sandbox.faults(expire_partial={"share": 0.5, "times": 1})
    job = make_job(4)

    work_off()

    job.refresh_from_db()
    assert job.status == JobStatus.EXPIRED
    assert (job.items_complete, job.items_returned) == (2, 2)
    assert Caption.objects.count() == 4
    assert BatchJob.objects.count() == 2
    assert StrayLine.objects.count() == 0
    assert recount(repair=False) == []
    returned = ItemAttempt.objects.filter(outcome="returned")
    assert {(a.error_code, a.cost_nanos) for a in returned} == {("batch_expired", 0)}


def test_a_job_that_a_person_cancelled_ends_with_what_was_finished(sandbox):
    sandbox.faults(expire_partial={"share": 0.5, "times": 1})
    job = sent_job(4)
    BatchJob.objects.filter(pk=job.pk).update(intent=Intent.CANCEL)

    work_off()

    job.refresh_from_db()
    assert (job.items_complete, job.items_cancelled) == (2, 2)
    assert bundle() == []
    assert recount(repair=False) == []
