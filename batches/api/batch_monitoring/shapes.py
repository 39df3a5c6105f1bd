"""The dashboard's figures in the words of this family."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, cast

from batches.api.batch_jobs.schemas import PlainStatus
from batches.api.batch_monitoring.schemas import (
    BucketOut,
    DashboardIn,
    DashboardOut,
    EfficiencyOut,
    ErrorKindOut,
    ErrorsOut,
    JobErrorOut,
    JobsIn,
    JobTypesOut,
    MonitoredJobOut,
    PaginationOut,
    PerformanceOut,
    QueuesOut,
    RangeIn,
    SavingsOut,
    SizeRangeOut,
    SizesOut,
    SlowJobOut,
    SlowJobsOut,
    SlowTypeOut,
    SpanIn,
    SummaryOut,
    ThroughputOut,
    TypeRatesOut,
)
from batches.models import BatchJob
from batches.models.money import to_usd
from batches.monitoring.dashboard import (
    Dashboard,
    dashboard,
    of_plain,
    percent,
    span_of,
)
from batches.monitoring.findings import (
    errors_by_kind,
    errors_of_jobs,
    job_sizes,
    may_pass,
    rates_by_workload,
    slow_jobs,
)
from batches.monitoring.usage import MONTHS_OF_YEAR, Part
from batches.querysets import BatchJobQuerySet
from batches.states import JOB_FINAL, PLAIN_JOB_STATUS, JobStatus


def shown_dashboard(wanted: DashboardIn, *, now: datetime) -> DashboardOut:
    found = dashboard(wanted.time_range, workload=wanted.job_type, now=now)
    start = (wanted.page - 1) * wanted.limit
    jobs = list(jobs_of(wanted, now=now)[start : start + wanted.limit])
    errors = errors_of_jobs(jobs) if wanted.include_details else {}
    listed = found.plain(wanted.status) if wanted.status else found.all
    return DashboardOut(
        summary=_summary(found),
        queues=QueuesOut(**found.queues),
        performance=_performance(found),
        jobs=[shown_job(job, errors.get(job.pk, {})) for job in jobs],
        historical=list(_historical(found)),
        pagination=PaginationOut(
            page=wanted.page, limit=wanted.limit, total=listed.jobs
        ),
    )


def jobs_of(wanted: JobsIn, *, now: datetime) -> BatchJobQuerySet:
    """The jobs of a range, newest first."""
    jobs = BatchJob.objects.within(span_of(wanted.time_range, now).start)
    if wanted.job_type:
        jobs = jobs.filter(workload=wanted.job_type)
    if wanted.status:
        jobs = jobs.filter(status__in=of_plain(wanted.status))
    return jobs.newest_first().defer("provider_answer")


def shown_job(job: BatchJob, errors: dict[str, int]) -> MonitoredJobOut:
    is_final = job.status in JOB_FINAL
    took = None
    if job.finished_at and job.create_sent_at:
        took = milliseconds(job.finished_at - job.create_sent_at)
    return MonitoredJobOut(
        id=job.public_id,
        batch_id=job.provider_batch_id,
        status=_plain(job.status),
        job_type=job.workload,
        request_count=job.items_total,
        completed_count=job.items_complete if is_final else job.provider_completed,
        failed_count=job.items_failed if is_final else job.provider_failed,
        created_at=job.created_at,
        started_at=job.create_sent_at,
        completed_at=job.finished_at,
        processing_time_ms=took,
        cost_estimate=float(job.cost_usd),
        error_summary=[
            JobErrorOut(
                error=code,
                count=count,
                percentage=percent(count, job.items_total),
                retryable=may_pass(code),
            )
            for code, count in errors.items()
        ],
    )


def shown_errors(wanted: RangeIn, *, now: datetime) -> ErrorsOut:
    kinds = errors_by_kind(wanted.time_range, workload=wanted.job_type, now=now)
    return ErrorsOut(
        total=sum(kind.total for kind in kinds),
        errors=[
            ErrorKindOut(
                error=kind.code,
                count=kind.total,
                percentage=kind.percent,
                retryable=kind.may_pass,
                job_count=kind.jobs_total,
                job_ids=kind.jobs,
            )
            for kind in kinds
        ],
    )


def shown_slow_jobs(
    wanted: RangeIn, *, longer_than: timedelta, now: datetime
) -> SlowJobsOut:
    found = slow_jobs(
        wanted.time_range, workload=wanted.job_type, longer_than=longer_than, now=now
    )
    return SlowJobsOut(
        threshold_ms=milliseconds(longer_than),
        slowest=[
            SlowJobOut(
                id=job.public_id,
                job_type=job.workload,
                status=_plain(job.status),
                request_count=job.items_total,
                processing_time_ms=milliseconds(took),
            )
            for job, took in found.slowest
        ],
        by_job_type=[
            SlowTypeOut(
                job_type=one.workload,
                count=one.jobs,
                total_ms=milliseconds(one.total),
                average_ms=milliseconds(one.average),
            )
            for one in found.by_workload
        ],
    )


def shown_sizes(wanted: RangeIn, *, now: datetime) -> SizesOut:
    ranges = job_sizes(wanted.time_range, workload=wanted.job_type, now=now)
    return SizesOut(
        ranges=[
            SizeRangeOut(
                range=f"{one.first}-{one.last}",
                jobs=one.jobs,
                requests=one.requests,
                total_time_ms=milliseconds(one.total),
                average_time_per_request_ms=round(
                    one.per_request / timedelta(milliseconds=1), 1
                ),
                average_success_rate=one.success_percent,
            )
            for one in ranges
        ]
    )


def shown_job_types(wanted: SpanIn, *, now: datetime) -> JobTypesOut:
    return JobTypesOut(
        job_types=[
            TypeRatesOut(
                job_type=one.workload,
                total_jobs=one.jobs,
                finished_jobs=one.finished,
                failed_jobs=one.failed_jobs,
                completed_count=one.complete,
                failed_count=one.failed,
                success_rate=one.success_percent,
                error_rate=percent(one.failed, one.complete + one.failed),
                average_processing_time=None
                if one.average is None
                else milliseconds(one.average),
            )
            for one in rates_by_workload(wanted.time_range, now=now)
        ]
    )


def milliseconds(length: timedelta) -> int:
    return int(length / timedelta(milliseconds=1))


def _plain(status: str) -> PlainStatus:
    return cast(PlainStatus, PLAIN_JOB_STATUS[JobStatus(status)])


def _summary(found: Dashboard) -> SummaryOut:
    return SummaryOut(
        total_jobs=found.all.jobs,
        completed_jobs=found.plain("completed").jobs,
        failed_jobs=found.plain("failed").jobs,
        cancelled_jobs=found.plain("cancelled").jobs,
        pending_jobs=found.unfinished_jobs,
        total_requests=found.all.items,
        processed_requests=found.all.complete + found.all.failed,
        cost_savings=_savings(found.used.real),
        sandbox_savings=_savings(found.used.pretended),
        average_processing_time=found.processing_ms,
        success_rate=found.success_percent,
    )


def _savings(part: Part) -> SavingsOut:
    total = part.total
    monthly = part.monthly_saving_nanos
    saved = total.saved_percent
    return SavingsOut(
        current_period=dollars(total.saved_nanos),
        projected_monthly=dollars(monthly),
        projected_annual=dollars(monthly * MONTHS_OF_YEAR),
        savings_percentage=None if saved is None else float(saved),
        total_cost=dollars(total.cost_nanos),
        average_cost_per_request=dollars(total.average_cost_nanos),
        average_saving_per_request=dollars(total.average_saving_nanos),
    )


def _performance(found: Dashboard) -> PerformanceOut:
    return PerformanceOut(
        throughput=ThroughputOut(
            requests_per_hour=found.requests_per_hour,
            jobs_per_hour=found.jobs_per_hour,
            average_batch_size=found.average_size,
        ),
        efficiency=EfficiencyOut(
            batch_utilization=found.utilization_percent,
            processing_efficiency=found.efficiency_percent,
            error_rate=found.error_percent,
        ),
    )


def _historical(found: Dashboard) -> Iterator[BucketOut]:
    real, pretended = (
        found.history(part) for part in (found.used.real, found.used.pretended)
    )
    for start, figures in real.items():
        beside = pretended[start]
        yield BucketOut(
            timestamp=start,
            requests=figures.requests,
            cost=dollars(figures.cost_nanos),
            savings=dollars(figures.saved_nanos),
            sandbox_requests=beside.requests,
            sandbox_cost=dollars(beside.cost_nanos),
            sandbox_savings=dollars(beside.saved_nanos),
        )


def dollars(nanos: int) -> float:
    return float(to_usd(nanos))


def as_rows(jobs: Iterable[MonitoredJobOut]) -> Iterator[dict[str, Any]]:
    """Jobs as flat rows, for tables; errors are left out."""
    for job in jobs:
        yield job.model_dump(mode="json", by_alias=True, exclude={"error_summary"})
