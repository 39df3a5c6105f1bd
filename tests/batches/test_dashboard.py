"""The dashboard's figures, where hours and days that are over are kept for a while."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache

from batches.models import BatchJob, HourlyUsage
from batches.monitoring import dashboard as module
from batches.monitoring.dashboard import dashboard
from batches.states import AttemptOutcome, JobStatus

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 20, 15, 40, tzinfo=UTC)


@pytest.fixture(autouse=True)
def work(monkeypatch):
    """Jobs and usage of forty days, four hours and a few minutes apart."""
    cache.clear()
    monkeypatch.setattr(module, "KEPT_FROM_REQUESTS", 10)
    for number in range(40 * 6):
        add_job(timedelta(hours=4 * number, minutes=number % 50))
    add_job(None)


def add_job(ago, status=JobStatus.PROCESSED):
    at = None if ago is None else NOW - ago
    BatchJob.objects.create(
        workload="translation",
        provider="openai",
        model="gpt-4o-mini",
        status=status if at else JobStatus.PENDING,
        create_sent_at=at and at - timedelta(minutes=30),
        finished_at=at,
        items_total=10,
        items_complete=9,
        items_failed=1,
    )
    if at:
        hour = at.replace(minute=0)
        row, _ = HourlyUsage.objects.get_or_create(
            hour=hour,
            provider="openai",
            workload="translation",
            model="gpt-4o-mini",
            owner_key=0,
            outcome=AttemptOutcome.APPLIED,
        )
        row.attempts += 10
        row.cost_nanos += 7
        row.input_tokens += 100
        row.save()


def told(found):
    """All that is read of it."""
    return (
        {status: counts for status, counts in found.by_status.items() if counts.jobs},
        found.queues,
        [
            (part.is_sandbox, part.total, part.by_group(), part.by_bucket())
            for part in (found.used.real, found.used.pretended)
        ],
    )


def counted_anew(range_, now=NOW, **given):
    cache.clear()
    return told(dashboard(range_, now=now, **given))


@pytest.mark.parametrize("range_", ["1h", "24h", "7d", "30d"])
@pytest.mark.parametrize("workload", ["", "translation", "nothing"])
def test_what_is_kept_agrees_with_a_full_count(range_, workload):
    first = told(dashboard(range_, workload=workload, now=NOW))
    add_job(timedelta(minutes=1))
    add_job(timedelta(minutes=1), JobStatus.CANCELLED)
    add_job(None)

    kept = told(dashboard(range_, workload=workload, now=NOW))

    assert kept == counted_anew(range_, workload=workload)
    assert (kept == first) == (workload == "nothing")


@pytest.mark.parametrize("range_", ["24h", "7d", "30d"])
def test_another_hour_and_another_day_begin(range_):
    dashboard(range_, now=NOW)

    for later in (timedelta(hours=1), timedelta(hours=12), timedelta(days=1)):
        assert told(dashboard(range_, now=NOW + later)) == counted_anew(
            range_, NOW + later
        )


@pytest.mark.parametrize("range_", ["24h", "7d", "30d"])
def test_what_is_over_is_not_read_again(range_):
    before = dashboard(range_, now=NOW)
    HourlyUsage.objects.filter(hour__lt=NOW - timedelta(days=2)).update(attempts=0)
    HourlyUsage.objects.filter(hour=NOW - timedelta(hours=20, minutes=40)).update(
        attempts=0
    )

    kept = dashboard(range_, now=NOW)

    assert told(kept) == told(before)
    assert told(kept) != counted_anew(range_)


def test_the_summary_of_few_requests_is_always_read(monkeypatch):
    monkeypatch.setattr(module, "KEPT_FROM_REQUESTS", 10_000_000)
    before = told(dashboard("30d", now=NOW))
    HourlyUsage.objects.filter(hour__lt=NOW - timedelta(days=2)).update(attempts=0)

    assert told(dashboard("30d", now=NOW)) != before


@pytest.mark.parametrize("range_", ["24h", "7d", "30d"])
def test_every_range_takes_as_many_queries(range_, django_assert_max_num_queries):
    dashboard(range_, now=NOW)

    with django_assert_max_num_queries(5):
        dashboard(range_, now=NOW)
