"""The monitoring dashboard's endpoints: S4.14-S4.36, S4.46-S4.48 and S4.64-S4.75."""

from tests.api.contract.rows import Call, Contract, api_tests, elsewhere
from tests.api.contract.shapes import ID, TIME_EXAMPLE, Exactly, Whatever, nullable

MONITORING = "/api/admin/batch-monitoring"
REFUSED = {"success": Exactly(False), "error": "page is '0'.", "code": "bad_request"}
SAVINGS = {
    "currentPeriod": 234.56,
    "projectedMonthly": 7038.45,
    "savingsPercentage": nullable(48.2),
    # Ours, for the report of S4.47.
    "projectedAnnual": 84461.4,
    "totalCost": 12.5,
    "averageCostPerRequest": 0.0125,
    "averageSavingPerRequest": 0.0125,
}
SUMMARY = {
    "totalJobs": 156,
    "completedJobs": 142,
    "failedJobs": 8,
    "pendingJobs": 6,
    "totalRequests": 15600,
    "processedRequests": 14200,
    "costSavings": SAVINGS,
    "averageProcessingTime": 1_800_000,
    "successRate": 95.2,
    # Ours: a status of its own, and what a sandbox pretends to save.
    "cancelledJobs": 0,
    "sandboxSavings": SAVINGS,
}
QUEUES = {"pending": 12, "processing": 3, "completed": 142, "failed": 8}
PERFORMANCE = {
    "throughput": {
        "requestsPerHour": 650.0,
        "jobsPerHour": 6.5,
        "averageBatchSize": 100.0,
    },
    "efficiency": {
        "batchUtilization": 87.3,
        "processingEfficiency": 92.1,
        "errorRate": 4.8,
    },
}
JOB = {
    "id": ID,
    "batchId": Exactly("batch_abc"),
    "status": Exactly("completed"),
    "jobType": Exactly("ai_analysis"),
    "requestCount": Exactly(100),
    "completedCount": Exactly(98),
    "failedCount": Exactly(2),
    "createdAt": TIME_EXAMPLE,
    "startedAt": TIME_EXAMPLE,
    "completedAt": TIME_EXAMPLE,
    "processingTimeMs": Exactly(1_800_000),
    "costEstimate": Exactly(12.50),
    # `retryable` is ours, for S4.48.
    "errorSummary": Exactly(
        [
            {
                "error": "token_limit_exceeded",
                "count": 2,
                "percentage": 2.0,
                "retryable": False,
            }
        ]
    ),
}
BUCKET = {
    "timestamp": TIME_EXAMPLE,
    "requests": 650,
    "cost": 12.5,
    "savings": 12.5,
    "sandboxRequests": 0,
    "sandboxCost": 0.0,
    "sandboxSavings": 0.0,
}


def done(data: object) -> dict:
    return {"success": Exactly(True), "data": data}


def dashboard(jobs: list, page: int = 1, limit: int = 50, total: int = 1) -> dict:
    """The document's four parts, `historical`, and which page of the jobs it is."""
    return done(
        {
            "summary": SUMMARY,
            "queues": QUEUES,
            "performance": PERFORMANCE,
            "jobs": jobs,
            "historical": [BUCKET],
            "pagination": Exactly({"page": page, "limit": limit, "total": total}),
        }
    )


WITHOUT_DETAILS = {**JOB, "errorSummary": Exactly([])}


def looks(query: str, expected: dict) -> Call:
    return Call(f"GET {MONITORING}{query}", expected, scene="example_job")


def refused(query: str, message: str) -> Call:
    return Call(f"GET {MONITORING}?{query}", REFUSED, status=400, message=message)


STEERED = {"id": ID, "status": "pending", "message": "2 items, at most $0.01."}
RETRIED = {
    "id": ID,
    "retriedCount": Exactly(2),
    "skippedCount": Exactly(0),
    "message": "2 requests go out again in a new job.",
}


def act(name: str, scene: str, expected: dict, sent: object = None) -> list[Call]:
    ask = f"POST {MONITORING}/{{id}}/{name}"
    return [
        Call(ask.replace("{id}", "{run}"), done(expected), scene=scene, sent=sent),
        Call(ask.replace("{id}", "{nobodys}"), REFUSED, sent=sent, status=404),
    ]


def on_job(name: str, scene: str, expected: dict) -> list[Call]:
    ask = f"POST {MONITORING}/{{job}}/{name}"
    return [Call(ask, done(expected), scene=scene), *act(name, scene, expected)]


