"""When the dashboard's figures are worth an alert: four thresholds over 24 hours."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Max, Q

from batches import config
from batches.models import Alert, BatchJob, Run
from batches.monitoring.dashboard import Dashboard, dashboard
from batches.monitoring.findings import slow_jobs
from batches.states import JOB_FINAL, JobStatus, Severity

RANGE = "24h"


@dataclass(frozen=True)
class Breach:
    """A threshold that is crossed now; to be told as an alert."""

    code: str
    severity: Severity
    message: str


def breaches(now: datetime) -> list[Breach]:
    """What is to be told now: nothing twice that was acknowledged a short while ago."""
    figures = dashboard(RANGE, now=now)
    found = []
    for code, (severity, look) in RULES.items():
        if is_suppressed(code, now):
            continue
        if message := look(figures, now):
            found.append(Breach(code, severity, message))
    return found


def is_suppressed(code: str, now: datetime) -> bool:
    """Whether such an alert was acknowledged within its ALERT_SUPPRESSION_MINUTES."""
    minutes = config.get("ALERT_SUPPRESSION_MINUTES").get(code, 0)
    since = now - timedelta(minutes=minutes)
    return Alert.objects.filter(code=code, acknowledged_at__gt=since).exists()


def _error_rate(figures: Dashboard, now: datetime) -> str:
    rate, most = figures.error_percent, config.get("ALERT_ERROR_PERCENT")
    if rate is None or rate <= most:
        return ""
    found = figures.all
    return (
        f"{rate} % of the requests of the last 24 hours failed, {found.failed:,} of "
        f"{found.complete + found.failed:,}; ALERT_ERROR_PERCENT is {most:g}. "
        "/api/admin/batch-monitoring/errors tells why."
    )


def _processing_time(figures: Dashboard, now: datetime) -> str:
    seconds = config.get("ALERT_PROCESSING_SECONDS")
    found = slow_jobs(
        RANGE, workload="", longer_than=timedelta(seconds=seconds), now=now
    )
    if not found.slowest:
        return ""
    count = sum(one.jobs for one in found.by_workload)
    job, took = found.slowest[0]
    jobs = "1 job" if count == 1 else f"{count:,} jobs"
    return (
        f"{jobs} of the last 24 hours took longer than {seconds:,} seconds "
        f"(ALERT_PROCESSING_SECONDS); the slowest, job {job.pk}, took "
        f"{int(took.total_seconds()):,}."
    )


def _throughput(figures: Dashboard, now: datetime) -> str:
    least = config.get("ALERT_JOBS_PER_HOUR")
    if figures.jobs_per_hour >= least:
        return ""
    # At that pace one job should have ended since; before, nobody can tell.
    since = now - timedelta(hours=1 / least)
    waits = BatchJob.objects.unfinished().filter(created_at__lt=since).exists()
    runs = Run.objects.unfinished().filter(paused_at__isnull=True)
    if not waits and not runs.filter(created_at__lt=since).exists():
        return ""
    return (
        f"{figures.jobs_per_hour:g} jobs an hour ended in the last 24 hours while work "
        f"waits; ALERT_JOBS_PER_HOUR is {least:g}. `explain` on what waits says what "
        "for."
    )


def _failed_jobs(figures: Dashboard, now: datetime) -> str:
    told = Alert.objects.filter(code="batch_failure").aggregate(at=Max("raised_at"))
    since = max(figures.span.start, told["at"] or figures.span.start)
    without = Q(status=JobStatus.FAILED) | Q(items_failed=F("items_total"))
    jobs = BatchJob.objects.filter(
        without,
        status__in=JOB_FINAL,
        finished_at__gt=since,
        items_complete=0,
        items_total__gt=0,
    )
    keys = list(jobs.order_by("pk").values_list("pk", flat=True)[:1_000])
    if len(keys) < config.get("ALERT_FAILED_JOBS"):
        return ""
    named = ", ".join(str(key) for key in keys[:5])
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return (
        f"Nothing came back of job {named}{more}. Their pages say why; what may pass "
        "can be retried there."
    )


RULES: dict[str, tuple[Severity, Callable[[Dashboard, datetime], str]]] = {
    "high_error_rate": (Severity.HIGH, _error_rate),
    "long_processing_time": (Severity.MEDIUM, _processing_time),
    "low_throughput": (Severity.MEDIUM, _throughput),
    "batch_failure": (Severity.CRITICAL, _failed_jobs),
}
