import json
from datetime import timedelta

import pytest
from django.utils import timezone

from batches.models import (
    Alert,
    BatchItem,
    BatchJob,
    ItemAttempt,
    OpenItem,
    StrayLine,
)
from batches.providers.errors import ProviderError
from batches.providers.openai_batch import RemoteBatch
from batches.providers.registry import get_provider
from batches.services.bundling import bundle
from batches.services.ingestion import ingest_jobs
from batches.services.polling import (
    FILE_WAITS_SECONDS,
    _next_status,
    growing_wait,
    poll_jobs,
)
from batches.services.recount import recount
from batches.services.settlement import refuse_job
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


def take_refusal(job: BatchJob) -> BatchJob:
    """Send a job, and poll until it is refused and waits again."""
    submit_jobs(now=timezone.now() + timedelta(hours=2))
    return poll_until(job, JobStatus.PENDING)


def test_each_refusal_for_load_waits_longer_and_the_sixth_is_told_of(sandbox):
    sandbox.faults(token_limit=1)
    job = make_job(1)
    waits = []

    for _ in range(6):
        before = timezone.now()
        take_refusal(job)
        waits.append(round((job.not_before - before).total_seconds()))
        told = Alert.objects.filter(code="refused_often").count()

    assert waits[0] <= 3 < waits[3]
    assert 28 <= waits[5] <= 46  # the sandbox's longest, and up to half as long again
    assert told == 1
    assert "a higher limit" in Alert.objects.get().message
    assert set(BatchItem.objects.values_list("attempts", flat=True)) == {1}


def test_real_waits_for_load_go_from_a_minute_to_an_hour():
    minutes = [
        growing_wait(BatchJob(provider="openai", submission_number=number)).seconds / 60
        for number in (1, 2, 3, 7, 40)
    ]

    assert minutes == [1, 2, 4, 60, 60]


def test_a_file_that_is_not_visible_yet_is_asked_for_again_and_then_uploaded_anew(
    sandbox,
):
    sandbox.faults(invisible_file={"seconds": 600, "times": 1})
    job = make_job(2)
    files = []

    for _ in range(5):
        take_refusal(job)
        files.append(job.input_file_id)

    assert len(set(files[:4])) == 1
    assert files[4] == ""
    assert [job.submission_number, Alert.objects.get().code] == [6, "file_not_visible"]
    work_off()
    assert Caption.objects.count() == 2
    assert BatchJob.objects.get().status == JobStatus.PROCESSED
    assert recount(repair=False) == []


def test_the_first_wait_for_a_real_file_is_half_a_minute():
    assert FILE_WAITS_SECONDS == (30, 60, 120, 300)


def test_a_file_that_is_gone_at_create_is_uploaded_anew_in_the_end(sandbox):
    job = make_job(2)
    sandbox.faults(http_500={"on": ["batches.create"]})
    with pytest.raises(ProviderError):
        submit_jobs(now=timezone.now())
    job.refresh_from_db()
    sandbox.clear_faults()
    BatchJob.objects.filter(pk=job.pk).update(
        status=JobStatus.PENDING, create_sent_at=None, input_file_id="file-gone"
    )

    work_off()

    job.refresh_from_db()
    assert job.status == JobStatus.PROCESSED
    assert job.input_file_id != "file-gone"
    assert Caption.objects.count() == 2


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda item, n: ask(item, model="gpt-unknown"), "model_not_found"),
        (
            lambda item, n: ask(item, model=("gpt-4o-mini", "gpt-4o")[n]),
            "mismatched_model",
        ),
    ],
)
def test_what_condemns_the_file_fails_each_item_in_the_providers_words(
    sandbox, make, code
):
    job = make_job(2)
    for number, opened in enumerate(job.open_items.order_by("item")):
        make(opened.item, number)

    work_off()

    job.refresh_from_db()
    assert (job.status, job.items_failed) == (JobStatus.FAILED, 2)
    errors = json.loads(job.provider_answer)["errors"]["data"]
    assert {error["code"] for error in errors} == {code}
    for attempt in ItemAttempt.objects.all():
        assert attempt.error_code == code
        assert errors[0]["message"] in attempt.error_message
    assert BatchJob.objects.count() == 1
    assert recount(repair=False) == []


def test_all_that_is_wrong_with_a_line_is_kept_on_its_item():
    job = make_job(3, status=JobStatus.VALIDATING)
    bad = job.open_items.order_by("item")[1].item
    said = [
        {"code": "invalid_request", "message": "No messages.", "line": 2},
        {"code": "streaming_unsupported", "message": "No streams.", "line": 2},
    ]

    refuse_job(job, code="invalid_request", message="two errors", bad_lines={2: said})

    attempt = bad.tries.get()
    assert attempt.error_code == "invalid_request"
    assert attempt.error_message == "No messages.; No streams."
    assert OpenItem.objects.filter(job__isnull=True).count() == 2


def test_a_batch_that_failed_after_it_began_is_read_like_one_that_expired(sandbox):
    sandbox.faults(never_ending=True, file_needed=True)
    job = sent_job(4)
    poll_until(job, JobStatus.IN_PROGRESS)
    get_provider("sandbox").delete_file(job.input_file_id)
    sandbox.faults(never_ending=None)

    poll_until(job, JobStatus.COMPLETED)

    assert job.provider_status == "failed"
    assert "Cannot find file" in job.events.order_by("-pk").first().message
    sandbox.clear_faults()
    work_off()
    job.refresh_from_db()
    assert job.status == JobStatus.FAILED
    assert job.items_complete + job.items_returned == 4
    assert Caption.objects.count() == 4
    assert recount(repair=False) == []


@pytest.mark.parametrize(
    "seen",
    [{"began": True}, {"total": 3}, {"completed": 1}, {"failed": 1}]
    + [{"output_file_id": "f"}, {"error_file_id": "f"}],
)
def test_failed_with_any_sign_of_work_is_an_ending(seen):
    batch = RemoteBatch(id="b", status="failed", **seen)

    assert batch.has_run
    assert _next_status(BatchJob(status=JobStatus.VALIDATING), batch) == (
        JobStatus.COMPLETED
    )


@pytest.mark.parametrize("fault", ["empty_string_ids", "empty_files", "all_lines_fail"])
def test_endings_with_odd_files_are_read(sandbox, fault):
    sandbox.faults(**{fault: 1})
    job = sent_job(2)

    poll_until(job, JobStatus.COMPLETED)

    ingest_jobs(now=timezone.now())
    job.refresh_from_db()
    assert job.finished_at
    assert recount(repair=False) == []
