"""Orders of words, by their seven endpoints: S2.1-S2.9, S2.15-S2.38, S2.44-S2.45."""

from tests.api.contract.rows import Call, Contract, api_tests, elsewhere
from tests.api.contract.shapes import ID, TIME_EXAMPLE, Exactly, Whatever, nullable

BATCH = "/api/v1/ai/batch"
REFUSED = {"error": "words is [].", "code": "bad_request"}
ORDER = {
    "words": ["patience", "serendipity"],
    "features": {"smart_summary": True, "etymology": False},
    "options": {
        "priority": "high",
        "context": {"sentence": "Patience pays."},
        "notifyProgress": True,
        "maxRetries": 3,
    },
}
ACCEPTED = {
    "jobId": ID,
    "totalItems": 2,
    "status": Exactly("pending"),
    "message": "Batch job submitted.",
}
JOB = {
    "jobId": ID,
    "type": "word_features",
    "status": "completed",
    "progress": 100,
    "totalItems": 2,
    "completedItems": 1,
    "failedItems": 1,
    "priority": "normal",
    "createdAt": TIME_EXAMPLE,
    "startedAt": nullable(TIME_EXAMPLE),
    "completedAt": nullable(TIME_EXAMPLE),
}
ABOUT = {"index": 0, "subject": "en:patience", "target": "smart_summary"}
RESULT = {
    "jobId": ID,
    "status": Exactly("partial"),
    "totalProcessed": Exactly(2),
    "successCount": Exactly(1),
    "failureCount": Exactly(1),
    "results": [{**ABOUT, "data": {"summary": "Calm.", "key_points": ["calm"]}}],
    "errors": [
        {**ABOUT, "code": "x", "message": "The line failed.", "retryable": True}
    ],
    "processingTime": 5000,
    "next": nullable(1),
}
EVENT = {
    "job_id": ID,
    "event_type": "job:created",
    "event_data": Whatever(dict),
    "created_at": TIME_EXAMPLE,
}
STATS = {
    "queue": {
        "totalJobs": 1,
        "pendingJobs": 1,
        "processingJobs": 0,
        "completedJobs": 0,
        "failedJobs": 0,
        "cancelledJobs": 0,
        "queueLength": 2,
        "currentProcessing": 0,
    },
    "jobs": {
        "total": 1,
        "pending": 1,
        "processing": 0,
        "completed": 0,
        "failed": 0,
        "cancelled": 0,
    },
    "timestamp": TIME_EXAMPLE,
}
METRICS = {
    "userId": "7",
    "metrics": {
        "totalCost": Exactly(0),
        "totalRequests": 2,
        "averageResponseTime": 1800,
        "featureUsage": {"smart_summary": 2},
        "providerUsage": {"sandbox": {"requests": 2, "cost": 0.0001}},
    },
    "period": {"start": TIME_EXAMPLE, "end": TIME_EXAMPLE},
}


def wrong(message: str, **change: object) -> Call:
    """An order that the document answers with 400."""
    sent = {name: value for name, value in {**ORDER, **change}.items() if value}
    if "words" in change:
        sent["words"] = change["words"]
    return Call(f"POST {BATCH}", REFUSED, sent=sent, status=400, message=message)


def user_tests(*names: str) -> list:
    return [api_tests("test_user_batches", *names)]


EVENTS = user_tests("test_a_job_from_order_to_results")
FAILURE = [
    api_tests(
        "test_user_events", "test_a_job_that_failed_and_was_retried_says_all_of_it"
    )
]