SUPPRESSION = {
    "highErrorRate": 60,
    "longProcessingTime": 60,
    "lowThroughput": 1440,
    "batchFailure": 0,
}
ALERTS = {
    "errorRateThreshold": 10.0,
    "processingTimeThreshold": 3_600_000,
    "notificationChannels": ["email"],
    "alertSuppression": SUPPRESSION,
    # Ours: the other two thresholds, and what is open.
    "throughputThreshold": 0.5,
    "batchFailureThreshold": 1,
    "open": [],
}
OPEN_ALERT = {
    "code": "high_error_rate",
    "severity": Exactly("high"),
    "message": "12 % of the requests failed.",
    "times": 1,
    "raisedAt": TIME_EXAMPLE,
    "seenAt": TIME_EXAMPLE,
}
CHANGED = {
    "errorRateThreshold": 5,
    "processingTimeThreshold": 1_800_000,
    "notificationChannels": ["email"],
    "alertSuppression": {"highErrorRate": 15},
}
SETTING = {
    "name": "BATCH_MAX_REQUESTS",
    "value": Whatever(object),
    "expected": "a number",
    "source": "environment",
    "changedBy": nullable("hodan"),
    "changedAt": nullable(TIME_EXAMPLE),
}


def monitoring_tests(*names: str, of: str = "batch_monitoring") -> list:
    return [api_tests(f"test_{of}", *names)]


ERROR = {
    "error": "token_limit_exceeded",
    "count": Exactly(2),
    "percentage": 100.0,
    "retryable": False,
    "jobCount": 1,
    "jobIds": [ID],
}
TYPE = {"jobType": "ai_analysis", "count": 1, "totalMs": 1_800_000}
SLOW = {
    "thresholdMs": Exactly(1000),
    "slowest": [
        {
            "id": ID,
            "jobType": "ai_analysis",
            "status": "completed",
            "requestCount": 100,
            "processingTimeMs": 1_800_000,
        }
    ],
    "byJobType": [{**TYPE, "averageMs": 1_800_000}],
}
SIZES = {
    "range": Exactly("51-100"),
    "jobs": Exactly(1),
    "requests": Exactly(100),
    "totalTimeMs": Exactly(1_800_000),
    "averageTimePerRequestMs": Exactly(18_000.0),
    "averageSuccessRate": Exactly(98.0),
}
RANGES = ("1h", "24h", "7d", "30d")
THRESHOLDS = "tests/batches/test_thresholds.py::"
SEVERITIES = elsewhere(f"{THRESHOLDS}test_each_alert_is_as_severe_as_the_document_says")
DASHBOARD = [looks("?includeDetails=true", dashboard([JOB]))]
FIGURES = [*DASHBOARD, *monitoring_tests("test_summary_queues_and_rates")]
CONFIG = f"{MONITORING}/config"

RATES = {
    "jobType": Exactly("ai_analysis"),
    "totalJobs": Exactly(1),
    "finishedJobs": Exactly(1),
    "failedJobs": Exactly(0),
    "completedCount": Exactly(98),
    "failedCount": Exactly(2),
    "successRate": Exactly(98.0),
    "errorRate": Exactly(2.0),
    "averageProcessingTime": Exactly(1_800_000),
}
LIMITS = {
    "slots": [{"jobType": nullable("translation"), "taken": 1, "most": 3}],
    "batchSizes": [
        {
            "jobType": "translation",
            "planned": 1000,
            "least": nullable(500),
            "most": nullable(2000),
        }
    ],
    "queues": [
        {
            "provider": "sandbox",
            "model": "gpt-4o-mini",
            "queuedTokens": 60_000,
            "waitingTokens": 0,
            "limit": nullable(2_000_000),
            "source": "told",
        }
    ],
    "providers": [
        {
            "provider": "sandbox",
            "restsUntil": None,
            "reason": None,
            "failures": 0,
            "rateLimits": Whatever(dict),
            "rateLimitsAt": nullable(TIME_EXAMPLE),
        }
    ],
}

