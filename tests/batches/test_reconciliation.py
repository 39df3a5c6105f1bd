"""What is at the provider against what is known here."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from batches.models import (
    Alert,
    BatchItem,
    BatchJob,
    Hold,
    Installation,
    TokenQueue,
)
from batches.providers.errors import ProviderError
from batches.providers.registry import get_provider
from batches.services.account import file_name, metadata
from batches.services.alerts import acknowledge
from batches.services.holds import lift_hold
from batches.services.installation import installation_id
from batches.services.pipeline import is_idle
from batches.services.reconciliation import clean_up, reconcile, reconcile_if_due
from batches.services.recount import recount
from batches.services.submission import submit_jobs
from batches.states import HoldScope, JobStatus, Severity
from batches.tasks import tick
from tests.batches.elsewhere import copy_file, inside, migrate, new_file
from tests.driving import work_off
from tests.factories import item_ids, make_collected_run, make_job
from tests.gallery.models import Caption
from tests.sandbox.fixtures import SandboxProcess, running_sandbox, wait_for


def now():
    return timezone.now()


def input_files() -> set[str]:
    files = get_provider("sandbox").input_files()
    return {file.id for file in files if file.filename.startswith(installation_id())}


def is_there(file_id: str) -> bool:
    try:
        get_provider("sandbox").file(file_id)
    except ProviderError as err:
        assert err.is_not_found
        return False
    return True


def upload(tmp_path: Path, name: str) -> str:
    (tmp_path / "any").write_text("{}\n")
    return get_provider("sandbox").upload(tmp_path / "any", name, on_block=lambda: None)


def create_for(job: BatchJob, **changes: str):
    """Another batch from a job's file; one of a token that no job has, if so asked."""
    given = {**metadata(job), **changes}
    return get_provider("sandbox").create(
        file_id=job.input_file_id, endpoint=job.endpoint, metadata=given
    )


def reconcile_by_command(*flags: str) -> dict:
    out = StringIO()
    call_command("reconcile_batches", "--json", *flags, stdout=out)
    return json.loads(out.getvalue())


def sent_job(items: int = 3) -> BatchJob:
    job = make_job(items)
    submit_jobs(now=now())
    job.refresh_from_db()
    assert job.status == JobStatus.VALIDATING
    return job


# --- files of finished jobs -----------------------------------------------------------


@pytest.mark.django_db
def test_all_files_of_a_finished_job_are_deleted_at_the_provider(sandbox):
    job = make_job(3)
    failing = [str(item_ids(job)[0])]
    sandbox.faults(failed_lines={"rate": 1.0, "status": 400, "custom_ids": failing})

    work_off()

    job.refresh_from_db()
    assert job.provider_files_deleted_at is not None
    files = [job.input_file_id, job.output_file_id, job.error_file_id]
    assert all(files)
    assert not any(is_there(file_id) for file_id in files)


@pytest.mark.django_db
def test_files_stay_where_they_are_to_be_kept(sandbox, settings):
    settings.KEEP_PROVIDER_FILES = True
    job = make_job()

    work_off()
    found = reconcile(apply=True, now=now())

    job.refresh_from_db()
    assert job.provider_files_deleted_at is None
    assert is_there(job.input_file_id)
    assert is_there(job.output_file_id)
    assert (found.files_deleted, found.jobs_cleaned) == ([], 0)


@pytest.mark.django_db
@pytest.mark.slow
def test_a_deletion_that_fails_is_tried_again(sandbox):
    job = make_job()
    sandbox.faults(http_500={"on": ["files.delete"], "retry_after": 0})
    wait_for(lambda: work_some(job))

    with pytest.raises(ProviderError):
        clean_up(now=now())
    assert not is_idle()
    sandbox.clear_faults()
    assert reconcile(apply=True, now=now()).jobs_cleaned == 1

    job.refresh_from_db()
    assert job.provider_files_deleted_at is not None
    assert is_idle()


def work_some(job: BatchJob) -> bool:
    """A pass of every stage but the last; whether the job has ended."""
    for stage in ("submit", "poll", "ingest"):
        tick(stage)
    job.refresh_from_db()
    return job.finished_at is not None


@pytest.mark.django_db
def test_a_file_that_is_gone_already_counts_as_deleted(sandbox):
    job = make_job()
    wait_for(lambda: work_some(job))
    get_provider("sandbox").delete_file(job.output_file_id)

    assert tick("clean") == "1 jobs cleaned up"

    assert is_idle()


@pytest.mark.django_db
def test_when_nothing_is_left_nobody_is_asked(settings, django_assert_max_num_queries):
    settings.SANDBOX_URL = "http://127.0.0.1:9/v1"

    with django_assert_max_num_queries(2):
        assert clean_up(now=now()) == 0


@pytest.mark.django_db
@pytest.mark.slow
def test_process_batches_gives_up_when_files_cannot_be_deleted(sandbox, monkeypatch):
    """It neither hangs nor says that all is well; the next call deletes them."""
    monkeypatch.setattr("batches.services.pipeline.LONGEST_SLEEP_SECONDS", 0.1)
    job = make_job()
    wait_for(lambda: work_some(job))
    sandbox.faults(wrong_key=True)

    with pytest.raises(CommandError, match="Check the key"):
        call_command("process_batches", "--until-done", stdout=StringIO())

    sandbox.clear_faults()
    call_command("process_batches", "--until-done", stdout=StringIO())
    job.refresh_from_db()
    assert job.provider_files_deleted_at is not None
    assert input_files() == set()


