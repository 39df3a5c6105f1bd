"""/api/admin/batch-monitoring, what it shows: S4.15-S4.33, S4.46-S4.48, S4.69-S4.71."""

import csv
import io
import json
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches.models import (
    BatchItem,
    BatchJob,
    HourlyUsage,
    JobTally,
    ProviderState,
    Run,
)
from batches.states import JobStatus
from tests.api.monitoring import MONITORING, ended, read
from tests.factories import make_job

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("nobody_has_asked_yet"),
]


# --- the dashboard --------------------------------------------------------------------


def test_the_dashboard_of_nothing(program):
    data = read(program)

    assert set(data) == {
        "summary",
        "queues",
        "performance",
        "jobs",
        "historical",
        "pagination",
    }
    assert data["queues"] == {
        "pending": 0,
        "processing": 0,
        "completed": 0,
        "failed": 0,
    }
    assert data["jobs"] == []
    assert data["summary"]["totalJobs"] == 0
    assert data["summary"]["successRate"] is None
    assert len(data["historical"]) == 24


def test_summary_queues_and_rates(program):
    ended(items_complete=98, items_failed=2)
    ended(items_complete=92, items_failed=8, ago=timedelta(days=2))
    ended(JobStatus.FAILED, items_failed=100, took=timedelta(minutes=90))
    BatchJob.objects.create(workload="translation", provider="openai", items_total=50)

    data = read(program)

    summary = data["summary"]
    assert {name: summary[name] for name in ("totalJobs", "completedJobs")} == {
        "totalJobs": 3,
        "completedJobs": 1,
    }
    assert (summary["failedJobs"], summary["pendingJobs"]) == (1, 1)
    assert (summary["totalRequests"], summary["processedRequests"]) == (250, 200)
    assert summary["averageProcessingTime"] == 60 * 60 * 1000
    assert summary["successRate"] == 49.0
    assert data["queues"] == {
        "pending": 1,
        "processing": 0,
        "completed": 2,
        "failed": 1,
    }
    assert data["performance"]["efficiency"] == {
        "batchUtilization": 8.3,
        "processingEfficiency": 49.0,
        "errorRate": 51.0,
    }
    throughput = data["performance"]["throughput"]
    assert throughput["averageBatchSize"] == 83.3
    assert 8 < throughput["requestsPerHour"] < 9
    assert read(program, "?timeRange=7d")["summary"]["totalJobs"] == 4


def test_savings_are_of_real_prices_and_the_sandboxs_stand_apart(program):
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for provider in ("openai", "sandbox"):
        HourlyUsage.objects.create(
            hour=hour,
            provider=provider,
            workload="translation",
            model="gpt-4o-mini",
            outcome="applied",
            attempts=1_000,
            input_tokens=1_000_000,
            output_tokens=1_000_000,
            cost_nanos=375_000_000,
        )

    data = read(program)

    savings = data["summary"]["costSavings"]
    assert savings["currentPeriod"] == 0.375
    assert savings["projectedMonthly"] == 11.25
    assert savings["projectedAnnual"] == 135.0
    assert savings["savingsPercentage"] == 50.0
    assert savings["averageCostPerRequest"] == 0.000375
    assert data["summary"]["sandboxSavings"]["totalCost"] == 0.375
    (bucket,) = [one for one in data["historical"] if one["requests"]]
    assert (bucket["cost"], bucket["savings"], bucket["sandboxCost"]) == (
        0.375,
        0.375,
        0.375,
    )
    assert bucket["timestamp"] == f"{hour:%Y-%m-%dT%H}:00:00Z"


