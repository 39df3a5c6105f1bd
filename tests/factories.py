"""Rows for tests, made the way the services make them wherever that is possible."""

from typing import Any

from django.utils import timezone

from batches.models import BatchJob, OpenItem, Run
from batches.services.bundling import bundle
from batches.services.collection import collect_run, start_run
from batches.states import (
    AT_PROVIDER,
    JOB_FINAL,
    JobStatus,
    Trigger,
)
from tests.gallery.models import Painting


def make_paintings(*titles: str) -> list[Painting]:
    return [Painting.objects.create(title=title) for title in titles]


def make_run(workload: str = "captions", **given: Any) -> Run:
    """A run of `captions` over all paintings, not collected."""
    options = {
        name: given.pop(name)
        for name in ("kind", "follow_ups", "model", "languages", "content", "fields")
        if name in given
    }
    return start_run(
        workload, options, trigger=given.pop("trigger", Trigger.COMMAND), **given
    )


def make_collected_run(items: int = 3, **given: Any) -> Run:
    """A run whose items wait in the pool, one a painting made for it."""
    if items:
        make_paintings(*[f"painting {number}" for number in range(items)])
    run = make_run(**given)
    collect_run(run)
    return run


def make_job(
    items: int = 3, status: JobStatus = JobStatus.PENDING, **changes: Any
) -> BatchJob:
    """A job with items of a new run, set to a status without going the whole way."""
    make_collected_run(items)
    (job,) = bundle()
    if status in AT_PROVIDER or status == JobStatus.COMPLETED:
        changes.setdefault("provider_batch_id", f"batch_{job.pk}")
        changes.setdefault("create_sent_at", timezone.now())
    if status in JOB_FINAL:
        changes.setdefault("finished_at", timezone.now())
    BatchJob.objects.filter(pk=job.pk).update(status=status, **changes)
    job.refresh_from_db()
    return job


def item_ids(job: BatchJob) -> list[int]:
    """The open items of a job, in key order."""
    rows = OpenItem.objects.filter(job=job).order_by("item_id")
    return list(rows.values_list("item_id", flat=True))
