"""Reading result files: every odd line that a provider was ever seen to write."""

import json

import pytest
from django.db import OperationalError
from django.utils import timezone
from msgspec.structs import replace

from batches.models import (
    BatchItem,
    HourlyUsage,
    ItemAttempt,
    OpenItem,
)
from batches.services import outcomes
from batches.services.ingestion import apply_chunk, ingest_jobs
from batches.services.leases import held
from batches.services.recount import recount
from batches.services.result_files import read_chunks
from batches.services.spool import job_dir
from batches.states import FileKind, ItemStatus, JobStatus, StrayKind
from batches.workloads import get_workload
from tests.batches.result_lines import (
    COST_NANOS,
    answer,
    completed_job,
    http_error,
    ingest,
    not_executed,
    strays,
    with_results,
)
from tests.driving import work_off
from tests.factories import item_ids, make_collected_run, make_job, make_paintings
from tests.gallery.models import Caption, Painting

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("spool")]


def test_answers_are_applied_with_their_tokens_and_their_price():
    job = completed_job(2)
    first, second = item_ids(job)
    with_results(job, [answer(second), answer(first)])

    ingest(job)

    assert job.status == JobStatus.PROCESSED
    item = BatchItem.objects.get(pk=first)
    assert (item.status, item.cost_nanos) == (ItemStatus.COMPLETE, COST_NANOS)
    attempt = ItemAttempt.objects.get(item=first)
    assert (attempt.input_tokens, attempt.cached_tokens, attempt.output_tokens) == (
        1000,
        200,
        100,
    )
    assert (attempt.file_kind, attempt.line) == (FileKind.OUTPUT, 2)
    assert attempt.model_snapshot == "gpt-4o-mini-2024-07-18"
    assert attempt.price_version.startswith("genai-prices")
    assert attempt.answer == '{"caption": "A tree"}'
    assert attempt.raw_line == ""
    assert Caption.objects.count() == 2
    assert not OpenItem.objects.exists()
    assert job.cost_nanos == 2 * COST_NANOS
    assert recount(repair=False) == []


def test_both_files_are_read_and_a_line_with_an_error_fails_its_item():
    job = completed_job(2)
    good, bad = item_ids(job)
    with_results(job, [answer(good)], [http_error(bad)])

    ingest(job)

    item = BatchItem.objects.get(pk=bad)
    assert (item.status, item.error_code) == (
        ItemStatus.FAILED,
        "context_length_exceeded",
    )
    attempt = ItemAttempt.objects.get(item=bad)
    assert (attempt.http_status, attempt.error_message) == (400, "Too long.")
    assert "context_length_exceeded" in attempt.raw_line
    assert job.tallies.get(error_code="context_length_exceeded").attempts == 1
    assert recount(repair=False) == []


def test_a_batch_whose_every_line_failed_has_no_output_file_and_ends():
    job = completed_job(2)
    with_results(job, error=[http_error(key) for key in item_ids(job)])

    ingest(job)

    assert (job.status, job.items_failed) == (JobStatus.PROCESSED, 2)
    run = job.shares.get().run
    assert run.status == "failed"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (lambda key: answer(key, finish_reason="length"), "truncated"),
        (lambda key: answer(key, finish_reason="content_filter"), "refused"),
        (lambda key: answer(key, text=None, refusal="I will not."), "refused"),
        (lambda key: answer(key, text="Sure! Here it is"), "invalid_json"),
        (lambda key: answer(key, text='{"captions": []}'), "schema_mismatch"),
        (lambda key: answer(key, text='{"caption": 3}'), "schema_mismatch"),
        (lambda key: http_error(key, 500, None), "invalid"),
        (lambda key: http_error(key, 0, "odd"), "odd"),
    ],
)
def test_what_is_no_usable_answer_fails_in_the_end_and_is_kept_whole(
    settings, line, code
):
    settings.BATCH_MAX_ATTEMPTS = 1
    job = completed_job(1)
    (key,) = item_ids(job)
    with_results(job, [line(key)])

    ingest(job)

    item = BatchItem.objects.get()
    attempt = ItemAttempt.objects.get()
    assert (item.status, item.error_code, attempt.error_code) == (
        ItemStatus.FAILED,
        code,
        code,
    )
    assert attempt.error_message
    assert json.loads(attempt.raw_line) == line(key)
    assert recount(repair=False) == []