def test_status_type_and_page_choose_the_jobs(program):
    for number in range(3):
        ended(workload="summary", items_total=number + 1)
    ended(JobStatus.FAILED)

    page = read(program, "?status=completed&jobType=summary&page=2&limit=2")

    assert [job["requestCount"] for job in page["jobs"]] == [1]
    assert page["pagination"] == {"page": 2, "limit": 2, "total": 3}
    assert page["summary"]["failedJobs"] == 0
    assert read(program, "?status=failed")["pagination"]["total"] == 1
    assert read(program, "?jobType=nothing")["jobs"] == []


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("timeRange=2h", "timeRange is '2h'"),
        ("status=done", "status is 'done'"),
        ("page=0", "page is '0'"),
        ("limit=101", "limit is '101'"),
        ("includeDetails=perhaps", "includeDetails is 'perhaps'"),
        ("jobType=a%00b", "NUL"),
    ],
)
def test_what_is_wrong_is_said_in_the_familys_envelope(program, query, part):
    answer = program.get(f"{MONITORING}?{query}")

    assert answer.status_code == 400
    assert answer.json()["success"] is False
    assert part in answer.json()["error"]


@pytest.mark.parametrize("time_range", ["1h", "24h", "7d", "30d"])
def test_a_look_reads_few_rows_and_no_items(program, time_range):
    ended(items_complete=100)
    read(program)

    with CaptureQueriesContext(connection) as captured:
        read(program, f"?timeRange={time_range}&includeDetails=true")

    assert len(captured) <= 15
    items = f'"{BatchItem._meta.db_table}"'
    assert not [one["sql"] for one in captured if items in one["sql"]]


def test_an_item_that_failed_may_be_told_by_its_error(program):
    """What a client does that retries by itself: S4.48."""
    job = ended(JobStatus.PROCESSED, items_failed=1)
    run = Run.objects.create(workload="translation", trigger="api")
    for code in ("rate_limit_exceeded", "temporary_error", "timeout", "refused"):
        JobTally.objects.create(
            job=job, run=run, outcome="failed", error_code=code, attempts=1
        )

    (told,) = read(program, "?status=completed&includeDetails=true")["jobs"]

    may_pass = {one["error"] for one in told["errorSummary"] if one["retryable"]}
    assert may_pass == {"rate_limit_exceeded", "temporary_error", "timeout"}


# --- analyses -------------------------------------------------------------------------


def test_errors_are_grouped_by_kind_with_their_jobs(program):
    run = Run.objects.create(workload="translation", trigger="api")
    jobs = [ended(items_failed=n) for n in (1, 3)]
    for job, code, count in (
        (jobs[0], "timeout", 1),
        (jobs[1], "timeout", 2),
        (jobs[1], "model_not_found", 1),
    ):
        JobTally.objects.create(
            job=job, run=run, outcome="failed", error_code=code, attempts=count
        )

    data = read(program, path="/errors")

    assert data == {
        "total": 4,
        "errors": [
            {
                "error": "timeout",
                "count": 3,
                "percentage": 75.0,
                "retryable": True,
                "jobCount": 2,
                "jobIds": [str(jobs[1].public_id), str(jobs[0].public_id)],
            },
            {
                "error": "model_not_found",
                "count": 1,
                "percentage": 25.0,
                "retryable": False,
                "jobCount": 1,
                "jobIds": [str(jobs[1].public_id)],
            },
        ],
    }


def test_the_five_slowest_jobs_and_sums_by_type(program):
    for hours in range(1, 8):
        ended(took=timedelta(hours=hours, minutes=1))
    running = make_job(
        items=1,
        status=JobStatus.IN_PROGRESS,
        create_sent_at=timezone.now() - timedelta(hours=20),
    )

    data = read(program, path="/slow-jobs")

    assert data["thresholdMs"] == 3_600_000
    assert len(data["slowest"]) == 5
    assert data["slowest"][0]["id"] == str(running.public_id)
    assert data["slowest"][1]["processingTimeMs"] == (7 * 60 + 1) * 60_000
    by_type = {one["jobType"]: one for one in data["byJobType"]}
    assert by_type["translation"]["count"] == 7
    assert by_type["translation"]["averageMs"] == (4 * 60 + 1) * 60_000
    assert read(program, "?thresholdMs=99999999", "/slow-jobs")["slowest"] == []


