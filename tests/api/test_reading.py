"""The list, one job or run, and the statistics: S0.33-S0.35."""

import re
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from batches.models import BatchItem, BatchJob, ItemAttempt, Run
from batches.states import (
    PLAIN_JOB_STATUS,
    AttemptOutcome,
    ItemStatus,
    JobStatus,
    RunStatus,
)
from tests.driving import work_off
from tests.factories import make_collected_run, make_job
from tests.gallery.models import Painting

pytestmark = pytest.mark.django_db

FIELDS = {
    "id",
    "kind",
    "type",
    "status",
    "state",
    "provider",
    "model",
    "openaiBatchId",
    "totalRequests",
    "completedRequests",
    "failedRequests",
    "cancelledRequests",
    "errors",
    "waitsFor",
    "costUsd",
    "runIds",
    "jobIds",
    "createdAt",
    "submittedAt",
    "completedAt",
}


def queries(read) -> int:
    """How many queries a call takes, when the key's last use is noted already."""
    read()
    with CaptureQueriesContext(connection) as captured:
        assert read().status_code == 200
    return len(captured)


# --- the list -------------------------------------------------------------------------


def test_the_list_is_a_bare_array_newest_first(program):
    jobs = [make_job(items=1) for _ in range(3)]

    answer = program.get("").json()

    assert isinstance(answer, list)
    assert [job["id"] for job in answer] == [
        str(job.public_id) for job in reversed(jobs)
    ]
    assert set(answer[0]) == FIELDS


def test_the_list_is_empty_where_there_is_nothing(program):
    assert program.get("").json() == []


def test_the_list_shows_the_newest_fifty(program):
    BatchJob.objects.bulk_create(
        BatchJob(workload="translation", provider="openai", model="gpt-4o-mini")
        for _ in range(60)
    )
    newest = [str(job.public_id) for job in BatchJob.objects.newest_first()]

    assert [job["id"] for job in program.get("").json()] == newest[:50]
    page = program.get("?limit=5&offset=58").json()
    assert [job["id"] for job in page] == newest[58:]
    assert len(program.get("?limit=100").json()) == 60


@pytest.mark.parametrize("status", JobStatus)
def test_every_status_is_shown_in_one_of_five_words(program, status):
    make_job(items=1, status=status)

    (job,) = program.get("").json()

    assert job["status"] == PLAIN_JOB_STATUS[status]
    assert job["state"] == status


def test_progress_is_the_providers_until_the_job_is_finished(program):
    job = make_job(
        items=3,
        status=JobStatus.IN_PROGRESS,
        provider_completed=2,
        provider_failed=1,
    )
    (running,) = program.get("").json()
    BatchJob.objects.filter(pk=job.pk).update(
        status=JobStatus.PROCESSED,
        finished_at=datetime(2026, 1, 1, tzinfo=UTC),
        items_complete=3,
    )
    (done,) = program.get("").json()

    assert (running["completedRequests"], running["failedRequests"]) == (2, 1)
    assert (done["completedRequests"], done["failedRequests"]) == (3, 0)
    assert done["totalRequests"] == 3


def test_times_are_utc_with_a_z_whatever_zone_the_screens_have(program, settings):
    settings.TIME_ZONE = "Africa/Mogadishu"
    BatchJob.objects.bulk_create(
        [
            BatchJob(
                workload="translation",
                provider="openai",
                model="gpt-4o-mini",
                created_at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC),
            )
        ]
    )

    (job,) = program.get("").json()

    assert job["createdAt"] == "2026-03-01T23:30:00Z"
    assert re.fullmatch(r"0\.0{9}", job["costUsd"])


def test_the_list_takes_as_many_queries_for_three_jobs_as_for_thirty(program, settings):
    settings.BATCH_MAX_JOBS, settings.BATCH_MAX_JOBS_PER_WORKLOAD = 99, "*=99"
    for _ in range(3):
        make_job(items=1)
    few = queries(lambda: program.get(""))
    for _ in range(27):
        make_job(items=1)
    many = queries(lambda: program.get(""))

    # the key, the jobs, their errors, their shares, the shares' runs
    assert (few, many) == (5, 5)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", "limit is '0'"),
        ("limit=-1", "limit is '-1'"),
        ("limit=x", "limit is 'x'"),
        ("limit=", "limit is ''"),
        ("limit=101", "limit is '101'"),
        ("limit=1e3", "limit is '1e3'"),
        ("offset=-1", "offset is '-1'"),
        (f"offset={'9' * 30}", "offset is '999"),
        (f"limit={'9' * 5000}", "limit is '999"),
        ("limit=%00", "limit is '\\x00'"),
    ],
)
def test_a_page_that_is_none_is_refused_in_words(program, query, named):
    response = program.get(f"?{query}")

    assert response.status_code == 400
    assert response.json()["error"].startswith(named)
    assert len(response.content) < 500


# --- one job or run -------------------------------------------------------------------


