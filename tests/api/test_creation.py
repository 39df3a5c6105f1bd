"""Asking for work: S0.30-S0.32, S0.41, and what may be wrong with it."""

import pytest
from django.core.management import call_command

from batches.models import AuditEntry, BatchItem, BatchJob, Run
from batches.states import JobStatus, RunStatus, Trigger
from tests.driving import work_off
from tests.gallery.models import Sketch
from translations.lessons.content.make_segments import CONTENT
from translations.models import Translation

pytestmark = pytest.mark.django_db


def test_the_rows_own_example_creates_a_job(program, lessons):
    response = program.post("translation", {"limit": 20})

    assert response.status_code == 200
    answer = response.json()
    run = Run.objects.get()
    job = BatchJob.objects.get()
    assert answer == {
        "jobId": str(job.public_id),
        "jobIds": [str(job.public_id)],
        "runId": str(run.public_id),
        "message": answer["message"],
    }
    assert answer["message"].startswith(
        "Created 1 translation job: 6 requests for 3 subjects, at most $0.00"
    )
    assert f"It has {run.counted_tokens:,} input tokens" in answer["message"]
    assert "will probably cost $0.000" in answer["message"]
    assert "nine times of ten at most $0.00" in answer["message"]
    assert (run.trigger, run.limit) == (Trigger.API, 20)
    assert job.status == JobStatus.PENDING


@pytest.mark.parametrize("body", [None, {}, {"languages": None}])
def test_without_a_limit_it_is_twenty(program, lessons, body):
    response = program.post("translation", body)

    assert response.status_code == 200
    assert Run.objects.get().limit == 20


def test_the_limit_counts_lessons(program, lessons):
    program.post("translation", {"limit": 1})

    assert BatchItem.objects.count() == 2


def test_languages_may_be_named(program, lessons):
    program.post("translation", {"limit": 5, "languages": ["sw"]})

    assert {item.target for item in BatchItem.objects.all()} == {"title:sw"}


def test_only_lessons_are_taken(program, lessons):
    Sketch.objects.create(title="A sketch")

    program.post("translation", {"limit": 500})

    kinds = BatchItem.objects.values_list("content_type__model", flat=True)
    assert set(kinds) == {"lesson"}


def test_what_is_created_ends_as_work_from_anywhere_else(program, lessons, sandbox):
    answer = program.post("translation", {"limit": 20}).json()
    work_off()

    job = program.get(answer["jobId"]).json()["job"]
    assert (job["status"], job["completedRequests"]) == ("completed", 6)
    assert Translation.objects.count() == 6
    assert program.post("translation", {"limit": 20}).json() == {
        "message": "Nothing to do: all of it is current."
    }


def test_nothing_to_do_is_a_message_alone(program):
    response = program.post("translation", {"limit": 20})

    assert response.status_code == 200
    assert response.json() == {"message": "Nothing to do: all of it is current."}


def test_asked_twice_nothing_is_made_twice(program, lessons):
    first = program.post("translation", {"limit": 20})
    second = program.post("translation", {"limit": 20})

    assert "jobId" in first.json()
    assert second.json() == {
        "message": "Nothing to do: all of it is current or under way already "
        "(6 requests)."
    }
    assert BatchItem.objects.count() == 6


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("STAGING", True),
        ("BATCH_CREATION_ENABLED", False),
        ("BATCH_PROCESSING_ENABLED", False),
    ],
)
def test_what_cannot_be_bundled_yet_is_accepted_and_says_what_it_waits_for(
    program, lessons, settings, setting, value
):
    setattr(settings, setting, value)

    response = program.post("translation", {"limit": 20})

    assert response.status_code == 202
    answer = response.json()
    run = Run.objects.get()
    assert (answer["jobId"], answer["jobIds"]) == (None, [])
    assert answer["runId"] == str(run.public_id)
    assert setting in answer["message"]
    assert not BatchJob.objects.exists()


def test_what_waits_can_be_followed_by_the_runs_id(program, lessons, settings):
    settings.STAGING = True
    answer = program.post("translation", {"limit": 20}).json()

    detail = program.get(answer["runId"]).json()

    assert detail["job"]["kind"] == "run"
    assert detail["job"]["status"] == "pending"
    assert [item["status"] for item in detail["items"]] == ["pending"] * 6


def test_work_that_fails_before_sending_has_no_job_and_waits_for_nothing(
    program, lessons, settings
):
    settings.MAX_FIELD_CHARACTERS = 1

    response = program.post("translation", {"limit": 20})

    assert response.status_code == 200
    assert response.json()["jobId"] is None
    assert "6 requests failed before sending" in response.json()["message"]
    assert Run.objects.get().status == RunStatus.FAILED


