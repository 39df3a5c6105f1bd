"""What is at the provider against what is known here."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from batches.models import (
    Alert,
    BatchJob,
    Hold,
    Installation,
)
from batches.providers.errors import ProviderError
from batches.providers.registry import get_provider
from batches.services.account import file_name
from batches.services.alerts import acknowledge
from batches.services.holds import lift_hold
from batches.services.installation import installation_id
from batches.services.reconciliation import reconcile
from batches.services.submission import submit_jobs
from batches.states import HoldScope, JobStatus, Severity
from tests.batches.reconciling import (
    create_for,
    input_files,
    is_there,
    now,
    reconcile_by_command,
    sent_job,
    upload,
    work_some,
)
from tests.driving import work_off
from tests.factories import make_job
from tests.gallery.models import Caption
from tests.sandbox.fixtures import wait_for

# --- the sweep ------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_sweep_deletes_what_no_submission_needs_and_nothing_else(sandbox, tmp_path):
    sandbox.faults(never_ending=True)
    job = sent_job()
    BatchJob.objects.filter(pk=job.pk).update(submission_number=2)
    job.refresh_from_db()
    ours, token = installation_id(), job.token
    lost = upload(tmp_path, f"{ours}-{token}-1.jsonl")
    kept = {
        job.input_file_id: "of number 1 too, but its own",
        upload(tmp_path, f"{ours}-{token}-2.jsonl"): "may just be being committed",
        upload(tmp_path, f"{ours}-{'0' * 32}-1.jsonl"): "of a job that is not here",
        upload(tmp_path, f"{'f' * 32}-{token}-1.jsonl"): "another installation's",
        upload(tmp_path, f"{ours}-{token}-1.txt.jsonl"): "not named by us",
        upload(tmp_path, "requests.jsonl"): "somebody else's",
    }

    found = reconcile(apply=True, now=now())

    assert found.files_deleted == [{"job": job.pk, "file": lost}]
    assert not is_there(lost)
    assert [why for file_id, why in kept.items() if not is_there(file_id)] == []


# --- batches --------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_account_in_order_is_known_whole_and_left_as_it_is(sandbox):
    sandbox.faults(never_ending=True)
    job = sent_job()

    said = reconcile_by_command()

    job.refresh_from_db()
    assert job.status == JobStatus.VALIDATING
    assert (said["batches"], said["known"]) == (1, 1)
    for nothing in ("adopted", "duplicates", "unknown", "vanished", "trouble"):
        assert said[nothing] == []
    assert not Alert.objects.exists()


@pytest.mark.django_db
def test_a_batch_whose_answer_was_lost_is_given_to_its_job(sandbox):
    sandbox.faults(lost_create_answer=1)
    job = make_job()
    with pytest.raises(ProviderError):
        submit_jobs(now=now())

    said = reconcile_by_command()

    job.refresh_from_db()
    assert said["adopted"] == [{"job": job.pk, "batch": job.provider_batch_id}]
    assert job.status == JobStatus.VALIDATING
    work_off()
    assert Caption.objects.count() == 3
    assert not Alert.objects.exists()


@pytest.mark.django_db
def test_an_older_batch_that_ran_is_adopted_and_told(sandbox):
    sandbox.faults(lost_create_answer=1)
    job = make_job()
    with pytest.raises(ProviderError):
        submit_jobs(now=now())
    BatchJob.objects.filter(pk=job.pk).update(
        submission_number=2, create_sent_at=None, input_file_id=""
    )

    reconcile(apply=True, now=now())

    job.refresh_from_db()
    assert job.status == JobStatus.VALIDATING
    assert Alert.objects.get().code == "unexpected_batch"
    work_off()
    assert Caption.objects.count() == 3
    assert input_files() == set()


@pytest.mark.django_db
def test_an_older_batch_that_ran_for_nothing_alerts_and_is_not_cancelled(sandbox):
    sandbox.faults(never_ending=True)
    job = sent_job()
    other = create_for(job, number="0")
    wait_for(lambda: get_provider("sandbox").retrieve(other.id).has_run)

    said = reconcile_by_command()

    assert [told["batch"] for told in said["duplicates"]] == [other.id]
    alert = Alert.objects.get()
    assert (alert.code, alert.key, alert.severity) == (
        "duplicate_batch",
        other.id,
        Severity.CRITICAL,
    )
    assert get_provider("sandbox").retrieve(other.id).status == "in_progress"


@pytest.mark.django_db
def test_a_batch_that_nobody_knows_holds_everything_until_it_is_answered_for(sandbox):
    job = sent_job()
    nobodys = create_for(job, token="a" * 32)
    waiting = make_job()

    with pytest.raises(CommandError, match="1 batch of this installation belong"):
        reconcile_by_command()

    hold, alert = Hold.objects.get(), Alert.objects.get()
    assert (hold.scope, hold.code) == (HoldScope.ALL, "unknown_batch")
    assert (alert.key, alert.severity) == (nobodys.id, Severity.CRITICAL)
    for told in (hold.message, alert.message):
        assert nobodys.id in told
        assert "lift the hold" in told
    assert submit_jobs(now=now()) == 0
    waiting.refresh_from_db()
    assert (waiting.status, waiting.input_file_id) == (JobStatus.PENDING, "")
    assert nobodys.id in waiting.waiting_reason
    wait_for(lambda: get_provider("sandbox").retrieve(nobodys.id).status == "completed")

    # A person looks, and lets it be: it is not told again.
    lift_hold(hold, by="me")
    work_off()
    assert Caption.objects.count() == 6
    assert reconcile(apply=True, now=now()).unknown != []
    assert not Hold.objects.filter(lifted_at=None).exists()


@pytest.mark.django_db
def test_an_unknown_batch_whose_alert_is_acknowledged_holds_no_more(sandbox):
    job = sent_job()
    create_for(job, token="a" * 32)
    reconcile(apply=True, now=now())
    lift_hold(Hold.objects.get(), by="me")
    Hold.objects.all().delete()
    acknowledge(Alert.objects.get(), by="me")

    reconcile(apply=True, now=now())

    assert not Hold.objects.exists()


@pytest.mark.django_db
def test_an_unknown_batch_that_never_ran_holds_nothing(sandbox):
    job = sent_job()
    get_provider("sandbox").delete_file(job.input_file_id)
    refused = create_for(job, token="a" * 32)
    wait_for(lambda: get_provider("sandbox").retrieve(refused.id).status == "failed")

    assert reconcile(apply=True, now=now()).unknown == []

    assert not Hold.objects.exists()


@pytest.mark.django_db
def test_submission_itself_sees_an_unknown_batch_before_it_sends(sandbox):
    sent = sent_job()
    nobodys = create_for(sent, token="a" * 32)
    job = make_job()

    assert submit_jobs(now=now()) == 0

    job.refresh_from_db()
    assert (job.status, job.create_sent_at) == (JobStatus.PENDING, None)
    assert nobodys.id in job.waiting_reason
    assert Hold.objects.get().code == "unknown_batch"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes", [{"installation": "f" * 32}, {"number": "one"}, {"token": ""}]
)
def test_a_batch_that_is_not_surely_ours_is_left_alone(sandbox, changes):
    job = sent_job()
    other = create_for(job, **{"token": "a" * 32, **changes})

    found = reconcile(apply=True, now=now())

    assert (found.batches, found.unknown) == (1, [])
    assert other.id not in str(found.as_dict())
    assert not Alert.objects.exists()


@pytest.mark.django_db
def test_a_job_whose_batch_the_provider_does_not_know_is_told(sandbox):
    job = sent_job()
    BatchJob.objects.filter(pk=job.pk).update(provider_batch_id="batch_nowhere")

    said = reconcile_by_command()

    assert said["vanished"] == [{"job": job.pk, "batch": "batch_nowhere"}]
    assert Alert.objects.filter(code="vanished_batch", job=job).exists()


@pytest.mark.django_db
def test_a_dry_run_tells_all_and_changes_nothing(sandbox, tmp_path):
    done = make_job()
    wait_for(lambda: work_some(done))
    sandbox.faults(lost_create_answer=1)
    lost = make_job()
    with pytest.raises(ProviderError):
        submit_jobs(now=now())
    create_for(done, token="a" * 32)
    leaked = upload(tmp_path, file_name(done))
    before = list(BatchJob.objects.order_by("pk").values()), input_files()

    out = StringIO()
    with pytest.raises(CommandError):  # exits with 1 for the unknown batch
        call_command("reconcile_batches", "--dry-run", "--json", stdout=out)

    said = json.loads(out.getvalue())
    assert [told["job"] for told in said["adopted"]] == [lost.pk]
    assert len(said["unknown"]) == 1
    assert leaked in {told["file"] for told in said["files_deleted"]}
    assert said["jobs_cleaned"] == 1
    assert (list(BatchJob.objects.order_by("pk").values()), input_files()) == before
    assert not Alert.objects.exists()
    assert not Hold.objects.exists()
    assert Installation.objects.get().reconciled_at is None


@pytest.mark.django_db
def test_a_provider_that_is_down_is_told_and_nothing_counts_as_compared(settings):
    settings.SANDBOX_URL = "http://127.0.0.1:9/v1"

    with pytest.raises(CommandError, match="does not answer"):
        reconcile_by_command()

    assert Installation.objects.get().reconciled_at is None