def test_a_job_is_shown_with_its_items(program):
    job = make_job(items=3)

    answer = program.get(str(job.public_id)).json()

    assert set(answer) == {"job", "items"}
    assert answer["job"]["id"] == str(job.public_id)
    run = Run.objects.get()
    assert answer["job"]["runIds"] == [str(run.public_id)]
    first = answer["items"][0]
    item = BatchItem.objects.order_by("pk")[0]
    assert first["id"] == str(item.pk)
    assert (first["entityType"], first["entityId"]) == ("painting", item.object_id)
    assert (first["target"], first["status"]) == ("caption", "processing")
    assert len(answer["items"]) == 3


def test_a_runs_id_shows_the_run_in_a_jobs_shape(program, sandbox):
    job = make_job(items=2)
    run = Run.objects.get()
    work_off()

    answer = program.get(str(run.public_id)).json()

    shown = answer["job"]
    assert (shown["kind"], shown["id"]) == ("run", str(run.public_id))
    assert shown["jobIds"] == [str(job.public_id)]
    assert (shown["status"], shown["completedRequests"]) == ("completed", 2)
    assert shown["submittedAt"] and shown["completedAt"]
    assert [item["status"] for item in answer["items"]] == ["completed"] * 2


@pytest.mark.parametrize("status", RunStatus)
def test_every_status_of_a_run_is_one_of_the_five_words_too(program, status):
    run = make_collected_run(items=1)
    is_over = status in (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)
    Run.objects.filter(pk=run.pk).update(
        status=status, finished_at=run.created_at if is_over else None
    )

    assert program.get(str(run.public_id)).status_code == 200


def test_items_are_capped_at_a_hundred(program):
    job = make_job(items=105)

    answer = program.get(str(job.public_id)).json()

    assert len(answer["items"]) == 100
    assert answer["job"]["totalRequests"] == 105


def test_a_failed_item_says_why(program):
    job = make_job(items=2)
    item = BatchItem.objects.order_by("pk")[0]
    BatchItem.objects.filter(pk=item.pk).update(
        status=ItemStatus.FAILED, error_code="refused", finished_at=job.created_at
    )
    ItemAttempt.objects.create(
        item=item,
        job=job,
        outcome=AttemptOutcome.FAILED,
        error_code="refused",
        error_message="The model refused: no.",
    )

    failed, sent = program.get(str(job.public_id)).json()["items"]

    assert (failed["status"], failed["error"]) == ("failed", "refused")
    assert failed["errorMessage"] == "The model refused: no."
    assert (sent["error"], sent["errorMessage"]) == (None, None)


def test_requests_and_responses_come_when_asked_for(program, sandbox):
    job = make_job(items=1)
    work_off()

    (plain,) = program.get(str(job.public_id)).json()["items"]
    (full,) = program.get(f"{job.public_id}?content=true").json()["items"]

    assert (plain["request"], plain["response"]) == (None, None)
    asked = full["request"]["messages"][1]["content"]
    assert asked == Painting.objects.get().title
    assert full["response"]


def test_requests_and_responses_need_a_scope_of_their_own(with_key):
    job = make_job(items=1)

    assert with_key("read").get(f"{job.public_id}?content=1").status_code == 403
    response = with_key("read:content").get(f"{job.public_id}?content=1")
    assert response.status_code == 200


@pytest.mark.parametrize("size", [3, 30])
def test_a_detail_takes_as_many_queries_for_three_items_as_for_thirty(program, size):
    job = make_job(items=size)
    run = Run.objects.get()

    # the key, the id, the job, its errors, its shares, the shares' run, the items
    assert queries(lambda: program.get(str(job.public_id))) == 7
    # the key, the id in jobs and in runs, the run, its shares, jobs, errors, and items
    assert queries(lambda: program.get(str(run.public_id))) == 8


@pytest.mark.parametrize(
    "path",
    [
        "00000000-0000-0000-0000-000000000000",
        "6f1d3c1e-8a53-4c1f-9d77-0a4f5e1b2c3d",
        "1",
        "abc",
        "0",
        "-1",
        "stats2",
        "6f1d3c1e8a534c1f9d770a4f5e1b2c3d",
        "%00",
        "..",
        "translation%2F1",
        "1;drop table",
    ],
)
def test_an_id_that_is_none_is_not_found(program, path):
    response = program.get(path)

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


# --- statistics -----------------------------------------------------------------------


def test_stats_are_not_taken_for_an_id_and_have_the_rows_own_names(program):
    make_job(items=2, status=JobStatus.VALIDATING, provider_completed=1)
    make_job(items=3, status=JobStatus.FINALIZING, provider_completed=3)
    make_job(items=4, status=JobStatus.PROCESSED, items_complete=3, items_failed=1)

    answer = program.get("stats").json()

    assert answer == [
        {
            "status": "completed",
            "type": "captions",
            "count": 1,
            "total_requests": 4,
            "completed_requests": 3,
            "failed_requests": 1,
        },
        {
            "status": "processing",
            "type": "captions",
            "count": 2,
            "total_requests": 5,
            "completed_requests": 4,
            "failed_requests": 0,
        },
    ]


def test_stats_of_nothing_are_no_rows(program):
    assert program.get("stats").json() == []


def test_stats_take_one_query_beside_the_keys(program, settings):
    settings.BATCH_MAX_JOBS, settings.BATCH_MAX_JOBS_PER_WORKLOAD = 99, "*=99"
    for status in JobStatus:
        make_job(items=1, status=status)

    assert queries(lambda: program.get("stats")) == 2