def test_an_answer_without_choices_or_with_another_shape_fails_alone():
    job = completed_job(3)
    first, second, third = item_ids(job)
    empty = answer(first)
    empty["response"]["body"]["choices"] = []
    odd = answer(second)
    odd["response"]["body"]["usage"] = "free of charge"
    with_results(job, [empty, odd, answer(third)])

    ingest(job)

    codes = dict(BatchItem.objects.values_list("pk", "error_code"))
    assert codes == {first: "empty_answer", second: "unreadable_answer", third: ""}


def test_odd_lines_are_recorded_once_and_applied_never():
    job = completed_job(2)
    first, second = item_ids(job)
    lines = [
        answer(first),
        b"not json\n",
        answer(first, text='{"caption": "Another"}'),
        answer(999_999),
        answer("lesson-12-title"),
        b"\n",
        answer(second),
    ]
    with_results(job, lines)

    ingest(job)

    assert strays() == [
        (StrayKind.MALFORMED, 2),
        (StrayKind.REPEATED, 3),
        (StrayKind.UNKNOWN, 4),
        (StrayKind.UNKNOWN, 5),
    ]
    assert Caption.objects.get(item_id=first).text == "A tree"
    assert job.items_complete == 2
    assert recount(repair=False) == []


def test_a_repeat_in_the_other_file_is_a_repeat_too():
    job = completed_job(1)
    (key,) = item_ids(job)
    with_results(job, [answer(key)], [http_error(key)])

    ingest(job)

    assert strays() == [(StrayKind.REPEATED, 1)]
    assert BatchItem.objects.get().status == ItemStatus.COMPLETE


def test_lines_in_neither_file_fail_as_missing():
    job = completed_job(3)
    first, *_ = item_ids(job)
    with_results(job, [answer(first)], provider_completed=1)

    ingest(job)

    missing = BatchItem.objects.filter(error_code="missing_output")
    assert missing.count() == 2
    assert (
        "Retry it by hand"
        in ItemAttempt.objects.filter(item__in=missing)[0].error_message
    )
    assert recount(repair=False) == []


def test_a_file_with_fewer_lines_than_counted_is_downloaded_again(sandbox):
    job = completed_job(2)
    first, *_ = item_ids(job)
    with_results(job, [answer(first)], provider_completed=2)

    ingest(job)

    assert job.status == JobStatus.COMPLETED
    assert (job.times_reread, job.lines_read, job.checkpoint_line) == (1, 0, 0)
    assert "fewer lines" in job.waiting_reason
    assert Caption.objects.count() == 1  # what was there is applied all the same


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("expired", JobStatus.EXPIRED),
        ("cancelled", JobStatus.CANCELLED),
        ("failed", JobStatus.FAILED),
    ],
)
def test_an_early_ending_keeps_what_was_finished_and_returns_the_rest(ending, status):
    job = completed_job(3)
    first, second, third = item_ids(job)
    with_results(job, [answer(first)], [not_executed(second)], ending=ending)

    ingest(job)

    assert job.status == status
    assert (job.items_complete, job.items_returned) == (1, 2)
    back = OpenItem.objects.filter(job__isnull=True)
    assert set(back.values_list("pk", flat=True)) == {second, third}
    assert set(
        BatchItem.objects.filter(pk__in=[second, third]).values_list("status", "job")
    ) == {(ItemStatus.PENDING, None)}
    assert recount(repair=False) == []


def test_a_late_line_of_an_earlier_attempt_is_recorded_and_not_applied():
    job = completed_job(1)
    (key,) = item_ids(job)
    with_results(job, error=[not_executed(key), answer(key)], ending="expired")
    path = job_dir(job) / "err.result"
    chunk = next(read_chunks(path, "err", FileKind.ERROR, start=0))
    with held(job, now=timezone.now()):
        for place in range(len(chunk.numbers)):
            here = slice(place, place + 1)
            one = replace(
                chunk,
                offsets=chunk.offsets[here],
                sizes=chunk.sizes[here],
                numbers=chunk.numbers[here],
            )
            apply_chunk(job, get_workload("captions"), one, looks_first=False)

    assert strays() == [(StrayKind.LATE, 2)]
    assert not Caption.objects.exists()


