"""Work in bad hours: the stages' passes, what they say, and that all ends well."""

from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from batches.errors import BatchError
from batches.models import (
    BatchItem,
    BatchJob,
    Event,
    ItemAttempt,
)
from batches.providers.registry import get_provider
from batches.services.ingestion import ingest_jobs
from batches.services.polling import poll_jobs
from batches.services.reconciliation import clean_up
from batches.services.recount import recount
from batches.services.submission import submit_jobs
from batches.states import ItemStatus, JobStatus
from tests.driving import work_off
from tests.gallery.models import Caption
from tests.sandbox.fixtures import SandboxProcess, wait_for

MEGABYTE = 1024 * 1024
STAGES = (submit_jobs, poll_jobs, ingest_jobs, clean_up)


def later():
    return timezone.now() + timedelta(hours=1)


def stage(run: Callable[..., int]) -> str:
    """One pass of a stage an hour later; what it had to say."""
    try:
        run(now=later())
    except BatchError as err:
        return str(err)
    return ""


def is_now(job: BatchJob, status: JobStatus) -> bool:
    job.refresh_from_db()
    return job.status == status


def completed(job: BatchJob) -> BatchJob:
    """Send a job and wait until its results are there."""
    submit_jobs(now=later())

    def has_results() -> bool:
        poll_jobs(now=later())
        return is_now(job, JobStatus.COMPLETED)

    wait_for(has_results)
    return job


def notes(job: BatchJob) -> list[str]:
    return list(Event.objects.filter(job=job).values_list("message", flat=True))


def lines_billed(sandbox: SandboxProcess) -> list[int]:
    """How often the provider billed each item of this test that it ever ran."""
    billed = sandbox.ledger()["by_custom_id"]
    batches = {
        batch.id
        for token in BatchJob.objects.values_list("token", flat=True)
        for batch in get_provider("sandbox").batches_since(0)
        if batch.metadata.get("token") == token
    }
    return [
        sum(line["batch"] in batches for line in billed.get(str(key), []))
        for key in BatchItem.objects.values_list("pk", flat=True)
    ]


def all_ends_well(sandbox: SandboxProcess, captions: int) -> None:
    work_off(seconds=60)
    assert set(BatchItem.objects.values_list("status", flat=True)) == {
        ItemStatus.COMPLETE
    }
    assert Caption.objects.count() == captions == BatchItem.objects.count()
    assert set(lines_billed(sandbox)) == {1}
    assert recount(repair=False) == []


def nothing_is_used_up(job: BatchJob) -> None:
    assert ItemAttempt.objects.filter(job=job).count() == 0
    assert set(job.items.values_list("status", flat=True)) == {ItemStatus.IN_JOB}
    assert recount(repair=False) == []