def test_jobs_by_ranges_of_fifty_requests(program):
    ended(items_total=50, items_complete=50)
    ended(items_total=51, items_complete=51)
    ended(items_total=100, items_complete=80, items_failed=20)

    ranges = read(program, "?timeRange=7d", "/batch-sizes")["ranges"]

    assert ranges[0] == {
        "range": "1-50",
        "jobs": 1,
        "requests": 50,
        "totalTimeMs": 1_800_000,
        "averageTimePerRequestMs": 36_000.0,
        "averageSuccessRate": 100.0,
    }
    assert (ranges[1]["range"], ranges[1]["jobs"]) == ("51-100", 2)
    assert ranges[1]["averageSuccessRate"] == 86.8


def test_kinds_of_work_stand_beside_each_other(program):
    ended(items_complete=90, items_failed=10)
    ended(items_complete=100, took=timedelta(minutes=90))
    ended(JobStatus.FAILED, items_failed=30, workload="summary")
    ended(ago=timedelta(days=2), workload="quiz_improvement")
    BatchJob.objects.create(workload="translation", provider="openai", items_total=5)

    summary, translation = read(program, path="/job-types")["jobTypes"]

    assert (summary["jobType"], summary["failedJobs"]) == ("summary", 1)
    assert (summary["successRate"], summary["errorRate"]) == (0.0, 100.0)
    assert translation == {
        "jobType": "translation",
        "totalJobs": 3,
        "finishedJobs": 2,
        "failedJobs": 0,
        "completedCount": 190,
        "failedCount": 10,
        "successRate": 95.0,
        "errorRate": 5.0,
        "averageProcessingTime": 60 * 60 * 1000,
    }
    assert len(read(program, "?timeRange=7d", "/job-types")["jobTypes"]) == 3


def test_limits_are_those_that_hold_now(program, settings):
    settings.BATCH_MAX_JOBS, settings.BATCH_MAX_JOBS_PER_WORKLOAD = 7, "*=2"
    settings.TOKEN_QUEUE_LIMITS = "gpt-4o-mini=5000"
    until = timezone.now().replace(microsecond=0) + timedelta(minutes=5)
    ProviderState.objects.create(
        provider="openai",
        failures=4,
        open_until=until,
        rate_limits={"x-ratelimit-remaining-requests": "17"},
    )
    BatchJob.objects.create(
        workload="translation",
        provider="openai",
        model="gpt-4o-mini",
        status=JobStatus.IN_PROGRESS,
        provider_batch_id="batch_1",
        create_sent_at=timezone.now(),
        queued_tokens=1_200,
    )

    limits = read(program, path="/limits")

    by_type = {one["jobType"]: one for one in limits["slots"]}
    assert by_type[None] == {"jobType": None, "taken": 1, "most": 7}
    assert by_type["translation"] == {"jobType": "translation", "taken": 1, "most": 2}
    assert limits["queues"] == [
        {
            "provider": "openai",
            "model": "gpt-4o-mini",
            "queuedTokens": 1_200,
            "waitingTokens": 0,
            "limit": 5_000,
            "source": "by hand",
        }
    ]
    (provider,) = limits["providers"]
    assert (provider["failures"], bool(provider["reason"])) == (4, True)
    assert provider["rateLimits"] == {"x-ratelimit-remaining-requests": "17"}
    assert datetime.fromisoformat(provider["restsUntil"]) == until


# --- export ---------------------------------------------------------------------------


def test_the_export_as_csv_neutralises_formulas(program):
    ended(workload="=1+1", items_complete=100)

    answer = program.client.get(f"{MONITORING}/export?timeRange=7d")

    assert answer["Content-Type"].startswith("text/csv")
    assert "attachment" in answer["Content-Disposition"]
    (row,) = csv.DictReader(io.StringIO(answer.getvalue().decode()))
    assert (row["jobType"], row["requestCount"]) == ("'=1+1", "100")


def test_the_export_as_json_has_every_job(program):
    jobs = [ended() for _ in range(3)]

    answer = program.client.get(f"{MONITORING}/export?format=json")

    told = json.loads(answer.getvalue())
    assert told["success"] is True
    assert {job["id"] for job in told["data"]["jobs"]} == {
        str(job.public_id) for job in jobs
    }


def test_the_export_of_nothing(program):
    empty = program.client.get(f"{MONITORING}/export?format=json").getvalue()

    assert json.loads(empty) == {"success": True, "data": {"jobs": []}}
