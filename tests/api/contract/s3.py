"""The platform admins' view of all requests: S3.42-S3.52, and S3.59."""

from tests.api.contract.rows import Call, Contract, api_tests, elsewhere
from tests.api.contract.shapes import ID, TIME_EXAMPLE, Exactly, nullable

LEGACY = "/api/admin/legacy"
CHATS = "/api/chats"
REFUSED = {"ok": Exactly(False), "error": "status is missing.", "code": "bad_request"}
SUMMARY = {
    "ok": Exactly(True),
    "summary": {
        "pending_batching": 15231,
        "batching_in_progress": 2500,
        "processing_complete": 85432,
        "processing_failed": 78,
    },
}
# The document's three, and what its dots stand for.
REQUEST = {
    "id": "17",
    "sessionId": "session-17",
    "status": Exactly("processing_failed"),
    "type": "session_analysis",
    "target": "analysis",
    "model": "gpt-4o-mini",
    "batchId": ID,
    "runId": ID,
    "errorCode": "invalid_request",
    "attempts": 1,
    "promptTokens": 120,
    "completionTokens": 0,
    "costUsd": "0.000022500",
    "requestedAt": TIME_EXAMPLE,
    "completedAt": nullable(TIME_EXAMPLE),
}
# `skippedCount` is for ids that are there and have not failed.
REQUEUED = {
    "ok": Exactly(True),
    "requeuedCount": Exactly(2),
    "notFoundCount": Exactly(0),
    "skippedCount": Exactly(0),
}
FAILED = f"GET {LEGACY}/requests?status=processing_failed"
REQUEUE = f"POST {LEGACY}/requests/requeue"


def page(next_cursor: object) -> dict:
    return {"ok": Exactly(True), "requests": [REQUEST], "nextCursor": next_cursor}


def legacy_tests(*names: str) -> list:
    return [api_tests("test_legacy", *names)]


CONTRACT: Contract = {
    "S3.42": legacy_tests(
        "test_the_permission_opens_it_and_being_staff_does_not",
        "test_without_a_name_or_with_less_than_an_admin_key_nothing_opens",
    ),
    "S3.43": [
        Call(f"GET {LEGACY}/summary", SUMMARY, scene="failed"),
        *legacy_tests("test_the_summary_is_what_the_items_are"),
    ],
    "S3.44": [
        Call(
            f"GET {LEGACY}/summary",
            {
                "ok": Exactly(True),
                "summary": Exactly(dict.fromkeys(SUMMARY["summary"], 0)),
            },
        )
    ],
    "S3.45": [
        Call(FAILED, page(None), scene="failed"),
        *legacy_tests("test_pages_follow_each_other_without_gap_or_repetition"),
    ],
    "S3.46": [
        Call(
            f"GET {LEGACY}/requests", REFUSED, status=400, message="status is missing"
        ),
        Call(f"{FAILED}&limit=1", page("17"), scene="failed"),
        Call(f"{FAILED}&cursor={{one}}", page(None), scene="failed"),
        Call(f"{FAILED}&limit=x", REFUSED, status=400, message="limit is 'x'"),
        Call(f"{FAILED}&cursor=x", REFUSED, status=400, message="cursor is 'x'"),
    ],
    "S3.47": [Call(f"{FAILED}&limit=1", page("17"), scene="failed")],
    "S3.48": [
        Call(
            REQUEUE, REQUEUED, scene="failed", sent={"requestIds": ["{one}", "{other}"]}
        )
    ],
    "S3.49": [
        Call(REQUEUE, REFUSED, sent={}, status=400, message="requestIds is missing"),
        Call(
            REQUEUE,
            REFUSED,
            sent={"requestIds": [17]},
            status=400,
            message="requestIds.0 is 17",
        ),
    ],
    "S3.50": legacy_tests("test_the_three_counts_add_up_to_the_distinct_ids"),
    "S3.51": legacy_tests("test_failed_requests_go_into_a_new_batch"),
    "S3.52": [
        elsewhere("tests/batches/test_schedules.py::test_staging_has_no_cron_jobs"),
    ],
    "S3.59": [
        elsewhere(
            "tests/chats/test_api.py::test_work_is_asked_for_and_an_analysis_read"
        )
    ],
}