@pytest.mark.django_db
@pytest.mark.slow
def test_process_batches_until_done_leaves_no_file_behind(settings, tmp_path):
    settings.SPOOL_DIR = tmp_path
    with running_sandbox(directory=tmp_path / "sandbox") as process:
        settings.SANDBOX_URL = process.url
        process.faults(lost_upload_answer=1)
        make_collected_run(4)

        call_command("process_batches", "--until-done", stdout=StringIO())

        assert Caption.objects.count() == 4
        assert process.ledger()["files"] == 0
    assert Installation.objects.get().reconciled_at is not None
    assert reconcile_if_due(now=now()) == 0


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


# --- a database that went back in time ------------------------------------------------


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory, django_db_blocker) -> Path:
    path: Path = tmp_path_factory.mktemp("empty") / "db.sqlite3"
    if connection.vendor == "sqlite":
        with django_db_blocker.unblock():
            migrate(path, path.parent)
    return path


@pytest.fixture
def database(
    empty_file: Path, tmp_path: Path, django_db_blocker, sandbox: SandboxProcess
):
    """A database in a file; `back_up` and `restore` copy it."""
    if connection.vendor != "sqlite":
        pytest.skip("about files")
    with django_db_blocker.unblock():
        yield new_file(empty_file, tmp_path / "home" / "db.sqlite3")


def back_up(database: Path) -> Path:
    return copy_file(database, database.with_suffix(".backup"))


def restore(database: Path) -> None:
    copy_file(database.with_suffix(".backup"), database)


def billed(sandbox: SandboxProcess, *batches: str) -> int:
    lines = sandbox.ledger()["by_custom_id"].values()
    return sum(line["batch"] in batches for found in lines for line in found)


@pytest.mark.slow
def test_a_restore_from_before_the_create_adopts_what_was_sent(database, sandbox):
    with inside(database, database.parent):
        job = make_job()
    back_up(database)
    with inside(database, database.parent):
        submit_jobs(now=now())
        job.refresh_from_db()
        sent = job.provider_batch_id
    restore(database)

    with inside(database, database.parent):
        submit_jobs(now=now())

        job.refresh_from_db()
        assert job.provider_batch_id == sent
        assert Alert.objects.get().code == "unexpected_batch"
        work_off()
        reconcile(apply=True, now=now())
        assert Caption.objects.count() == 3
        assert recount(repair=False) == []
        assert input_files() == set()
    assert billed(sandbox, sent) == 3


@pytest.mark.slow
def test_a_restore_from_after_the_create_goes_on_with_its_batch(database, sandbox):
    with inside(database, database.parent):
        job = sent_job()
    back_up(database)
    with inside(database, database.parent):
        work_off()
    restore(database)

    with inside(database, database.parent):
        wait_for(lambda: tick("poll") and has_ended_at_provider(job))
        # Its results were read and its files deleted: a person has to look.
        assert "404" in tick("ingest")
        job.refresh_from_db()
        assert job.status == JobStatus.COMPLETED
        assert reconcile(apply=True, now=now()).unknown == []
    assert billed(sandbox, job.provider_batch_id) == 3


def has_ended_at_provider(job: BatchJob) -> bool:
    job.refresh_from_db()
    return job.status == JobStatus.COMPLETED


@pytest.mark.slow
def test_a_restore_from_between_two_submissions_takes_the_later_one(database, sandbox):
    with inside(database, database.parent):
        job = sent_job()
        sandbox.faults(token_limit=1)
        job = make_job()
        submit_jobs(now=now())
        back_up_at = BatchJob.objects.get(pk=job.pk)
        assert back_up_at.submission_number == 1
    back_up(database)
    with inside(database, database.parent):
        wait_for(lambda: tick("poll") and number_of(job) == 2)
        sandbox.clear_faults()
        TokenQueue.objects.all().delete()  # else the job would be cut to its limit
        submit_jobs(now=now() + timedelta(hours=1))
        job.refresh_from_db()
        later = job.provider_batch_id
    restore(database)

    with inside(database, database.parent):
        # Known here is number 1, which was refused: that settles it, and number 2 is
        # found before anything is sent.
        work_off()
        job.refresh_from_db()
        assert (job.provider_batch_id, job.submission_number) == (later, 2)
        assert job.status == JobStatus.PROCESSED
    assert billed(sandbox, later) == 3


def number_of(job: BatchJob) -> int:
    job.refresh_from_db()
    return job.submission_number


def test_a_restore_that_forgets_whole_jobs_holds_all_submission(database, sandbox):
    """What was made after the backup would be collected, sent and paid once more."""
    with inside(database, database.parent):
        make_job()
        work_off()
        reconcile(apply=True, now=now())
    back_up(database)
    with inside(database, database.parent):
        forgotten = sent_job()
    restore(database)

    with inside(database, database.parent):
        make_collected_run(3)
        with pytest.raises(CommandError, match="wait for a hold to be lifted"):
            call_command(
                "process_batches", "--until-done", stdout=StringIO(), stderr=StringIO()
            )

        again = BatchJob.objects.get(finished_at=None)
        assert (again.status, again.create_sent_at) == (JobStatus.PENDING, None)
        assert forgotten.provider_batch_id in again.waiting_reason
        assert Hold.objects.get().code == "unknown_batch"
        assert Alert.objects.get().key == forgotten.provider_batch_id
        assert BatchItem.objects.filter(job=again).count() == 3
