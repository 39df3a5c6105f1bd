"""A database that went back in time, and what the provider has had since."""

from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from batches.models import (
    Alert,
    BatchItem,
    BatchJob,
    Hold,
    TokenQueue,
)
from batches.services.reconciliation import reconcile
from batches.services.recount import recount
from batches.services.submission import submit_jobs
from batches.states import JobStatus
from batches.tasks import tick
from tests.batches.elsewhere import copy_file, inside, migrate, new_file
from tests.batches.reconciling import input_files, now, sent_job
from tests.driving import work_off
from tests.factories import make_collected_run, make_job
from tests.gallery.models import Caption
from tests.sandbox.fixtures import SandboxProcess, wait_for


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
