"""/api/admin/batch-monitoring: S4.14-S4.34, S4.36, S4.46-S4.48, S4.69-S4.74."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches.models import (
    AuditEntry,
    BatchItem,
    BatchJob,
    ConfigOverride,
    HourlyUsage,
    JobTally,
    OpenItem,
    Run,
)
from batches.services.bundling import bundle
from batches.states import AuditOutcome, Intent, JobStatus, Priority
from tests.driving import work_off
from tests.factories import make_collected_run, make_job

pytestmark = pytest.mark.django_db

MONITORING = "/api/admin/batch-monitoring"
NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(autouse=True)
def nobody_has_asked_yet(db):
    cache.clear()


def ended(status=JobStatus.PROCESSED, *, ago=timedelta(hours=2), **given) -> BatchJob:
    """A job that ended some time ago, half an hour after it was sent."""
    now = timezone.now()
    given.setdefault("items_total", 100)
    given.setdefault("took", timedelta(minutes=30))
    took = given.pop("took")
    return BatchJob.objects.create(
        workload=given.pop("workload", "translation"),
        provider="openai",
        model="gpt-4o-mini",
        status=status,
        create_sent_at=now - ago - took,
        finished_at=now - ago,
        **given,
    )


def read(caller, query="", path=""):
    answer = caller.get(f"{MONITORING}{path}{query}")
    assert answer.status_code == 200, answer.content
    assert answer.json()["success"] is True
    return answer.json()["data"]


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


def test_a_job_in_the_list_has_the_names_of_the_example(program):
    job = ended(
        items_complete=98,
        items_failed=2,
        provider_batch_id="batch_abc",
        cost_nanos=12_500_000_000,
        workload="ai_analysis",
    )
    run = Run.objects.create(workload="ai_analysis", trigger="api")
    JobTally.objects.create(
        job=job,
        run=run,
        outcome="failed",
        error_code="token_limit_exceeded",
        attempts=2,
    )

    (told,) = read(program, "?includeDetails=true")["jobs"]

    assert told["errorSummary"] == [
        {
            "error": "token_limit_exceeded",
            "count": 2,
            "percentage": 2.0,
            "retryable": False,
        }
    ]
    assert {
        name: told[name]
        for name in told
        if not name.endswith("At") and name != "errorSummary"
    } == {
        "id": str(job.public_id),
        "batchId": "batch_abc",
        "status": "completed",
        "jobType": "ai_analysis",
        "requestCount": 100,
        "completedCount": 98,
        "failedCount": 2,
        "processingTimeMs": 1_800_000,
        "costEstimate": 12.5,
    }
    for name in ("createdAt", "startedAt", "completedAt"):
        assert told[name].endswith("Z")
    assert read(program)["jobs"][0]["errorSummary"] == []


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


# --- steering -------------------------------------------------------------------------


def test_a_job_is_paused_resumed_and_cancelled(program):
    job = make_job(2)
    address = f"{MONITORING}/{job.public_id}"

    paused = program.post(f"{address}/pause").json()["data"]
    job.refresh_from_db()
    assert (paused["id"], job.intent) == (str(job.public_id), Intent.PAUSE)
    assert paused["message"].startswith("2 items, at most $")
    program.post(f"{address}/resume")
    job.refresh_from_db()
    assert job.intent == Intent.NONE
    cancelled = program.post(f"{address}/cancel").json()["data"]

    assert cancelled["status"] == "cancelled"
    assert set(AuditEntry.objects.values_list("action", flat=True)) >= {
        "job.pause",
        "job.resume",
        "job.cancel",
    }
    again = program.post(f"{address}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert again.json()["success"] is False


def test_a_run_gets_another_priority(program):
    run = make_collected_run(items=1)

    answer = program.post(
        f"{MONITORING}/{run.public_id}/priority", {"priority": "high"}
    )

    assert answer.status_code == 200, answer.content
    assert OpenItem.objects.get().priority == Priority.HIGH


def test_a_job_has_its_place(program):
    job = make_job(1)
    address = f"{MONITORING}/{job.public_id}/priority"

    assert program.post(address, {"priority": "low"}).status_code == 409
    assert program.post(address, {"priority": "urgent"}).status_code == 400
    assert program.post(address).status_code == 400


def test_failed_requests_go_out_again_in_a_new_job(program, sandbox):
    sandbox.faults(failed_lines={"rate": 1.0, "status": 400})
    run = make_collected_run(items=2)
    work_off()
    job = BatchJob.objects.get()
    sandbox.clear_faults()

    answer = program.post(f"{MONITORING}/{job.public_id}/retry").json()["data"]

    assert (answer["retriedCount"], answer["skippedCount"]) == (2, 0)
    bundle()
    assert BatchItem.objects.filter(run=run).exclude(job=job).count() == 2
    again = program.post(f"{MONITORING}/{job.public_id}/retry")
    assert again.status_code == 409


@pytest.mark.parametrize("act", ["retry", "pause", "resume", "cancel", "priority"])
def test_what_is_not_there_is_404(program, act):
    answer = program.post(f"{MONITORING}/{NOBODY}/{act}", {"priority": "low"})

    assert (answer.status_code, answer.json()["success"]) == (404, False)


# --- settings -------------------------------------------------------------------------


def settings_of(data) -> dict:
    return {one["name"]: one for one in data["settings"]}


def test_settings_are_changed_and_given_back(program, settings):
    settings.BATCH_MAX_REQUESTS = 1000
    body = {"settings": {"BATCH_MAX_REQUESTS": 500}}

    changed = program.put(f"{MONITORING}/config", body).json()["data"]

    one = settings_of(changed)["BATCH_MAX_REQUESTS"]
    assert (one["value"], one["source"]) == (500, "override")
    assert one["changedBy"].startswith("key:")
    entry = AuditEntry.objects.get(action="override:set")
    assert (entry.before, entry.after) == (None, {"value": 500})
    program.put(f"{MONITORING}/config", {"settings": {"BATCH_MAX_REQUESTS": None}})
    one = settings_of(read(program, path="/config"))["BATCH_MAX_REQUESTS"]
    assert (one["value"], one["source"], one["changedBy"]) == (
        1000,
        "environment",
        None,
    )


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ({"BATCH_MAX_REQUESTS": 0}, "BATCH_MAX_REQUESTS is '0': it must be"),
        ({"BATCH_MAX_REQUESTS": 5, "STAGING": "yes"}, "STAGING is 'yes'"),
        ({"SECRET_KEY": "x"}, "SECRET_KEY is no setting that can be overridden"),
        ({}, "settings is {}"),
    ],
)
def test_a_wrong_setting_changes_nothing(program, wanted, part):
    answer = program.put(f"{MONITORING}/config", {"settings": wanted})

    assert answer.status_code == 400
    assert part in answer.json()["error"]
    assert not ConfigOverride.objects.exists()


def test_only_an_admin_key_changes_settings(with_key):
    body = {"settings": {"STAGING": True}}

    assert with_key("operate").put(f"{MONITORING}/config", body).status_code == 403


# --- who, and how often ---------------------------------------------------------------


def test_users_who_are_not_staff_are_turned_away_by_name(signed_in, anonymous):
    assert anonymous.get(MONITORING).status_code == 401
    answer = signed_in(is_staff=False).get(MONITORING)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_look_is_in_the_audit_log(signed_in):
    signed_in(name="hodan").get(f"{MONITORING}?timeRange=7d")

    entry = AuditEntry.objects.get(action="batch_monitoring_access")
    assert (entry.actor, entry.outcome) == ("hodan", AuditOutcome.SUCCESS)
    assert entry.message == "Admin accessed batch monitoring dashboard"
    assert entry.target == f"{MONITORING}?timeRange=7d"
    assert entry.address == "127.0.0.1"


def test_sixty_looks_a_minute_and_then_a_wait(with_key, make_user, monkeypatch):
    from ninja.throttling import SimpleRateThrottle

    now = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    monkeypatch.setattr(SimpleRateThrottle, "timer", staticmethod(lambda: now))
    caller = with_key("read", owner=make_user("hodan"))
    for _ in range(60):
        assert caller.get(f"{MONITORING}/config").status_code == 200

    refused = caller.get(MONITORING)

    assert refused.status_code == 429
    assert refused.json()["success"] is False
    assert refused.json()["code"] == "too_many_requests"
    assert 0 < int(refused["Retry-After"]) <= 60
    assert AuditEntry.objects.filter(outcome=AuditOutcome.RATE_LIMITED).count() == 1
    other = with_key("read", "submit", owner=make_user("amina"))
    assert other.get(f"{MONITORING}/config").status_code == 200
    now += 61
    monkeypatch.setattr(SimpleRateThrottle, "timer", staticmethod(lambda: now))
    assert caller.get(f"{MONITORING}/config").status_code == 200


def test_the_limit_is_counted_in_the_database(program):
    read(program, path="/config")

    with connection.cursor() as cursor:
        cursor.execute("SELECT cache_key FROM batchsite_cache")
        (key,) = cursor.fetchone()
    assert "admin-batch-monitoring:key:program" in key


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


# --- alerts ---------------------------------------------------------------------------


def test_thresholds_are_those_of_the_document_until_changed(program):
    data = read(program, path="/alerts")

    assert data == {
        "errorRateThreshold": 10.0,
        "processingTimeThreshold": 3_600_000,
        "throughputThreshold": 0.5,
        "batchFailureThreshold": 1,
        "notificationChannels": ["email", "log"],
        "alertSuppression": {
            "highErrorRate": 60,
            "longProcessingTime": 60,
            "lowThroughput": 1440,
            "batchFailure": 0,
        },
        "open": [],
    }


def test_thresholds_channels_and_suppression_are_changed(program):
    body = {
        "errorRateThreshold": 5.5,
        "processingTimeThreshold": 1_800_000,
        "notificationChannels": ["log"],
        "alertSuppression": {"highErrorRate": 15},
    }

    data = program.post(f"{MONITORING}/alerts", body).json()["data"]

    assert data["errorRateThreshold"] == 5.5
    assert data["processingTimeThreshold"] == 1_800_000
    assert data["notificationChannels"] == ["log"]
    assert data["alertSuppression"]["highErrorRate"] == 15
    assert data["alertSuppression"]["lowThroughput"] == 1440
    assert data["throughputThreshold"] == 0.5
    assert ConfigOverride.objects.get(pk="ALERT_PROCESSING_SECONDS").value == 1800
    assert AuditEntry.objects.filter(action="override:set").count() == 4


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"errorRateThreshold": 101}, "errorRateThreshold is 101"),
        ({"processingTimeThreshold": 10}, "processingTimeThreshold is 10"),
        ({"notificationChannels": ["pager"]}, "notificationChannels.0 is 'pager'"),
        ({"alertSuppression": {"highErrorRate": -1}}, "highErrorRate is -1"),
        ({"alertSuppression": {"noise": 1}}, "alertSuppression.noise is no field"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused(program, body, part):
    answer = program.post(f"{MONITORING}/alerts", body)

    assert (answer.status_code, answer.json()["success"]) == (400, False)
    assert part in answer.json()["error"]
    assert not ConfigOverride.objects.exists()
