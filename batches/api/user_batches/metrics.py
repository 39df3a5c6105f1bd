"""What a user's work has cost, and what was asked for, over a period."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from django.contrib.auth.models import User
from django.db.models import Avg, F, Q, Sum
from django.utils import timezone

from batches.api.user_batches.schemas import (
    FiguresOut,
    MetricsIn,
    MetricsOut,
    PeriodOut,
    UsageOut,
)
from batches.errors import BatchError
from batches.models import HourlyUsage
from batches.models.money import to_usd
from batches.monitoring.following import runs_of
from batches.monitoring.usage import NOT_EXECUTED
from batches.providers.registry import is_sandbox
from batches.workloads import all_workloads

USUAL = timedelta(days=30)
LONGEST = timedelta(days=366)


class BadPeriod(BatchError):
    code = "bad_request"


def metrics_of(owner: User, wanted: MetricsIn) -> MetricsOut:
    """Figures of the hours that lie in a period. Raises BadPeriod."""
    start, end = _period(wanted)
    providers = _providers(owner, start, end)
    runs = runs_of(owner).filter(created_at__gte=start, created_at__lt=end)
    took = runs.filter(finished_at__isnull=False).aggregate(
        mean=Avg(F("finished_at") - F("created_at"))
    )["mean"]
    asked: Counter[str] = Counter()
    known = all_workloads()
    for key, options, subjects in runs.values_list(
        "workload", "options", "subjects_collected"
    ).iterator():
        workload = known.get(key)
        names = (
            workload.asks(workload.options.model_construct(**options))
            if workload
            else [key]
        )
        for name in names:
            asked[name] += subjects
    return MetricsOut(
        user_id=str(owner.pk),
        metrics=FiguresOut(
            total_cost=sum(
                use.cost for name, use in providers.items() if not is_sandbox(name)
            ),
            total_requests=sum(use.requests for use in providers.values()),
            average_response_time=took and int(took.total_seconds() * 1000),
            feature_usage=dict(sorted(asked.items())),
            provider_usage=providers,
        ),
        period=PeriodOut(start=start, end=end),
    )


def _providers(owner: User, start: datetime, end: datetime) -> dict[str, UsageOut]:
    rows = (
        HourlyUsage.objects.filter(
            owner_key=owner.pk,
            hour__gte=start.replace(minute=0, second=0, microsecond=0),
            hour__lt=end,
        )
        .order_by("provider")
        .values("provider")
        .annotate(
            requests=Sum("attempts", filter=~Q(outcome__in=NOT_EXECUTED), default=0),
            nanos=Sum("cost_nanos"),
        )
    )
    return {
        row["provider"]: UsageOut(
            requests=row["requests"], cost=float(to_usd(row["nanos"]))
        )
        for row in rows
    }


def _period(wanted: MetricsIn) -> tuple[datetime, datetime]:
    end = _aware("endDate", wanted.end_date) or timezone.now()
    try:
        start = _aware("startDate", wanted.start_date) or end - USUAL
    except OverflowError as err:
        raise BadPeriod("endDate lies before all time; give a later one.") from err
    if start >= end:
        raise BadPeriod(
            f"startDate is {start.isoformat()}: it must be before endDate, "
            f"{end.isoformat()}."
        )
    if end - start > LONGEST:
        raise BadPeriod(
            f"startDate is {start.isoformat()}: at most {LONGEST.days} days before "
            "endDate are told at once. Give a later startDate."
        )
    return start, end


def _aware(name: str, given: datetime | None) -> datetime | None:
    """In UTC, by which usage is counted; a time without a zone is of UTC.

    Raises BadPeriod where that is no time of UTC's.
    """
    if given is None:
        return None
    if timezone.is_naive(given):
        return given.replace(tzinfo=UTC)
    try:
        return given.astimezone(UTC)
    except OverflowError as err:
        raise BadPeriod(f"{name} lies outside of all time; give another.") from err