CONTRACT: Contract = {
    "S2.1": [
        Call(f"POST {BATCH}", ACCEPTED, sent=ORDER, status=202),
        wrong("words is []", words=[]),
        wrong("at most 100", words=["word"] * 101),
        wrong("features is missing", features=None),
        wrong("features enables none", features={"etymology": False}),
    ],
    "S2.2": [
        Call(f"GET {BATCH}/{{job}}", {**JOB, "result": None}, scene="ordered"),
        Call(f"GET {BATCH}/{{job}}", {**JOB, "result": RESULT}, scene="delivered"),
        Call(f"GET {BATCH}/{{job}}", REFUSED, scene="others", status=404),
        Call(f"GET {BATCH}/{{nobodys}}", REFUSED, status=404),
    ],
    "S2.3": [
        Call(
            f"GET {BATCH}/{{job}}/events",
            {"jobId": ID, "events": [EVENT], "next": None},
            scene="delivered",
        ),
        Call(f"GET {BATCH}/{{job}}/events", REFUSED, scene="others", status=404),
    ],
    "S2.4": [
        Call(
            f"DELETE {BATCH}/{{job}}",
            {"jobId": ID, "status": Exactly("cancelled"), "message": "Cancelled."},
            scene="ordered",
        ),
        Call(f"DELETE {BATCH}/{{job}}", REFUSED, scene="delivered", status=409),
        Call(f"DELETE {BATCH}/{{job}}", REFUSED, scene="others", status=404),
    ],
    "S2.5": [
        Call(
            f"GET {BATCH}",
            {"jobs": [JOB], "total": 1, "limit": Exactly(50), "offset": Exactly(0)},
            scene="ordered",
        ),
        Call(
            f"GET {BATCH}?limit=1&offset=0",
            {"jobs": [JOB], "total": 1, "limit": Exactly(1), "offset": Exactly(0)},
            scene="delivered",
        ),
        *user_tests("test_without_a_name_nothing_is_told_not_even_statistics"),
    ],
    "S2.6": [Call(f"GET {BATCH}/stats", STATS, scene="ordered")],
    "S2.7": [
        Call(f"GET {BATCH}/metrics", METRICS, scene="delivered"),
        Call(
            f"GET {BATCH}/metrics?startDate=2020-01-01&endDate=2026-03-01",
            REFUSED,
            status=400,
            message="at most 366 days",
        ),
    ],
    "S2.8": [
        elsewhere(
            "tests/api/contract/test_contract.py::test_a_family_has_so_many_operations"
        )
    ],
    "S2.9": user_tests(
        "test_a_hundred_words_of_seven_features_are_seven_hundred_items",
        "test_what_is_wrong_with_an_order_is_said",
    ),
    "S2.15": user_tests("test_an_order_is_taken_and_waits"),
    "S2.16": [
        Call(f"GET {BATCH}/{{job}}", {**JOB, "result": None}, scene="ordered"),
        elsewhere(
            "tests/api/test_reading.py::test_every_status_is_shown_in_one_of_five_words"
        ),
    ],
    "S2.17": EVENTS,
    "S2.18": EVENTS,
    "S2.19": EVENTS,
    "S2.20": EVENTS,
    "S2.21": FAILURE,
    "S2.22": [api_tests("test_user_events", "test_a_job_that_was_cancelled_says_so")],
    "S2.23": FAILURE,
    "S2.24": EVENTS,
    "S2.25": EVENTS,
    "S2.26": EVENTS,
    "S2.27": EVENTS,
    "S2.28": user_tests("test_the_list_takes_as_many_queries_for_one_job_as_for_ten"),
    "S2.30": [
        *EVENTS,
        api_tests("test_stream", "test_a_run_that_ended_is_told_whole_and_in_order"),
    ],
    "S2.31": user_tests("test_the_list_is_newest_first_and_of_one_page"),
    "S2.32": user_tests("test_metrics_add_up_real_money_and_the_sandboxs_apart"),
    "S2.33": user_tests("test_metrics_add_up_real_money_and_the_sandboxs_apart"),
    "S2.34": user_tests("test_an_order_is_taken_and_waits"),
    "S2.35": user_tests("test_a_cancelled_job_stays_cancelled_and_its_record_stays"),
    "S2.36": [
        elsewhere(
            "tests/batches/test_governor.py::test_a_kind_of_work_has_slots_of_its_own"
        )
    ],
    "S2.37": user_tests("test_one_key_makes_one_job_however_often_it_is_sent"),
    "S2.44": [
        elsewhere(
            "tests/test_api_examples.py::test_all_examples_run_one_after_the_other"
        ),
    ],
    "S2.45": [
        api_tests(
            "test_user_path",
            "test_an_account_is_made_signs_in_orders_and_gets_an_id",
        ),
    ],
    "S2.38": [
        api_tests(
            "test_user_path",
            "test_an_account_is_made_signs_in_orders_and_gets_an_id",
        ),
        *user_tests("test_a_session_will_do_and_needs_the_token_to_write"),
    ],
}
