"""What slows jobs down or makes them fail: by kind of error, by job, by size."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import (
    Avg,
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    Q,
    QuerySet,
    Sum,
    Value,
)
from django.db.models.functions import Coalesce

from batches.models import BatchJob, JobTally
from batches.monitoring.dashboard import TOOK, of_plain, percent, span_of
from batches.querysets import BatchJobQuerySet
from batches.services.failures import Failure, classify
from batches.states import JOB_FINAL, AttemptOutcome

# Failures that asking again may mend.
MAY_PASS = (Failure.NOT_EXECUTED, Failure.RETRYABLE, Failure.ACCOUNT)
MOST_ERRORS = 100
MOST_JOBS_NAMED = 20
MOST_ROWS_READ = 2_000
SLOWEST = 5
SIZE_STEP = 50


@dataclass(frozen=True)
class ErrorKind:
    """Items that failed alike: `jobs` are those with the most of them, at most 20."""

    code: str
    total: int
    percent: float | None
    jobs_total: int
    jobs: list[UUID]

    @property
    def may_pass(self) -> bool:
        return may_pass(self.code)


@dataclass(frozen=True)
class SlowJobs:
    """Jobs that took longer than a threshold, the slowest first; sums by workload."""

    slowest: list[tuple[BatchJob, timedelta]]
    by_workload: list["Slowness"]


@dataclass(frozen=True)
class Slowness:
    workload: str
    jobs: int
    total: timedelta
    average: timedelta


@dataclass(frozen=True)
class TypeRates:
    """How the jobs of one workload ended, and the items in them."""

    workload: str
    jobs: int
    finished: int
    failed_jobs: int
    complete: int
    failed: int
    timed_jobs: int
    took: timedelta

    @property
    def success_percent(self) -> float | None:
        return percent(self.complete, self.complete + self.failed)

    @property
    def average(self) -> timedelta | None:
        """From when the provider was asked until the job ended here."""
        return self.took / self.timed_jobs if self.timed_jobs else None


@dataclass(frozen=True)
class SizeRange:
    """Finished jobs of `first` to `last` items."""

    first: int
    last: int
    jobs: int
    requests: int
    total: timedelta
    success_percent: float | None

    @property
    def per_request(self) -> timedelta:
        return self.total / self.requests if self.requests else timedelta()


@dataclass
class _Found:
    total: int
    jobs_total: int
    jobs: list[UUID] = field(default_factory=list)


def may_pass(code: str) -> bool:
    return classify(code) in MAY_PASS


def errors_by_kind(range_: str, *, workload: str, now: datetime) -> list[ErrorKind]:
    """Why items of a range's jobs failed, the commonest first, with the jobs."""
    tallies = _failures(_jobs(range_, workload, now))
    rows = (
        tallies.order_by()
        .values("error_code")
        .annotate(total=Sum("attempts"), jobs_total=Count("job", distinct=True))
        .order_by("-total", "error_code")[:MOST_ERRORS]
    )
    found = {row["error_code"]: _Found(row["total"], row["jobs_total"]) for row in rows}
    named = tallies.filter(error_code__in=found).order_by("-attempts", "-pk")
    for code, job in named.values_list("error_code", "job__public_id")[:MOST_ROWS_READ]:
        jobs = found[code].jobs
        if job not in jobs and len(jobs) < MOST_JOBS_NAMED:
            jobs.append(job)
    whole = sum(one.total for one in found.values())
    return [
        ErrorKind(code, one.total, percent(one.total, whole), one.jobs_total, one.jobs)
        for code, one in found.items()
    ]


def errors_of_jobs(jobs: list[BatchJob]) -> dict[int, dict[str, int]]:
    """{job: {error: how many of its items failed with it}}, the commonest first."""
    rows = _failures(BatchJob.objects.filter(pk__in=[job.pk for job in jobs]))
    summed: defaultdict[int, dict[str, int]] = defaultdict(dict)
    counted = rows.order_by().values("job", "error_code").annotate(n=Sum("attempts"))
    for row in counted.order_by("-n", "error_code"):
        summed[row["job"]][row["error_code"]] = row["n"]
    return summed


def slow_jobs(
    range_: str, *, workload: str, longer_than: timedelta, now: datetime
) -> SlowJobs:
    """Jobs that took, or have by now taken, longer; from the asking to the end."""
    took = ExpressionWrapper(
        Coalesce(F("finished_at"), Value(now)) - F("create_sent_at"),
        output_field=DurationField(),
    )
    slow = _jobs(range_, workload, now).annotate(took=took)
    slow = slow.filter(create_sent_at__isnull=False, took__gt=longer_than)
    sums = slow.order_by().values("workload")
    sums = sums.annotate(jobs=Count("pk"), total=Sum("took"), average=Avg("took"))
    return SlowJobs(
        slowest=[
            (job, job.took)
            for job in slow.defer("provider_answer").order_by("-took", "pk")[:SLOWEST]
        ],
        by_workload=[Slowness(**row) for row in sums.order_by("-total", "workload")],
    )


def job_sizes(range_: str, *, workload: str, now: datetime) -> list[SizeRange]:
    """Finished jobs in ranges of 50 items, small ones first."""
    ended = _jobs(range_, workload, now).filter(
        finished_at__isnull=False, create_sent_at__isnull=False, items_total__gt=0
    )
    rows = (
        ended.order_by()
        .annotate(step=(F("items_total") - 1) / SIZE_STEP)
        .values("step")
        .annotate(
            jobs=Count("pk"),
            requests=Sum("items_total"),
            complete=Sum("items_complete"),
            failed=Sum("items_failed"),
            total=Sum(TOOK),
        )
        .order_by("step")
    )
    return [
        SizeRange(
            first=row["step"] * SIZE_STEP + 1,
            last=(row["step"] + 1) * SIZE_STEP,
            jobs=row["jobs"],
            requests=row["requests"],
            total=row["total"],
            success_percent=percent(row["complete"], row["complete"] + row["failed"]),
        )
        for row in rows
    ]


def rates_by_workload(range_: str, *, now: datetime) -> list[TypeRates]:
    """A range's jobs by kind of work, those with most items that failed first."""
    is_timed = Q(finished_at__isnull=False, create_sent_at__isnull=False)
    rows = (
        _jobs(range_, "", now)
        .order_by()
        .values("workload")
        .annotate(
            jobs=Count("pk"),
            finished=Count("pk", filter=Q(status__in=JOB_FINAL)),
            failed_jobs=Count("pk", filter=Q(status__in=of_plain("failed"))),
            complete=Sum("items_complete"),
            failed=Sum("items_failed"),
            timed_jobs=Count("pk", filter=is_timed),
            took=Coalesce(Sum(TOOK, filter=is_timed), timedelta()),
        )
        .order_by("-failed", "workload")
    )
    return [TypeRates(**row) for row in rows]


def _jobs(range_: str, workload: str, now: datetime) -> BatchJobQuerySet:
    jobs = BatchJob.objects.within(span_of(range_, now).start)
    return jobs.filter(workload=workload) if workload else jobs


def _failures(jobs: BatchJobQuerySet) -> QuerySet[JobTally, Any]:
    return JobTally.objects.filter(
        ~Q(error_code=""), job__in=jobs.values("pk"), outcome=AttemptOutcome.FAILED
    )
