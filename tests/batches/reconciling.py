"""What is at the provider, asked of it directly; and jobs to compare with it."""

import json
from io import StringIO
from pathlib import Path

from django.core.management import call_command
from django.utils import timezone

from batches.models import (
    BatchJob,
)
from batches.providers.errors import ProviderError
from batches.providers.registry import get_provider
from batches.services.account import metadata
from batches.services.installation import installation_id
from batches.services.submission import submit_jobs
from batches.states import JobStatus
from batches.tasks import tick
from tests.factories import make_job


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


def work_some(job: BatchJob) -> bool:
    """A pass of every stage but the last; whether the job has ended."""
    for stage in ("submit", "poll", "ingest"):
        tick(stage)
    job.refresh_from_db()
    return job.finished_at is not None
