"""Every way in which a submission can go wrong, against a provider that does it."""

from contextlib import suppress
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from batches.models import Alert, BatchItem, BatchJob, Hold
from batches.providers.errors import ProviderError, ProviderUnreachable
from batches.services.holds import lift_hold, raise_hold
from batches.services.recount import recount
from batches.services.steering import cancel_job
from batches.services.submission import submit_jobs
from batches.states import (
    JOB_FINAL,
    HoldScope,
    Intent,
    ItemStatus,
    JobStatus,
)
from tests.batches.submitting import (
    batches_of,
    ends_well,
    files_of,
    meanwhile,
    our_lines,
    paid_once,
    submit,
    take_over,
)
from tests.driving import work_off
from tests.factories import make_job
from tests.sandbox.fixtures import running_sandbox, wait_for

pytestmark = pytest.mark.django_db


def test_a_job_is_sent_once_with_its_token_in_file_name_and_metadata(sandbox):
    job = make_job()

    submit()

    job.refresh_from_db()
    (batch,) = batches_of(job)
    assert (job.status, job.provider_batch_id) == (JobStatus.VALIDATING, batch.id)
    assert batch.metadata["number"] == "1"
    assert batch.input_file_id == job.input_file_id
    assert files_of(job) == [job.input_file_id]


def test_a_job_goes_the_whole_way(sandbox):
    job = make_job()

    ends_well(job)

    assert all(len(lines) == 1 for lines in our_lines(sandbox).values())


def test_a_lost_answer_to_create_is_found_and_adopted(sandbox, settings):
    sandbox.faults(lost_create_answer=1)
    job = make_job()

    said = submit()

    job.refresh_from_db()
    assert said
    assert (job.status, job.provider_batch_id) == (JobStatus.PENDING, None)
    assert job.create_sent_at is not None

    with time_machine.travel(timezone.now() + timedelta(minutes=5)):
        submit()
    job.refresh_from_db()
    assert job.status == JobStatus.VALIDATING
    assert [batch.id for batch in batches_of(job)] == [job.provider_batch_id]
    ends_well(job)


def test_nobody_sends_again_before_a_late_answer_could_have_shown_itself(sandbox):
    sandbox.faults(lost_create_answer=1)
    job = make_job()
    submit()

    submit()

    job.refresh_from_db()
    assert job.submission_number == 1
    assert len(batches_of(job)) == 1
    assert "looking for it" in job.waiting_reason


def test_a_create_that_never_arrived_is_sent_anew_under_the_next_number(sandbox):
    sandbox.faults(reset={"on": ["batches.create"], "times": 1})
    job = make_job()
    submit()
    job.refresh_from_db()
    first_file = job.input_file_id
    assert batches_of(job) == []

    with time_machine.travel(timezone.now() + timedelta(minutes=5)) as traveller:
        submit()  # looks, finds nothing, dooms and deletes the file
        job.refresh_from_db()
        assert job.file_deleted_at is not None
        assert job.submission_number == 1
        assert files_of(job) == []
        traveller.shift(timedelta(minutes=5))
        submit()  # looks again, and only then begins anew

    job.refresh_from_db()
    assert job.submission_number == 2
    assert job.input_file_id != first_file
    assert [batch.metadata["number"] for batch in batches_of(job)] == ["2"]
    ends_well(job)


def test_a_late_create_fails_for_its_deleted_file_and_nothing_is_paid_twice(sandbox):
    sandbox.faults(late_create={"seconds": 0.5, "times": 1})
    job = make_job()
    submit()
    with time_machine.travel(timezone.now() + timedelta(minutes=5)) as traveller:
        submit()  # too early to see it: the file is deleted
        wait_for(lambda: batches_of(job))
        wait_for(lambda: batches_of(job)[0].status == "failed")
        traveller.shift(timedelta(minutes=5))
        submit()  # finds the failed one: it settles the attempt

    ends_well(job)

    assert all(len(lines) == 1 for lines in our_lines(sandbox).values())
    assert [b.status for b in batches_of(job) if b.has_run] == ["completed"]


def test_a_delete_whose_answer_is_lost_is_repeated_until_it_is_confirmed(sandbox):
    sandbox.faults(reset={"on": ["batches.create"], "times": 1})
    job = make_job()
    submit()
    sandbox.faults(reset={"on": ["files.delete"], "times": 3})
    with time_machine.travel(timezone.now() + timedelta(minutes=5)):
        assert submit()
        job.refresh_from_db()
        assert job.file_doomed_at is not None
        assert job.file_deleted_at is None

        sandbox.faults(lost_delete_answer=1)
        submit()  # deleted, though nobody said so: 404 is a confirmation

    job.refresh_from_db()
    assert job.file_deleted_at is not None


def test_a_lost_answer_to_the_upload_costs_a_file_and_no_money(sandbox):
    sandbox.faults(lost_upload_answer={"times": 3})  # the client itself tries thrice
    job = make_job()

    assert submit()
    job.refresh_from_db()
    assert (job.status, job.create_sent_at) == (JobStatus.PENDING, None)

    ends_well(job)
    assert len([b for b in batches_of(job) if b.has_run]) == 1


@pytest.mark.parametrize("fault", ["wrong_key", "no_quota", "http_429"])
def test_trouble_with_the_account_delays_and_uses_nothing_up(sandbox, fault):
    sandbox.faults(**{fault: True})
    job = make_job()

    submit()

    job.refresh_from_db()
    assert job.status == JobStatus.PENDING
    assert job.create_sent_at is None
    assert job.waiting_reason
    assert set(BatchItem.objects.values_list("status", flat=True)) == {
        ItemStatus.IN_JOB
    }
    sandbox.clear_faults()
    ends_well(job)


