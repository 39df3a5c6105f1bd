"""What keeps work from going out, and what a person should look at; read only."""

from django.db.models import Q

from batches.models import Alert, BatchJob, Hold, OpenItem, Run
from batches.services.holds import active_holds, holds_on
from batches.states import TO_SUBMIT, Severity


def holds_of_job(job: BatchJob) -> list[Hold]:
    """The holds that a job waits under; none once it is sent."""
    if job.status not in TO_SUBMIT:
        return []
    return holds_on(provider=job.provider, workload=job.workload, account=job.account)


def holds_of_run(run: Run) -> list[Hold]:
    """The holds that keep any of a run's items from going out, oldest first."""
    holds = active_holds()
    if not holds:
        return []
    unsent = OpenItem.objects.filter(
        Q(job__isnull=True) | Q(job__status__in=TO_SUBMIT), run=run
    )
    kinds = list(unsent.order_by().values("provider", "workload", "account").distinct())
    return [hold for hold in holds if any(hold.covers(**kind) for kind in kinds)]


def hold_in_words(hold: Hold) -> str:
    """`the provider openai, since 2026-11-22 08:12 UTC, by amina: no more money`."""
    words = f"{hold.what()}, since {hold.raised_at:%Y-%m-%d %H:%M} UTC, by "
    words += f"{hold.raised_by}: {hold.message}"
    if hold.probe_at:
        words += f" It is probed at {hold.probe_at:%H:%M:%S} UTC."
    return words


def alert_in_words(alert: Alert) -> str:
    return f"{alert.get_severity_display().lower()}, {alert.code}: {alert.message}"


def critical_alerts() -> list[Alert]:
    """Open alerts that cannot wait, oldest first."""
    return list(Alert.objects.open().filter(severity=Severity.CRITICAL))