CONTRACT: Contract = {
    "S4.6": [
        looks("/job-types?timeRange=30d", done({"jobTypes": [RATES]})),
        *monitoring_tests("test_kinds_of_work_stand_beside_each_other"),
    ],
    "S4.7": [
        Call(f"GET {MONITORING}/limits", done(LIMITS), scene="sent"),
        *monitoring_tests("test_limits_are_those_that_hold_now"),
    ],
    "S4.14": [
        Call(f"GET {CONFIG}", done({"settings": [SETTING]})),
        Call(
            f"PUT {CONFIG}",
            done({"settings": [SETTING]}),
            sent={"settings": {"BATCH_MAX_REQUESTS": 500}},
        ),
        Call(
            f"PUT {CONFIG}",
            REFUSED,
            sent={"settings": {"BATCH_MAX_REQUESTS": 0}},
            status=400,
            message="BATCH_MAX_REQUESTS is '0'",
        ),
        *monitoring_tests(
            "test_settings_are_changed_and_given_back", of="monitoring_settings"
        ),
    ],
    "S4.15": [looks("", dashboard([WITHOUT_DETAILS]))],
    "S4.16": [
        *(looks(f"?timeRange={one}", dashboard([WITHOUT_DETAILS])) for one in RANGES),
        refused("timeRange=2h", "timeRange is '2h'"),
    ],
    "S4.17": [
        looks("?status=completed", dashboard([WITHOUT_DETAILS])),
        looks("?status=failed", dashboard([], total=0)),
        refused("status=done", "status is 'done'"),
    ],
    "S4.18": [
        looks("?jobType=ai_analysis", dashboard([WITHOUT_DETAILS])),
        refused(f"jobType={'x' * 65}", "jobType is 'x"),
        *monitoring_tests("test_status_type_and_page_choose_the_jobs"),
    ],
    "S4.19": [
        looks("?includeDetails=false", dashboard([WITHOUT_DETAILS])),
        looks("?includeDetails=true", dashboard([JOB])),
        refused("includeDetails=perhaps", "includeDetails is 'perhaps'"),
    ],
    "S4.20": [
        looks("?page=2", dashboard([], page=2)),
        refused("page=0", "page is '0'"),
    ],
    "S4.21": [
        looks("?limit=100", dashboard([WITHOUT_DETAILS], limit=100)),
        refused("limit=101", "limit is '101'"),
    ],
    "S4.22": DASHBOARD,
    "S4.23": FIGURES,
    "S4.24": FIGURES,
    "S4.25": [
        *DASHBOARD,
        *monitoring_tests(
            "test_savings_are_of_real_prices_and_the_sandboxs_stand_apart"
        ),
    ],
    "S4.26": FIGURES,
    "S4.27": FIGURES,
    "S4.28": FIGURES,
    "S4.29": FIGURES,
    "S4.30": FIGURES,
    "S4.31": DASHBOARD,
    "S4.32": DASHBOARD,
    "S4.33": DASHBOARD,
    "S4.34": on_job("retry", "failed", RETRIED),
    "S4.35": [
        Call(f"GET {MONITORING}/alerts", done(ALERTS)),
        Call(f"POST {MONITORING}/alerts", done(ALERTS), sent=CHANGED),
        Call(
            f"POST {MONITORING}/alerts",
            REFUSED,
            sent={"errorRateThreshold": 101},
            status=400,
            message="errorRateThreshold is 101",
        ),
        *monitoring_tests(
            "test_thresholds_channels_and_suppression_are_changed",
            of="monitoring_settings",
        ),
    ],
    "S4.36": [
        *on_job("pause", "waiting", STEERED),
        *on_job("resume", "paused", STEERED),
        *on_job("cancel", "waiting", STEERED),
        *act("priority", "pooled", STEERED, {"priority": "high"}),
    ],
    "S4.46": [
        *DASHBOARD,
        looks(
            "/errors",
            done({"total": Exactly(2), "errors": [ERROR]}),
        ),
    ],
    "S4.47": [
        looks("?timeRange=30d", dashboard([WITHOUT_DETAILS])),
        *monitoring_tests(
            "test_savings_are_of_real_prices_and_the_sandboxs_stand_apart"
        ),
    ],
    "S4.48": monitoring_tests("test_an_item_that_failed_may_be_told_by_its_error"),
    "S4.64": [
        Call(
            f"GET {MONITORING}/alerts",
            done({**ALERTS, "open": [OPEN_ALERT]}),
            scene="alert",
        ),
        elsewhere(f"{THRESHOLDS}test_more_than_a_tenth_of_failed_requests"),
    ],
    "S4.65": [
        SEVERITIES,
        elsewhere(f"{THRESHOLDS}test_a_job_of_more_than_an_hour"),
    ],
    "S4.66": [
        SEVERITIES,
        elsewhere(f"{THRESHOLDS}test_little_ends_while_work_waits"),
    ],
    "S4.67": [
        elsewhere(f"{THRESHOLDS}test_a_job_of_which_nothing_came_back_is_critical")
    ],
    "S4.68": [
        *monitoring_tests(
            "test_thresholds_channels_and_suppression_are_changed",
            of="monitoring_settings",
        ),
        elsewhere(
            f"{THRESHOLDS}test_the_channels_are_those_that_were_chosen",
            f"{THRESHOLDS}test_what_was_acknowledged_is_left_alone_for_a_while",
        ),
    ],
    "S4.69": [
        looks("/errors?timeRange=24h", done({"total": Exactly(2), "errors": [ERROR]})),
        *monitoring_tests("test_errors_are_grouped_by_kind_with_their_jobs"),
    ],
    "S4.70": [
        looks("/slow-jobs?timeRange=24h&thresholdMs=1000", done(SLOW)),
        *monitoring_tests("test_the_five_slowest_jobs_and_sums_by_type"),
    ],
    "S4.71": [
        looks("/batch-sizes?timeRange=7d", done({"ranges": [SIZES]})),
        *monitoring_tests("test_jobs_by_ranges_of_fifty_requests"),
    ],
    "S4.72": [api_tests("test_audit", "test_an_act_that_fails_is_written_down")],
    "S4.73": monitoring_tests(
        "test_a_look_is_in_the_audit_log", of="monitoring_access"
    ),
    "S4.74": monitoring_tests(
        "test_sixty_looks_a_minute_and_then_a_wait", of="monitoring_access"
    ),
    "S4.75": [
        api_tests(
            "test_documentation", "test_every_address_has_a_heading_and_an_example"
        )
    ],
}