def test_a_server_error_at_create_is_ambiguous_and_nothing_is_cleared(sandbox):
    sandbox.faults(http_500={"on": ["batches.create"], "times": 1})
    job = make_job()

    submit()

    job.refresh_from_db()
    assert job.create_sent_at is not None
    assert job.provider_batch_id is None


def test_a_database_that_went_back_in_time_adopts_what_it_had_sent(sandbox):
    job = make_job()
    submit()
    sent = BatchJob.objects.get(pk=job.pk).provider_batch_id
    BatchJob.objects.filter(pk=job.pk).update(
        status=JobStatus.PENDING,
        provider_batch_id=None,
        create_sent_at=None,
        input_file_id="",
    )

    submit()

    job.refresh_from_db()
    assert job.provider_batch_id == sent
    assert len(batches_of(job)) == 1
    assert "did not know" in Alert.objects.get(code="unexpected_batch").message
    ends_well(job)
    paid_once(sandbox)


def test_an_unsent_job_that_is_to_be_cancelled_ends_with_its_items(sandbox):
    job = make_job()
    BatchJob.objects.filter(pk=job.pk).update(intent=Intent.CANCEL)

    submit()

    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED
    assert job.items_cancelled == 3
    assert batches_of(job) == []
    assert recount(repair=False) == []


# --- cancelled on the way -------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "is_sent"),
    [("upload", False), ("batches_since", False), ("create", True)],
)
def test_a_cancel_while_a_job_is_sent_loses_nothing(
    sandbox, monkeypatch, call, is_sent
):
    job = make_job()
    meanwhile(
        monkeypatch, call, lambda: cancel_job(BatchJob.objects.get(pk=job.pk), by="me")
    )

    submit()
    assert bool(batches_of(job)) == is_sent
    work_off()

    job.refresh_from_db()
    assert job.status in JOB_FINAL
    assert job.items_complete + job.items_cancelled == 3
    assert recount(repair=False) == []
    paid_once(sandbox)


@pytest.mark.parametrize("passes", [0, 1, 2])
@pytest.mark.parametrize("fault", ["lost_create_answer", "reset"])
def test_a_cancel_while_a_create_is_looked_for_loses_nothing(sandbox, fault, passes):
    """Not at once: a batch may run, whose results would be paid for and unread."""
    sandbox.faults(**{fault: {"on": ["batches.create"], "times": 1}})
    job = make_job()
    submit()
    take_over(passes=passes)

    with suppress(ProviderError):
        cancel_job(BatchJob.objects.get(pk=job.pk), by="me")
    take_over(passes=3, after=passes)
    work_off()

    job.refresh_from_db()
    assert job.status in JOB_FINAL
    assert job.items_complete + job.items_cancelled == 3
    assert recount(repair=False) == []
    paid_once(sandbox)


# --- holds and switches ---------------------------------------------------------------


def test_a_held_job_says_what_it_waits_for_and_goes_out_when_it_may(sandbox):
    job = make_job()
    raise_hold(HoldScope.WORKLOAD, "by_hand", "Wait for the editors.", key="captions")

    submit()

    job.refresh_from_db()
    assert job.status == JobStatus.PENDING
    assert "Wait for the editors." in job.waiting_reason
    assert files_of(job) == []
    lift_hold(Hold.objects.get(), by="me")
    ends_well(job)


def test_a_hold_that_is_raised_during_the_upload_keeps_the_job(sandbox, monkeypatch):
    job = make_job()
    meanwhile(
        monkeypatch, "upload", lambda: raise_hold(HoldScope.ALL, "by_hand", "Stop.")
    )

    submit()

    assert batches_of(job) == []
    lift_hold(Hold.objects.get(), by="me")
    ends_well(job)
    paid_once(sandbox)


def test_what_was_sent_is_looked_for_although_nothing_may_be_sent(sandbox, settings):
    sandbox.faults(lost_create_answer=1)
    sent = make_job()
    submit()
    waiting = make_job()
    settings.BATCH_CREATION_ENABLED = False

    take_over(passes=1)

    sent.refresh_from_db()
    waiting.refresh_from_db()
    assert sent.status == JobStatus.VALIDATING
    assert (waiting.status, waiting.lease_epoch) == (JobStatus.PENDING, 0)


def test_a_sandbox_that_is_down_says_how_to_start_it(settings, tmp_path):
    settings.SPOOL_DIR = tmp_path
    settings.SANDBOX_URL = "http://127.0.0.1:9/v1"
    job = make_job()

    with pytest.raises(ProviderUnreachable, match="python manage.py sandbox"):
        submit_jobs(now=timezone.now())

    job.refresh_from_db()
    assert job.status == JobStatus.PENDING
    assert "manage.py sandbox" in job.waiting_reason


def test_a_wrong_key_is_told_with_what_to_do_about_it(settings, tmp_path):
    settings.SPOOL_DIR = tmp_path
    with running_sandbox("--api-key=right") as process:
        settings.SANDBOX_URL = process.url
        job = make_job()

        submit()

    job.refresh_from_db()
    assert job.status == JobStatus.PENDING
    assert "401" in job.waiting_reason
    assert "Check the key (OPENAI_API_KEY)" in job.waiting_reason
