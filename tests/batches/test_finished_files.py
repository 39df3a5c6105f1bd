"""Files of finished jobs are deleted at the provider."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from batches.models import (
    Installation,
)
from batches.providers.errors import ProviderError
from batches.providers.registry import get_provider
from batches.services.pipeline import is_idle
from batches.services.reconciliation import clean_up, reconcile, reconcile_if_due
from batches.tasks import tick
from tests.batches.reconciling import input_files, is_there, now, work_some
from tests.driving import work_off
from tests.factories import item_ids, make_collected_run, make_job
from tests.gallery.models import Caption
from tests.sandbox.fixtures import running_sandbox, wait_for


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