def test_creation_is_in_the_audit_log(with_key, lessons):
    with_key("submit").post("translation", {"limit": 2})

    entry = AuditEntry.objects.get(action="run.create")
    assert entry.actor.startswith("key:program")
    assert entry.target == str(Run.objects.get())
    assert entry.address == "127.0.0.1"
    assert entry.after["limit"] == 2


def test_a_run_belongs_to_who_asked_for_it(with_key, make_user, lessons):
    hodan = make_user("hodan")
    with_key("submit", owner=hodan).post("translation", {"limit": 1})

    assert Run.objects.get().owner == hodan


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"limit": 0}, "limit is 0"),
        ({"limit": -1}, "limit is -1"),
        ({"limit": 501}, "limit is 501"),
        ({"limit": "x"}, "limit is 'x'"),
        ({"limit": "20"}, "limit is '20'"),
        ({"limit": 1.5}, "limit is 1.5"),
        ({"limit": True}, "limit is True"),
        ({"limit": None}, "limit is None"),
        ({"limit": [20]}, "limit is [20]"),
        ('{"limit": NaN}', "limit is nan"),
        ('{"limit": 1e999}', "limit is inf"),
        (f'{{"limit": 1{"0" * 100}}}', "limit is 1000"),
        ({"limt": 20}, "limt is no field"),
        ({"limit": 20, "languages": "ar"}, "languages is 'ar'"),
        ({"languages": ["ar", 7]}, "languages.1 is 7"),
        ({"languages": []}, "name at least one language"),
        ({"languages": ["klingon-x"]}, "'klingon-x' is no language tag"),
        ({"languages": ["a\0r"]}, "without NUL"),
        ({"languages": list(range(60))}, "languages"),
        ([20], "must be a JSON object"),
        ("20", "must be a JSON object"),
        ('"limit"', "must be a JSON object"),
        ("{", "not JSON"),
        ("limit=20", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (f'{{"limit": 1{"0" * 5000}}}', "not JSON"),
        ("[" * 50_000, "not JSON"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_in_words(program, lessons, body, named):
    response = program.post("translation", body)

    assert response.status_code == 400
    assert named in response.json()["error"]
    assert len(response.content) < 1000
    assert not Run.objects.exists()


def test_a_body_beyond_all_measure_is_refused(program):
    response = program.post("translation", "x" * 10_000_000)

    assert response.status_code == 413


@pytest.mark.parametrize("limit", [1, 500])
def test_the_limits_ends_are_within(program, lessons, limit):
    assert program.post("translation", {"limit": limit}).status_code == 200


def test_a_model_without_a_price_is_refused(program, lessons, settings):
    settings.OPENAI_MODEL = "gpt-nonsense"

    response = program.post("translation", {"limit": 20})

    assert response.status_code == 400
    assert response.json()["code"] == "unknown_price"
    assert not Run.objects.exists()


def test_a_provider_that_is_none_is_the_operators_to_mend(program, lessons, settings):
    settings.BATCH_PROVIDER = "openai"
    settings.OPENAI_API_KEY = ""

    response = program.post("translation", {"limit": 20})

    assert response.status_code == 503
    assert response.json()["code"] == "unknown_provider"


@pytest.fixture
def sample_content(db):
    for kind in ("lessons", "quizzes"):
        call_command("import_content", kind, str(CONTENT / f"{kind}.jsonl"))


@pytest.mark.parametrize(
    ("kind", "workload"),
    [("summary", "summary"), ("quiz-improvement", "quiz_improvement")],
)
def test_lessons_are_summarised_and_questions_improved(
    program, sample_content, kind, workload
):
    response = program.post(kind, {"limit": 4})

    assert response.status_code == 200
    assert "4 requests for 4 subjects" in response.json()["message"]
    run = Run.objects.get()
    assert (run.workload, run.subjects_collected) == (workload, 4)
    assert response.json()["jobId"] == str(BatchJob.objects.get().public_id)
    assert program.post(kind, {"limit": 4}).json()["runId"] != str(run.public_id)


@pytest.mark.parametrize("kind", ["summary", "quiz-improvement"])
def test_where_nothing_can_be_asked_about_it_says_so(program, lessons, kind):
    response = program.post(kind, {"limit": 20})

    assert response.status_code == 200
    assert "Nothing to do" in response.json()["message"]


@pytest.mark.parametrize("kind", ["summary", "quiz-improvement"])
def test_their_limit_is_checked_all_the_same(program, kind):
    assert program.post(kind, {"limit": 0}).status_code == 400
