"""Who works on a job: a lease says who may take over, the epoch says who may write."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache

import psutil
from django.db import models
from django.utils import timezone

from batches import config
from batches.errors import LostLease
from batches.models import BatchJob
from batches.services.lifecycle import update_job


@lru_cache(maxsize=1)
def _started(pid: int) -> int:
    return int(psutil.Process(pid).create_time())


def holder_name() -> str:
    """This process: host, pid, and when it began (pids come again)."""
    pid = os.getpid()
    return f"{socket.gethostname()[:60]}:{pid}:{_started(pid)}"


def is_provably_gone(holder: str) -> bool:
    """Whether a holder was a process of this host that runs no more.

    One that was killed and that its parent has not noticed yet runs no more, too.
    """
    host, _, rest = holder.partition(":")
    pid, _, started = rest.partition(":")
    if host != socket.gethostname()[:60] or not pid.isdigit():
        return False
    try:
        process = psutil.Process(int(pid))
        # The kernel's idea of when it booted, which this is told from, moves a little.
        is_another = abs(int(process.create_time()) - int(started or 0)) > 1
        return is_another or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def claim(job: BatchJob, *, now: datetime) -> bool:
    """Take the job for this process, if no one else holds it; raises its epoch.

    A lease counts until it ends, unless its holder is known to be dead. From now on
    every write of an earlier holder changes nothing.
    """
    claimable = BatchJob.objects.claimable(now)
    if job.lease_until and job.lease_until > now and is_provably_gone(job.lease_owner):
        claimable = BatchJob.objects.filter(lease_owner=job.lease_owner)
    claimed = claimable.filter(
        pk=job.pk, status=job.status, lease_epoch=job.lease_epoch
    ).update(
        lease_owner=holder_name(),
        lease_until=lease_end(now),
        lease_epoch=models.F("lease_epoch") + 1,
    )
    if claimed:
        job.refresh_from_db()
    return bool(claimed)


def lease_end(now: datetime) -> datetime:
    """Until when a lease taken or renewed now counts."""
    return now + timedelta(seconds=config.get("LEASE_SECONDS"))


def renew(job: BatchJob) -> None:
    """Say that we are still at it; raises LostLease when another process took over."""
    update_job(job, lease_until=lease_end(timezone.now()))


@contextmanager
def held(job: BatchJob, *, now: datetime) -> Iterator[bool]:
    """Hold a job while the block runs: yields whether we got it.

    A lease lost on the way ends the block quietly: another process goes on.
    """
    if not claim(job, now=now):
        yield False
        return
    try:
        yield True
    except LostLease:
        return
    finally:
        BatchJob.objects.filter(pk=job.pk, lease_epoch=job.lease_epoch).update(
            lease_until=None
        )
