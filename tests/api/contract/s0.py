"""The academy's ten endpoints and who may call them: S0.23-S0.25, S0.30-S0.43."""

from tests.api.contract.rows import Call, Contract, api_tests, elsewhere
from tests.api.contract.shapes import ID, TIME_EXAMPLE, Exactly, Whatever, nullable

JOBS = "/api/admin/batch-jobs"
# `jobIds` and `runId` are ours beside the document's two.
CREATED = {"jobId": ID, "jobIds": [ID], "runId": ID, "message": "Created 1 job."}
REFUSED = {"error": "limit is 0.", "code": "bad_request"}
JOB = {
    "id": ID,
    "kind": "job",
    "type": "translation",
    "status": "processing",
    "state": "in_progress",
    "provider": "openai",
    "model": nullable("gpt-4o-mini"),
    "openaiBatchId": nullable("batch_abc"),
    "totalRequests": 120,
    "completedRequests": 98,
    "failedRequests": 2,
    "cancelledRequests": 0,
    "errors": Whatever(dict),
    "waitsFor": nullable("the provider"),
    "costUsd": "0.022500000",
    "runIds": [ID],
    "jobIds": [ID],
    "createdAt": TIME_EXAMPLE,
    "submittedAt": nullable(TIME_EXAMPLE),
    "completedAt": nullable(TIME_EXAMPLE),
}
ITEM = {
    "id": "17",
    "jobId": ID,
    "entityType": "lesson",
    "entityId": "lesson-0",
    "target": "title:en",
    "status": "completed",
    "attempts": 1,
    "error": None,
    "errorMessage": None,
    "costUsd": "0.000022500",
    "createdAt": TIME_EXAMPLE,
    "completedAt": nullable(TIME_EXAMPLE),
    "request": None,  # as the next, only where asked for
    "response": None,
}
ACTED = {"job": JOB, "message": "Asked."}
LIMIT_20 = {"limit": 20}


def creation(kind: str) -> list[Call]:
    ask = f"POST {JOBS}/{kind}"
    return [
        Call(ask, CREATED, scene="lessons", sent=LIMIT_20),
        Call(ask, {"message": "Nothing to do."}, sent=LIMIT_20),
        Call(ask, REFUSED, sent={"limit": 0}, status=400, message="limit is 0"),
        Call(ask, REFUSED, sent={"limit": 501}, status=400, message="limit is 501"),
    ]


def act(name: str, scene: str) -> list[Call]:
    """On a job's id, on a run's, and on one that is nobody's."""
    ask = f"POST {JOBS}/{{id}}/{name}"
    return [
        Call(ask.replace("{id}", "{job}"), ACTED, scene=scene),
        Call(ask.replace("{id}", "{run}"), ACTED, scene=scene),
        Call(ask.replace("{id}", "{nobodys}"), REFUSED, status=404),
    ]


CONTRACT: Contract = {
    "S0.23": [api_tests("test_auth", "test_a_stranger_gets_401_everywhere")],
    "S0.24": [
        api_tests(
            "test_bad_input",
            "test_a_body_that_is_no_json_object_is_refused",
            "test_a_field_that_is_not_known_is_named",
        ),
        api_tests("test_creation", "test_a_body_that_does_not_fit_is_refused_in_words"),
    ],
    "S0.25": [
        api_tests(
            "test_errors",
            "test_a_bug_is_500_in_json_and_its_traceback_is_in_the_log",
        ),
        api_tests(
            "test_fuzzing",
            "test_every_answer_to_anybody_is_one_that_the_document_tells",
        ),
    ],
    "S0.30": [
        *creation("translation"),
        api_tests("test_creation", "test_the_rows_own_example_creates_a_job"),
    ],
    "S0.31": [*creation("summary")],
    "S0.32": [*creation("quiz-improvement")],
    "S0.33": [
        Call(f"GET {JOBS}", [JOB], scene="done"),
        Call(f"GET {JOBS}?limit=1&offset=0", [JOB], scene="waiting"),
        Call(f"GET {JOBS}", []),
        Call(f"GET {JOBS}?limit=101", REFUSED, status=400, message="limit is '101'"),
        api_tests("test_reading", "test_the_list_shows_the_newest_fifty"),
    ],
    "S0.34": [
        Call(f"GET {JOBS}/{{job}}", {"job": JOB, "items": [ITEM]}, scene="done"),
        Call(f"GET {JOBS}/{{run}}", {"job": JOB, "items": [ITEM]}, scene="done"),
        Call(f"GET {JOBS}/{{nobodys}}", REFUSED, status=404),
        api_tests("test_reading", "test_items_are_capped_at_a_hundred"),
    ],
    "S0.35": [
        Call(
            f"GET {JOBS}/stats",
            [
                {
                    "status": "completed",
                    "type": "translation",
                    "count": 1,
                    "total_requests": 120,
                    "completed_requests": 118,
                    "failed_requests": 2,
                }
            ],
            scene="done",
        ),
        api_tests(
            "test_reading",
            "test_stats_are_not_taken_for_an_id_and_have_the_rows_own_names",
        ),
    ],
    "S0.36": act("check-status", "sent"),
    "S0.37": [
        *act("process-results", "answered"),
        Call(
            f"POST {JOBS}/{{job}}/process-results", REFUSED, scene="waiting", status=409
        ),
        api_tests(
            "test_steering",
            "test_process_results_applies_them_once_however_often_it_is_called",
        ),
    ],
    "S0.38": [
        *act("cancel", "waiting"),
        Call(f"POST {JOBS}/{{job}}/cancel", REFUSED, scene="done", status=409),
    ],
    "S0.39": [
        Call(
            f"POST {JOBS}/check-all-status",
            {"jobs": [JOB], "message": "Asked."},
            scene="sent",
        ),
        Call(
            f"POST {JOBS}/check-all-status",
            {"jobs": [], "message": Exactly("No job is at a provider.")},
        ),
    ],
    "S0.40": [
        elsewhere(
            "tests/api/contract/test_contract.py::test_a_family_has_so_many_operations"
        )
    ],
    "S0.41": [
        Call(
            f"POST {JOBS}/translation",
            CREATED,
            scene="lessons",
            sent={"limit": 5},
            message="for 5 subjects",
        ),
        api_tests("test_creation", "test_without_a_limit_it_is_twenty"),
    ],
    "S0.42": [
        api_tests("test_auth", "test_staff_may_do_everything_with_the_csrf_token"),
    ],
    "S0.43": [
        api_tests(
            "test_auth",
            "test_a_stranger_gets_401_everywhere",
            "test_the_sentence_names_the_four_causes",
        ),
    ],
}
