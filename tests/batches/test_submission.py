"""Every way in which a submission can go wrong, against a provider that does it."""

import socket
import subprocess
import sys
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from batches.errors import LostLease
from batches.models import BatchItem, BatchJob, Event
from batches.providers.errors import ProviderError, ProviderUnreachable
from batches.providers.registry import get_provider
from batches.services import submission
from batches.services.leases import claim, held, holder_name
from batches.services.recount import recount
from batches.services.submission import submit_jobs
from batches.states import EventKind, Intent, ItemStatus, JobStatus
from tests.driving import work_off
from tests.factories import make_job
from tests.gallery.models import Caption
from tests.sandbox.fixtures import SandboxProcess, running_sandbox, wait_for

pytestmark = pytest.mark.django_db


def submit(at=None) -> list[str]:
    """One pass of the stage; what the provider had to say."""
    try:
        submit_jobs(now=at or timezone.now() + timedelta(hours=1))
    except ProviderError as err:
        return [str(err)]
    return []


def our_lines(sandbox: SandboxProcess) -> dict[str, list[dict]]:
    """What the provider billed for the items of this test: {custom id: lines}."""
    billed = sandbox.ledger()["by_custom_id"]
    tokens = set(BatchJob.objects.values_list("provider_batch_id", flat=True))
    keys = {str(key) for key in BatchItem.objects.values_list("pk", flat=True)}
    return {
        key: [line for line in billed.get(key, []) if line["batch"] in tokens]
        for key in keys
    }


def batches_of(job: BatchJob) -> list:
    """All batches at the provider that carry this job's token."""
    since = int((job.created_at - timedelta(minutes=10)).timestamp())
    return [
        batch
        for batch in get_provider("sandbox").batches_since(since)
        if batch.metadata.get("token") == job.token
    ]


def files_of(job: BatchJob) -> list[str]:
    files = get_provider("sandbox").input_files()
    return [file.id for file in files if job.token in file.filename]


def ends_well(job: BatchJob) -> None:
    """Work off what is left; every item has one answer and the figures agree."""
    work_off()
    job.refresh_from_db()
    assert job.status == JobStatus.PROCESSED
    assert Caption.objects.count() == job.items_total == job.items_complete
    assert recount(repair=False) == []


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
    notes = Event.objects.filter(job=job, kind=EventKind.BATCH_NOTE)
    assert "did not know" in notes.get().message
    ends_well(job)


def test_a_holder_that_was_overtaken_deletes_the_file_it_uploaded(sandbox, monkeypatch):
    job = make_job()
    provider = get_provider("sandbox")
    upload = provider.upload

    def upload_and_be_overtaken(path, name, **watched):
        file_id = upload(path, name, **watched)
        BatchJob.objects.filter(pk=job.pk).update(lease_epoch=99)
        return file_id

    monkeypatch.setattr(provider, "upload", upload_and_be_overtaken)
    submit()

    assert files_of(job) == []
    assert batches_of(job) == []
    assert BatchJob.objects.get(pk=job.pk).input_file_id == ""


def test_a_holder_that_was_overtaken_before_sending_does_not_send(sandbox, monkeypatch):
    job = make_job()
    adopt = submission._adopt_unexpected

    def be_overtaken(job, provider):
        found = adopt(job, provider)
        BatchJob.objects.filter(pk=job.pk).update(lease_epoch=99)
        return found

    monkeypatch.setattr(submission, "_adopt_unexpected", be_overtaken)
    submit()

    assert batches_of(job) == []


def test_an_unsent_job_that_is_to_be_cancelled_ends_with_its_items(sandbox):
    job = make_job()
    BatchJob.objects.filter(pk=job.pk).update(intent=Intent.CANCEL)

    submit()

    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED
    assert job.items_cancelled == 3
    assert batches_of(job) == []
    assert recount(repair=False) == []


def test_a_sandbox_that_is_down_says_how_to_start_it(settings, tmp_path):
    settings.SPOOL_DIR = tmp_path
    settings.SANDBOX_URL = "http://127.0.0.1:9/v1"
    job = make_job()

    with pytest.raises(ProviderUnreachable, match="python manage.py sandbox"):
        submit_jobs(now=timezone.now())

    job.refresh_from_db()
    assert job.status == JobStatus.PENDING
    assert "manage.py sandbox" in job.waiting_reason


def test_a_job_that_another_holds_is_left_to_it(sandbox):
    job = make_job()
    BatchJob.objects.filter(pk=job.pk).update(
        lease_owner="elsewhere:1:1",
        lease_until=timezone.now() + timedelta(hours=1, seconds=50),
        lease_epoch=1,
    )

    submit()

    assert BatchJob.objects.get(pk=job.pk).status == JobStatus.PENDING


def test_a_claim_raises_the_epoch_so_that_the_earlier_holder_can_write_no_more():
    job = make_job()
    earlier = BatchJob.objects.get(pk=job.pk)
    assert claim(earlier, now=timezone.now())
    later = BatchJob.objects.get(pk=job.pk)
    assert claim(later, now=timezone.now() + timedelta(hours=1))

    with pytest.raises(LostLease):
        submission.update_job(earlier, input_file_id="file-x")


def test_a_lease_that_is_lost_on_the_way_ends_the_work_quietly():
    job = make_job()

    with held(job, now=timezone.now()) as is_ours:
        assert is_ours
        raise LostLease("another has it")

    assert BatchJob.objects.get(pk=job.pk).lease_until is None


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


def test_the_lease_of_a_process_that_is_gone_does_not_count():
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    job = make_job()
    host = socket.gethostname()
    BatchJob.objects.filter(pk=job.pk).update(
        lease_owner=f"{host}:{ended.pid}:1",
        lease_until=timezone.now() + timedelta(hours=1),
    )
    job.refresh_from_db()

    assert claim(job, now=timezone.now())
    assert job.lease_owner == holder_name()


@pytest.mark.parametrize("holder", ["elsewhere:1:1", "nonsense", ""])
def test_a_lease_of_which_nothing_is_known_counts_until_it_ends(holder):
    job = make_job()
    BatchJob.objects.filter(pk=job.pk).update(
        lease_owner=holder, lease_until=timezone.now() + timedelta(minutes=1)
    )
    job.refresh_from_db()

    assert not claim(job, now=timezone.now())


def test_a_lease_of_this_very_process_counts():
    job = make_job()
    assert claim(job, now=timezone.now())

    assert not claim(BatchJob.objects.get(pk=job.pk), now=timezone.now())
