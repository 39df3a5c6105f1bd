"""Steering what an id names: a job, or all the jobs of a run."""

from collections.abc import Callable
from uuid import UUID

from batches.api.errors import NotFound
from batches.errors import NotPossible
from batches.models import BatchJob, Run
from batches.providers.errors import ProviderError
from batches.querysets import BatchJobQuerySet
from batches.services.by_hand import check_now, process_now
from batches.services.steering import (
    cancel_job,
    cancel_run,
)
from batches.states import JOB_FINAL, JobStatus

Target = BatchJob | Run


def find_target(public_id: UUID) -> Target:
    """The job with this id, or else the run. Raises NotFound."""
    target = (
        BatchJob.objects.filter(public_id=public_id).first()
        or Run.objects.filter(public_id=public_id).first()
    )
    if target is None:
        raise NotFound(f"There is no job and no run {public_id}.")
    return target


def _jobs_of(target: Target) -> BatchJobQuerySet:
    if isinstance(target, Run):
        return BatchJob.objects.filter(shares__run=target).order_by("pk")
    return BatchJob.objects.filter(pk=target.pk)


def check(target: Target, *, by: str) -> str:
    """Ask the provider about what it has; says what came of it."""
    jobs = list(_jobs_of(target).at_provider())
    if not jobs:
        return "Nothing of it is at the provider; this is where it stands."
    return _checked(_each(jobs, check_now, by=by), jobs)


def check_all(*, by: str) -> tuple[list[BatchJob], str]:
    """Ask about every job at a provider: which these were, and what came of it."""
    jobs = list(BatchJob.objects.at_provider().order_by("pk"))
    if not jobs:
        return [], "No job is at a provider."
    return jobs, _checked(_each(jobs, check_now, by=by), jobs)


def _checked(done: int, jobs: list[BatchJob]) -> str:
    return f"Asked the provider about {done} of {_counted(len(jobs), 'job')}."


def process(target: Target, *, by: str) -> str:
    """Read the results that wait; again is safe. Raises NotPossible where none can."""
    jobs = list(_jobs_of(target))
    waiting = [job for job in jobs if job.status == JobStatus.COMPLETED]
    if waiting:
        done = _each(waiting, process_now, by=by)
        return f"Read the results of {done} of {_counted(len(waiting), 'job')}."
    if not jobs or any(job.status not in JOB_FINAL for job in jobs):
        raise NotPossible(
            "There are no results yet: the provider has not finished. Ask for "
            "check-status, and come again when it has."
        )
    return "All results are read already; nothing was changed."


def cancel(target: Target, *, by: str) -> str:
    """End a job or a run. Raises NotPossible for what is finished."""
    if isinstance(target, Run):
        is_over = cancel_run(target, by=by).finished_at is not None
    else:
        is_over = cancel_job(target, by=by).finished_at is not None
    if is_over:
        return "Cancelled."
    if isinstance(target, Run):
        return (
            "It is being cancelled; what the provider finished is read, and applied "
            "unless it is in a job that other runs need."
        )
    return "It is being cancelled; what the provider finished is read and applied."


def _each(jobs: list[BatchJob], act: Callable[..., BatchJob], *, by: str) -> int:
    """Do it to each; one job's trouble does not keep the others.

    Returns for how many it went well; raises the last trouble if for none.
    """
    done = 0
    trouble: ProviderError | NotPossible | None = None
    for job in jobs:
        try:
            act(job, by=by)
            done += 1
        except (ProviderError, NotPossible) as err:  # moved on meanwhile, or no answer
            trouble = err
    if trouble and not done:
        raise trouble
    return done


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun if number == 1 else noun + 's'}"
