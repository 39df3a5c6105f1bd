"""/api/v1/ai/batch, S2.1-S2.9, S2.31, S2.33-S2.35, S2.44: the caller's own alone."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from batches.models import AuditEntry, BatchItem, HourlyUsage, OpenItem, Run
from batches.services.api_keys import create_api_key
from batches.services.bundling import bundle
from batches.states import ItemStatus, Priority, RunStatus
from tests.api.conftest import Caller
from tests.api.orders import BATCH, ORDER, ordered
from tests.driving import work_off
from tests.factories import make_collected_run
from translations.dictionary.features import FEATURES

pytestmark = pytest.mark.django_db

JOB_FIELDS = {
    "jobId",
    "type",
    "status",
    "progress",
    "totalItems",
    "completedItems",
    "failedItems",
    "priority",
    "createdAt",
    "startedAt",
    "completedAt",
}


@pytest.fixture
def others(document, make_user, client) -> Caller:
    client.force_login(make_user("bashir", is_staff=True))
    return Caller(document, client)


# --- submission -----------------------------------------------------------------------


def test_an_order_is_taken_and_waits(mine, user):
    body = {
        "words": ["patience", "serendipity"],
        "features": {"smart_summary": True, "etymology": True, "usage_examples": False},
        "options": {
            "priority": "high",
            "context": {"sentence": "Patience pays.", "domain": "sayings"},
            "notifyProgress": True,
            "maxRetries": 1,
        },
    }

    answer = mine.post(BATCH, body)

    run = Run.objects.get()
    assert answer.status_code == 202
    assert answer.json() == {
        "jobId": str(run.public_id),
        "totalItems": 4,
        "status": "pending",
        "message": "Batch job submitted with 4 items.",
    }
    assert (run.owner, run.priority, run.max_attempts) == (user, Priority.HIGH, 2)
    assert run.options["sentence"] == "Patience pays."
    assert OpenItem.objects.filter(run=run, priority=Priority.HIGH).count() == 4
    assert AuditEntry.objects.get(action="run.create").actor.startswith("key:")


def test_a_hundred_words_of_seven_features_are_seven_hundred_items(mine):
    letters = "abcdefghij"
    words = [f"word-{one}-{other}" for one in letters for other in letters]

    answer = mine.post(
        BATCH, {"words": words, "features": dict.fromkeys(FEATURES, True)}
    )

    assert answer.json()["totalItems"] == 700
    assert BatchItem.objects.count() == 700


def test_the_same_word_twice_is_asked_once(mine):
    answer = mine.post(BATCH, {**ORDER, "words": ["Patience", "patience "]})

    assert answer.json()["totalItems"] == 1


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"words": []}, "words is []"),
        ({"words": ["word"] * 101}, "at most 100"),
        ({"words": "patience"}, "words is 'patience'"),
        ({"words": ["patience", "  "]}, "words.1 is '  ': nothing is left of it"),
        ({"words": ["4,379"]}, "words.0 is '4,379'"),
        ({"words": [1]}, "words.0 is 1"),
        ({"features": None}, "features is None"),
        ({"features": []}, "features is []"),
        ({"features": {}}, "features enables none"),
        ({"features": {"etymology": False}}, "features enables none"),
        ({"features": {"horoscope": True}}, "features.horoscope is no feature"),
        ({"features": {"etymology": "yes"}}, "features.etymology is 'yes'"),
        ({"options": {"priority": "urgent"}}, "options.priority is 'urgent'"),
        ({"options": {"maxRetries": -1}}, "options.maxRetries is -1"),
        ({"options": {"context": {"language": "xx-no"}}}, "word_language 'xx-no'"),
        ({"options": {"context": {"sentence": "x" * 4001}}}, "4000 characters"),
        ({"colour": "red"}, "colour is no field"),
        ({"words": ["pa\x00tience"]}, "without NUL"),
    ],
)
def test_what_is_wrong_with_an_order_is_said(mine, change, part):
    answer = mine.post(BATCH, {**ORDER, **change})

    assert answer.status_code == 400
    assert part in answer.json()["error"]
    assert not Run.objects.exists()


def test_an_order_without_features_is_refused(mine):
    answer = mine.post(BATCH, {"words": ["patience"]})

    assert (answer.status_code, answer.json()["error"]) == (400, "features is missing.")


def test_one_key_makes_one_job_however_often_it_is_sent(mine, others):
    first = mine.post(BATCH, ORDER, Idempotency_Key="order 7")
    again = mine.post(BATCH, ORDER, Idempotency_Key="order 7")
    changed = mine.post(BATCH, {**ORDER, "words": ["calm"]}, Idempotency_Key="order 7")
    somebody_elses = others.post(BATCH, ORDER, Idempotency_Key="order 7")

    assert again.json() == first.json()
    assert (changed.status_code, changed.json()["code"]) == (
        409,
        "idempotency_conflict",
    )
    assert "another options" in changed.json()["error"]
    assert somebody_elses.json()["jobId"] != first.json()["jobId"]
    assert Run.objects.count() == 2


# --- whose ----------------------------------------------------------------------------


def test_nobody_sees_or_touches_the_job_of_another(mine, others):
    job = ordered(mine)

    for answer in (
        others.get(f"{BATCH}/{job}"),
        others.get(f"{BATCH}/{job}/events"),
        others.delete(f"{BATCH}/{job}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert others.get(BATCH).json()["jobs"] == []
    assert others.get(f"{BATCH}/stats").json()["queue"]["queueLength"] == 0
    assert others.get(f"{BATCH}/metrics").json()["metrics"]["featureUsage"] == {}
    assert Run.objects.get().cancelled_at is None


def test_without_a_name_nothing_is_told_not_even_statistics(anonymous):
    job = f"{BATCH}/{uuid.uuid4()}"

    for answer in (
        anonymous.post(BATCH, ORDER),
        anonymous.get(BATCH),
        anonymous.get(f"{BATCH}/stats"),
        anonymous.get(f"{BATCH}/metrics"),
        anonymous.get(job),
        anonymous.get(f"{job}/events"),
        anonymous.delete(job),
    ):
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


def test_a_session_will_do_and_needs_the_token_to_write(signed_in):
    caller = signed_in(name="hodan", is_staff=False)
    assert caller.get(BATCH).json() == {
        "jobs": [],
        "total": 0,
        "limit": 50,
        "offset": 0,
    }

    refused = caller.post(BATCH, ORDER)
    caller.client.get("/admin/login/")
    token = caller.client.cookies["csrftoken"].value

    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    assert caller.post(BATCH, ORDER, X_CSRFToken=token).status_code == 202


def test_a_key_of_nobody_owns_no_jobs(program):
    answer = program.get(BATCH)

    assert answer.status_code == 403
    assert "--owner USERNAME" in answer.json()["error"]


def test_keys_do_what_their_scopes_say(document, user, with_key, mine):
    job = ordered(mine)
    reader = with_key("read", owner=user)

    assert reader.get(f"{BATCH}/{job}").status_code == 200
    assert reader.post(BATCH, ORDER).status_code == 403
    assert reader.delete(f"{BATCH}/{job}").status_code == 403


def test_a_key_of_somebody_who_is_not_staff_opens_no_other_family(user, with_key):
    caller = with_key("admin", owner=user)

    assert caller.get("/api/admin/batch-jobs").status_code == 401


# --- following it ---------------------------------------------------------------------


def test_a_job_that_waits(mine):
    job = ordered(mine)

    told = mine.get(f"{BATCH}/{job}").json()

    assert set(told) == JOB_FIELDS | {"result"}
    assert (told["status"], told["progress"], told["totalItems"]) == ("pending", 0, 2)
    assert told["result"] is None
    assert told["type"] == "word_features"


def test_a_job_from_order_to_results(sandbox, mine, with_key, user):
    job = ordered(mine)
    work_off()

    told = mine.get(f"{BATCH}/{job}").json()

    assert (told["status"], told["progress"], told["completedItems"]) == (
        "completed",
        100,
        2,
    )
    result = told["result"]
    assert {name: result[name] for name in ("jobId", "status", "successCount")} == {
        "jobId": job,
        "status": "completed",
        "successCount": 2,
    }
    assert (result["totalProcessed"], result["failureCount"]) == (2, 0)
    assert [(one["index"], one["subject"]) for one in result["results"]] == [
        (0, "en:patience"),
        (1, "en:serendipity"),
    ]
    assert set(result["results"][0]["data"]) == {"summary", "key_points"}
    reader = with_key("read", owner=user)
    assert reader.get(f"{BATCH}/{job}").json()["result"]["results"] is None
    events = mine.get(f"{BATCH}/{job}/events").json()
    assert [event["event_type"] for event in events["events"]] == [
        "job:created",
        "job:started",
        "job:progress",
        "job:completed",
    ]
    assert set(events["events"][0]) == {
        "job_id",
        "event_type",
        "event_data",
        "created_at",
    }
    metrics = mine.get(f"{BATCH}/metrics").json()["metrics"]
    assert metrics["featureUsage"] == {"smart_summary": 2}
    assert metrics["totalCost"] == 0
    assert metrics["totalRequests"] == 2
    assert metrics["providerUsage"]["sandbox"]["cost"] > 0
    assert metrics["averageResponseTime"] > 0


def test_a_job_that_failed_in_part_says_of_each_why_and_whether_again_may_help(mine):
    job = ordered(mine)
    run = Run.objects.get()
    first, second = BatchItem.objects.order_by("pk")
    now = timezone.now()
    BatchItem.objects.filter(pk=first.pk).update(
        status=ItemStatus.COMPLETE, finished_at=now
    )
    BatchItem.objects.filter(pk=second.pk).update(
        status=ItemStatus.FAILED, error_code="rate_limit_exceeded", finished_at=now
    )
    Run.objects.filter(pk=run.pk).update(
        unsent_complete=1,
        unsent_failed=1,
        status=RunStatus.COMPLETED,
        started_at=now - timedelta(seconds=5),
        finished_at=now,
    )

    result = mine.get(f"{BATCH}/{job}").json()["result"]

    assert (result["status"], result["processingTime"]) == ("partial", 5000)
    assert result["errors"] == [
        {
            "index": 1,
            "subject": "en:serendipity",
            "target": "smart_summary",
            "code": "rate_limit_exceeded",
            "message": "",
            "retryable": True,
        }
    ]
    page = mine.get(f"{BATCH}/{job}?limit=1").json()["result"]
    assert (len(page["results"]), page["errors"], page["next"]) == (1, [], 1)
    rest = mine.get(f"{BATCH}/{job}?limit=1&after=1").json()["result"]
    assert (rest["results"], len(rest["errors"]), rest["next"]) == ([], 1, None)


# --- cancelling -----------------------------------------------------------------------


def test_a_cancelled_job_stays_cancelled_and_its_record_stays(sandbox, mine):
    job = ordered(mine)
    bundle()

    answer = mine.delete(f"{BATCH}/{job}")

    assert answer.status_code == 200
    assert answer.json() == {
        "jobId": job,
        "status": "cancelled",
        "message": "Cancelled.",
    }
    work_off()
    told = mine.get(f"{BATCH}/{job}").json()
    assert (told["status"], told["result"]["failureCount"]) == ("cancelled", 0)
    assert [error["code"] for error in told["result"]["errors"]] == ["cancelled"] * 2
    again = mine.delete(f"{BATCH}/{job}")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


# --- lists and figures ----------------------------------------------------------------


def test_the_list_is_newest_first_and_of_one_page(mine):
    jobs = [ordered(mine, words=[word]) for word in ("calm", "storm", "sea")]

    page = mine.get(f"{BATCH}?limit=2&offset=1").json()

    assert [job["jobId"] for job in page["jobs"]] == [jobs[1], jobs[0]]
    assert (page["total"], page["limit"], page["offset"]) == (3, 2, 1)
    assert set(page["jobs"][0]) == JOB_FIELDS
    for wrong in ("limit=0", "limit=101", "offset=-1", "limit=many"):
        assert mine.get(f"{BATCH}?{wrong}").status_code == 400


def test_the_list_takes_as_many_queries_for_one_job_as_for_ten(
    mine, django_assert_max_num_queries
):
    for number in range(10):
        ordered(mine, words=[f"word-{'abcdefghij'[number]}"])

    with django_assert_max_num_queries(5):
        assert len(mine.get(BATCH).json()["jobs"]) == 10


def test_statistics_count_the_jobs_of_one_user(mine, others):
    ordered(others)
    ordered(mine)
    make_collected_run(items=1)

    told = mine.get(f"{BATCH}/stats").json()

    assert told["queue"] == {
        "totalJobs": 1,
        "pendingJobs": 1,
        "processingJobs": 0,
        "completedJobs": 0,
        "failedJobs": 0,
        "cancelledJobs": 0,
        "queueLength": 2,
        "currentProcessing": 0,
    }
    assert told["jobs"] == {
        "total": 1,
        "pending": 1,
        "processing": 0,
        "completed": 0,
        "failed": 0,
        "cancelled": 0,
    }
    assert told["timestamp"].endswith("Z")


def test_metrics_add_up_real_money_and_the_sandboxs_apart(mine, user):
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for provider, nanos in (("openai", 5_000_000), ("sandbox", 9_000_000)):
        HourlyUsage.objects.create(
            hour=hour,
            provider=provider,
            workload="word_features",
            model="gpt-4o-mini",
            owner_key=user.pk,
            outcome="applied",
            attempts=3,
            cost_nanos=nanos,
        )
    HourlyUsage.objects.create(
        hour=hour, provider="openai", owner_key=0, outcome="applied", attempts=50
    )

    told = mine.get(f"{BATCH}/metrics").json()

    assert told["userId"] == str(user.pk)
    assert told["metrics"]["totalCost"] == 0.005
    assert told["metrics"]["totalRequests"] == 6
    assert told["metrics"]["providerUsage"] == {
        "openai": {"requests": 3, "cost": 0.005},
        "sandbox": {"requests": 3, "cost": 0.009},
    }
    assert set(told["period"]) == {"start", "end"}
    day = (timezone.now() - timedelta(days=3)).date().isoformat()
    before = mine.get(f"{BATCH}/metrics?startDate=2026-01-01&endDate={day}")
    assert before.json()["metrics"]["totalRequests"] == 0


@pytest.mark.parametrize(
    ("period", "part"),
    [
        ("startDate=2026-03-02&endDate=2026-03-01", "must be before endDate"),
        ("startDate=2020-01-01&endDate=2026-03-01", "at most 366 days"),
        ("startDate=yesterday", "startDate is 'yesterday'"),
        ("endDate=0001-01-01", "endDate lies before all time"),
    ],
)
def test_a_period_that_is_none_is_refused(mine, period, part):
    answer = mine.get(f"{BATCH}/metrics?{period}")

    assert answer.status_code == 400
    assert part in answer.json()["error"]


def test_keys_made_by_hand_belong_to_the_same_user(user, mine, document, client):
    job = ordered(mine)
    _, text = create_api_key("second", ["read"], by="test", owner=user)
    second = Caller(document, client)

    assert second.get(f"{BATCH}/{job}", X_API_Key=text).status_code == 200