def test_a_file_read_twice_changes_nothing():
    job = completed_job(3)
    keys = item_ids(job)
    with_results(job, [*(answer(key) for key in keys), b"garbage\n", answer(keys[0])])
    workload = get_workload("captions")
    path = job_dir(job) / "out.result"
    with held(job, now=timezone.now()):
        for looks_first in (False, False, True):
            for chunk in read_chunks(path, "out", FileKind.OUTPUT, start=0):
                apply_chunk(job, workload, chunk, looks_first=looks_first)

    job.refresh_from_db()
    assert job.items_complete == Caption.objects.count() == 3
    assert ItemAttempt.objects.count() == 3
    assert strays() == [(StrayKind.MALFORMED, 4), (StrayKind.REPEATED, 5)]
    assert recount(repair=False) == []


def test_a_bug_in_store_costs_its_own_row_and_no_other():
    make_paintings(*"abc", "STORE BUG", *"de")
    job = completed_job(0)
    with_results(job, [answer(key) for key in item_ids(job)])

    ingest(job)

    assert Caption.objects.count() == 5
    item = BatchItem.objects.get(error_code="apply_error")
    attempt = ItemAttempt.objects.get(item=item)
    assert item.status == ItemStatus.FAILED
    assert attempt.answer == '{"caption": "A tree"}'
    assert "the store has a bug" in attempt.error_message
    assert attempt.cost_nanos == COST_NANOS
    assert recount(repair=False) == []


def test_a_bug_in_judge_costs_its_own_row_and_no_other():
    make_paintings("a", "JUDGE BUG", "b")
    job = completed_job(0)
    with_results(job, [answer(key) for key in item_ids(job)])

    ingest(job)

    assert Caption.objects.count() == 2
    assert BatchItem.objects.get(error_code="apply_error").status == ItemStatus.FAILED


def test_a_database_that_goes_away_in_store_fails_nothing(monkeypatch):
    job = completed_job(2)
    with_results(job, [answer(key) for key in item_ids(job)])

    def go_away(*_):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(outcomes, "write_attempts", go_away)
    with pytest.raises(OperationalError):
        ingest(job)
    monkeypatch.undo()

    assert OpenItem.objects.filter(job=job).count() == 2
    assert not Caption.objects.exists()
    ingest(job)
    assert Caption.objects.count() == 2
    assert recount(repair=False) == []


def test_follow_ups_join_the_run_in_the_same_commit(sandbox):
    make_paintings("one", "two")
    run = make_collected_run(0, follow_ups=2)

    work_off()

    run.refresh_from_db()
    assert run.items_collected == 2
    assert sum(share.follow_ups for share in run.shares.all()) == 4
    assert Caption.objects.count() == 6
    assert run.status == "completed"
    parents = BatchItem.objects.filter(parent__isnull=False)
    assert parents.count() == 4
    assert {item.run_id for item in parents} == {run.pk}
    assert recount(repair=False) == []


def test_usage_is_added_up_by_the_hour_when_a_job_ends():
    job = completed_job(3)
    first, second, third = item_ids(job)
    with_results(job, [answer(first), answer(second)], [http_error(third)])

    ingest(job)

    usage = {
        (row.outcome, row.error_code): (row.attempts, row.cost_nanos)
        for row in HourlyUsage.objects.all()
    }
    assert usage == {
        ("applied", ""): (2, 2 * COST_NANOS),
        ("failed", "context_length_exceeded"): (1, 0),
    }


def test_a_subject_that_was_deleted_meanwhile_stops_nothing(sandbox):
    make_job(3)
    Painting.objects.first().delete()

    work_off()

    assert Caption.objects.count() == 2
    assert set(BatchItem.objects.values_list("error_code", flat=True)) == {
        "",
        "subject_gone",
    }


def test_ingesting_when_there_is_nothing_does_nothing():
    assert ingest_jobs(now=timezone.now()) == 0
