"""How large a workload's jobs are, where it says between which bounds.

The size begins in the middle and follows the items of each finished job: it grows by a
fifth where more than twice as many succeeded as failed, and shrinks by a fifth where
more failed than succeeded.
"""

from collections.abc import Mapping
from datetime import datetime

from batches import config
from batches.errors import BadOptions
from batches.models import BatchJob, JobSize
from batches.workloads import all_workloads

# A job of less than half the size says nothing about larger ones.
TELLING = 2


def bounds_of(workload: str) -> tuple[int, int] | None:
    found = all_workloads().get(workload)
    return found.job_size_bounds if found else None


def planned_size(workload: str, sizes: Mapping[str, JobSize] | None = None) -> int:
    """The items that a workload's next job is to have, as far as enough wait.

    `sizes` are those that were learned, by workload, where they have been read.
    """
    plan: int = config.get("BATCH_MAX_REQUESTS")
    bounds = bounds_of(workload)
    if bounds is None:
        return plan
    least, most = bounds
    if not config.get("BATCH_AUTO_SCALING"):
        return min(max(plan, least), most)
    if sizes is None:
        sizes = JobSize.objects.in_bulk([workload])
    learned = sizes.get(workload)
    size = learned.size if learned else (least + most) // 2
    return min(max(size, least), most)


def choose_size(workload: str, size: int, *, now: datetime) -> None:
    """Let a workload's jobs have this size from now on, until the next one teaches
    another; BadOptions where it is not between the workload's bounds."""
    bounds = bounds_of(workload)
    if bounds is None or not bounds[0] <= size <= bounds[1]:
        allowed = f"{bounds[0]} to {bounds[1]}" if bounds else "BATCH_MAX_REQUESTS"
        raise BadOptions(
            f"Jobs of {workload} cannot have {size} items; the size may be {allowed}."
        )
    JobSize.objects.update_or_create(
        pk=workload, defaults={"size": size, "changed_at": now}
    )


def learn_size(job: BatchJob, *, now: datetime) -> None:
    """Draw the lesson of a job that ended; the last write of its transaction."""
    bounds = bounds_of(job.workload)
    complete, failed = job.items_complete, job.items_failed
    if bounds is None or not complete + failed or not config.get("BATCH_AUTO_SCALING"):
        return
    least, most = bounds
    size = planned_size(job.workload)
    if complete > 2 * failed:
        if job.items_total * TELLING >= size:
            size = min(size * 6 // 5, most)
    elif failed > complete:
        size = max(size * 4 // 5, least)
    JobSize.objects.update_or_create(
        pk=job.workload,
        defaults={
            "size": size,
            "items_complete": complete,
            "items_failed": failed,
            "changed_at": now,
        },
    )
