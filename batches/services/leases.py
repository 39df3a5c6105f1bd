"""Who works on a job: a lease says who may take over, the epoch says who may write.

Long work goes on in slices. A `Slice` is told of every block, page or chunk: it keeps
the lease, and ends the work before the worker would kill the task that does it; the
next slice goes on where this one stopped.
"""

import logging
import math
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import lru_cache

import psutil
from django.conf import settings
from django.db import connection, models, transaction
from django.db.utils import Error as DatabaseError
from django.utils import timezone

from batches import config
from batches.errors import BatchError, LostLease, MachineTrouble, SliceEnded
from batches.models import BatchJob
from batches.services.events import record_event
from batches.services.lifecycle import move_job, update_job
from batches.states import AT_PROVIDER, EventKind, JobStatus

log = logging.getLogger(__name__)

# Between two renewals of a lease, at most; less where the lease itself is short.
RENEW_SECONDS = 5.0
# Where no worker waits with its timeout, a slice ends all the same: what takes longer
# than this goes on too slowly to be going on at all.
LONGEST_SLICE_SECONDS = 3_600.0
# Clocks differ: a lease that ends later than its length and this from now was written
# by a clock that was wrong, here or there.
CLOCK_MARGIN = timedelta(minutes=10)
# When work is tried again that this machine could not do: a disk is seldom emptied in
# less, and a look costs little.
TROUBLE_SECONDS = 30

_slice_ends_at: ContextVar[float] = ContextVar("slice_ends_at", default=math.inf)


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

    A lease counts until it ends, unless its holder is known to be dead, or it ends
    later than any lease written now could: then a clock went back, and whoever holds it
    cannot be told from one that died. From now on every write of an earlier holder
    changes nothing.
    """
    claimable = BatchJob.objects.claimable(now)
    if job.lease_until and job.lease_until > now:
        is_of_another_time = job.lease_until > lease_end(now) + CLOCK_MARGIN
        if is_of_another_time or is_provably_gone(job.lease_owner):
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
        _release(job)


def _release(job: BatchJob) -> None:
    try:
        BatchJob.objects.filter(pk=job.pk, lease_epoch=job.lease_epoch).update(
            lease_until=None
        )
    except DatabaseError as err:
        # The lease ends by itself; what ended the work is the greater news.
        log.warning("[Batch Worker] Job %d could not be released: %s", job.pk, err)


@contextmanager
def worked_on(
    job: BatchJob, *, now: datetime, trouble: list[BatchError]
) -> Iterator[bool]:
    """Hold a job for one stage: trouble ends on its row, and the next job's turn comes.

    Yields whether there is anything to do: another process may hold the job, or the
    slice be over. Trouble of this machine (a full disk, a database that refuses) and
    errors that no stage foresaw in its job are written down as what the job waits for,
    and added to `trouble`. Raises MachineTrouble where not even that can be written.
    """
    if is_slice_over():
        yield False
        return
    with held(job, now=now) as is_ours:
        try:
            yield is_ours
        except LostLease:
            raise
        except SliceEnded as end:
            log.info("[Batch Worker] %s", end)
        except (BatchError, OSError, DatabaseError) as err:
            trouble.append(_put_aside(job, err))


def _put_aside(job: BatchJob, err: Exception) -> BatchError:
    """Write on a job's row what it waits for and when it is tried again."""
    told = err if isinstance(err, BatchError) else MachineTrouble(_in_words(err))
    log.warning("[Batch Worker] Job %d waits: %s", job.pk, told)
    if isinstance(err, DatabaseError) and not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()  # the next query connects anew
    epoch = job.lease_epoch
    try:
        # What was rolled back may still stand in the object.
        job.refresh_from_db()
        if job.lease_epoch != epoch:
            raise LostLease(f"Job {job.pk} was taken over while it was in trouble.")
        if job.finished_at is None:
            with transaction.atomic():
                _wait(job, str(told))
    except DatabaseError as again:
        raise MachineTrouble(_in_words(again)) from again
    return told


def _wait(job: BatchJob, reason: str) -> None:
    now = timezone.now()
    later = now + timedelta(seconds=TROUBLE_SECONDS)
    is_news = job.waiting_reason != reason[:500]
    if job.status == JobStatus.UPLOADING:
        move_job(
            job,
            JobStatus.PENDING,
            reason=reason,
            now=now,
            not_before=later,
            waiting_reason=reason[:500],
        )
        return
    when = "next_poll_at" if job.status in AT_PROVIDER else "not_before"
    update_job(job, waiting_reason=reason[:500], **{when: later})
    if is_news:
        record_event(EventKind.BATCH_NOTE, now=now, job=job, message=reason)


def _in_words(err: Exception) -> str:
    if isinstance(err, DatabaseError):
        what = " ".join(str(err).split())
        return (
            f"The database did not do what it was asked: {what}. Mend it (its disk, "
            "its server, DATABASE_URL); the work goes on by itself."
        )
    return (
        f"The disk did not do what it was asked: {err}. See to the room and the rights "
        f"of SPOOL_DIR ({settings.SPOOL_DIR}); the work goes on by itself."
    )


@contextmanager
def one_slice(seconds: float) -> Iterator[None]:
    """Bound all long work begun inside: after so many seconds it ends itself."""
    token = _slice_ends_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _slice_ends_at.reset(token)


def is_slice_over() -> bool:
    return time.monotonic() >= _slice_ends_at.get()


class Slice:
    """Long work on a job that we hold, told of its every block, page or chunk.

    `silence_seconds` is the longest that may pass between two of them: the lease covers
    it, so that a slow peer does not cost the job.
    """

    def __init__(self, job: BatchJob, *, silence_seconds: float = 0.0) -> None:
        lease_seconds = config.get("LEASE_SECONDS")
        now = time.monotonic()
        self._job = job
        self._lease = timedelta(seconds=lease_seconds + silence_seconds)
        self._every = min(RENEW_SECONDS, lease_seconds / 4)
        self._renew_at = now
        self._began_at = now
        self._ends_at = min(_slice_ends_at.get(), now + LONGEST_SLICE_SECONDS)

    def go_on(self) -> None:
        """Renew the lease where it is time: one UPDATE in some seconds.

        Raises LostLease when another process took over, SliceEnded when time is up;
        whoever sees either stops at once.
        """
        now = time.monotonic()
        if now >= self._renew_at:
            update_job(self._job, lease_until=timezone.now() + self._lease)
            self._renew_at = now + self._every
        if now >= self._ends_at:
            raise SliceEnded(
                f"Job {self._job.pk} stops after {now - self._began_at:.0f} s: the "
                "time that one task may take is over; it goes on in the next."
            )
