"""Files on the way out and in: under SPOOL_DIR, disposable, one folder a job."""

import os
import shutil
from pathlib import Path

import orjson
from django.conf import settings

from batches.errors import LostLease
from batches.models import BatchJob, ItemRequest

PAGE = 2_000


def job_dir(job: BatchJob) -> Path:
    """A job's folder, made where it is missing."""
    path: Path = settings.SPOOL_DIR / "jobs" / job.token
    path.mkdir(parents=True, exist_ok=True)
    return path


def remove_job_dir(job: BatchJob) -> None:
    shutil.rmtree(settings.SPOOL_DIR / "jobs" / job.token, ignore_errors=True)


def write_input_file(job: BatchJob) -> Path:
    """Write the requests of a job's open items as batch input lines, in key order.

    The stored body goes in as it is; it was rendered once, canonically. Flat memory: a
    page of requests at a time. The file appears whole or not at all, under a name of
    this holder's own. Raises LostLease when another process ended the job meanwhile.
    """
    try:
        return _write_input_file(job)
    except FileNotFoundError as err:
        raise LostLease(
            f"The folder of job {job.pk} is gone: another process ended the job."
        ) from err


def _write_input_file(job: BatchJob) -> Path:
    path = job_dir(job) / f"{job.submission_number}-{job.lease_epoch}.jsonl"
    part = path.with_suffix(".part")
    url = orjson.dumps(job.endpoint)
    with part.open("wb") as out:
        last = 0
        while True:
            page = list(
                ItemRequest.objects.filter(item__open__job=job, item_id__gt=last)
                .order_by("item_id")
                .values_list("item_id", "body")[:PAGE]
            )
            for item_id, body in page:
                out.write(
                    b'{"custom_id":"%d","method":"POST","url":%b,"body":%b}\n'
                    % (item_id, url, body.encode())
                )
            if len(page) < PAGE:
                break
            last = page[-1][0]
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)
    return path
