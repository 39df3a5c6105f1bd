"""Reading result files: every odd line that a provider was ever seen to write."""

import json
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone
from msgspec.structs import replace

from batches.errors import LostLease
from batches.models import (
    BatchItem,
    BatchJob,
    HourlyUsage,
    ItemAttempt,
    OpenItem,
    StrayLine,
)
from batches.services import ingestion, outcomes, result_files
from batches.services.ingestion import apply_chunk, ingest_job, ingest_jobs
from batches.services.leases import held
from batches.services.recount import recount
from batches.services.result_files import read_chunks
from batches.services.spool import job_dir
from batches.states import FileKind, ItemStatus, JobStatus, StrayKind
from batches.workloads import get_workload
from tests.driving import work_off
from tests.factories import item_ids, make_collected_run, make_job, make_paintings
from tests.gallery.models import Caption, Painting

pytestmark = pytest.mark.django_db

USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "prompt_tokens_details": {"cached_tokens": 200},
}
# gpt-4o-mini at batch price: 0.075 $ a million in (cached too), 0.30 $ a million out.
COST_NANOS = 1000 * 75 + 100 * 300


@pytest.fixture(autouse=True)
def spool(settings, tmp_path):
    settings.SPOOL_DIR = tmp_path / "spool"


def answer(key, text='{"caption": "A tree"}', **choice):
    message = {
        "role": "assistant",
        "content": text,
        "refusal": choice.pop("refusal", None),
    }
    body = {
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"message": message, "finish_reason": "stop", **choice}],
        "usage": USAGE,
    }
    response = {"status_code": 200, "request_id": "r", "body": body}
    return {"id": "x", "custom_id": str(key), "response": response, "error": None}


def http_error(key, status=400, code="context_length_exceeded"):
    body = {
        "error": {
            "message": "Too long.",
            "type": "invalid",
            "param": None,
            "code": code,
        }
    }
    response = {"status_code": status, "request_id": "r", "body": body}
    return {"id": "x", "custom_id": str(key), "response": response, "error": None}


def not_executed(key, code="batch_expired"):
    error = {"code": code, "message": "This request could not be executed."}
    return {"id": "x", "custom_id": str(key), "response": None, "error": error}


def with_results(job, output=(), error=(), ending="completed", **counts):
    """A job whose files lie in the spool, as after their download."""
    folder = job_dir(job)
    for name, lines in (("out", output), ("err", error)):
        raw = b"".join(
            line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
            for line in lines
        )
        (folder / f"{name}.result").write_bytes(raw)
    BatchJob.objects.filter(pk=job.pk).update(
        output_file_id="out" if output else "",
        error_file_id="err" if error else "",
        provider_status=ending,
        **counts,
    )
    job.refresh_from_db()
    return job


def completed_job(items=3, **results):
    return make_job(items, status=JobStatus.COMPLETED)


def ingest(job):
    job.refresh_from_db()
    with held(job, now=timezone.now() + timedelta(hours=1)) as is_ours:
        assert is_ours
        ingest_job(job)
    job.refresh_from_db()


def strays():
    return list(StrayLine.objects.order_by("line").values_list("kind", "line"))


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


def test_reading_goes_on_where_the_checkpoint_stands(monkeypatch):
    monkeypatch.setattr(result_files, "CHUNK_LINES", 2)
    job = completed_job(5)
    keys = item_ids(job)
    with_results(job, [answer(key) for key in keys[:4]], [http_error(keys[4])])
    path = job_dir(job) / "out.result"
    with held(job, now=timezone.now()):
        chunk = next(read_chunks(path, "out", FileKind.OUTPUT, start=0))
        apply_chunk(job, get_workload("captions"), chunk, looks_first=False)
    # what was read is not looked at again
    first, second, *rest = path.read_bytes().splitlines(keepends=True)
    spoilt = [line.replace(b"response", b"********") for line in (first, second)]
    path.write_bytes(b"".join([*spoilt, *rest]))

    ingest(job)

    assert (job.items_complete, job.items_failed) == (4, 1)
    assert job.lines_read == 5
    assert not StrayLine.objects.exists()
    assert list(ItemAttempt.objects.order_by("pk").values_list("line", flat=True)) == [
        1,
        2,
        3,
        4,
        1,
    ]


def test_chunks_are_cut_at_newlines_alone(tmp_path):
    path = tmp_path / "odd.jsonl"
    text = "one\u2028two\u2029three\u0085four"
    path.write_bytes(
        json.dumps({"a": text}, ensure_ascii=False).encode() + b"\r\n\n" + b'{"b": 1}'
    )

    (chunk,) = read_chunks(path, "f", FileKind.OUTPUT, start=0)

    assert list(chunk.numbers) == [1, 3]
    assert json.loads(next(chunk.lines()))["a"] == text
    assert chunk.end == 2


def test_lines_are_read_in_the_order_of_their_items_and_the_rest_last(tmp_path):
    path = tmp_path / "shuffled.jsonl"
    path.write_bytes(
        b"".join(
            b'{"id": "x", "custom_id": "%s", "at": %d}\n' % (key, number)
            for number, key in enumerate([b"30", b"odd", b"4", b"30", b"100", b"4"])
        )
    )
    places = [
        json.loads(line)["at"]
        for chunk in read_chunks(path, "f", FileKind.OUTPUT, start=0)
        for line in chunk.lines()
    ]

    assert places == [2, 5, 0, 3, 4, 1]
    (rest,) = read_chunks(path, "f", FileKind.OUTPUT, start=4)
    assert (list(rest.numbers), rest.end) == ([5, 2], 6)


def test_a_chunk_ends_where_its_texts_take_too_much_memory(monkeypatch):
    # one emoji has Python hold a text at four bytes a character
    monkeypatch.setattr(result_files, "CHUNK_TEXT_BYTES", 10_000)
    job = completed_job(5)
    text = json.dumps({"caption": "🌳" + "x" * 1_000}, ensure_ascii=False)
    with_results(job, [answer(key, text) for key in item_ids(job)])
    path = job_dir(job) / "out.result"
    ends = []
    with held(job, now=timezone.now()):
        for chunk in read_chunks(path, "out", FileKind.OUTPUT, start=0):
            apply_chunk(job, get_workload("captions"), chunk, looks_first=False)
            ends.append((chunk.end, job.checkpoint_line, job.lines_read))

    assert ends == [(2, 2, 2), (4, 4, 4), (5, 5, 5)]
    assert Caption.objects.count() == 5
    assert not StrayLine.objects.exists()


def test_an_answer_larger_than_a_chunk_may_be_is_read_alone(monkeypatch):
    monkeypatch.setattr(result_files, "CHUNK_TEXT_BYTES", 10)
    job = completed_job(2)
    with_results(job, [answer(key) for key in item_ids(job)])

    ingest(job)

    assert (job.status, job.items_complete) == (JobStatus.PROCESSED, 2)


def test_separators_and_nul_inside_an_answer_do_no_harm():
    job = completed_job(1)
    (key,) = item_ids(job)
    line = answer(
        key, text=json.dumps({"caption": "a\u2028b\u0085c"}, ensure_ascii=False)
    )
    with_results(job, [json.dumps(line, ensure_ascii=False).encode() + b"\n"])

    ingest(job)

    assert Caption.objects.get().text == "a\u2028b\u0085c"


def test_a_nul_in_an_answer_is_kept_as_a_mark_that_every_database_takes():
    job = completed_job(1)
    (key,) = item_ids(job)
    with_results(job, [answer(key, text="no JSON \x00 here")])

    ingest(job)

    assert ItemAttempt.objects.get().answer == "no JSON \ufffd here"


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


def test_a_cut_download_is_not_read_and_comes_again(sandbox):
    make_job(3)
    sandbox.faults(cut_download={"times": 2})

    said = work_off()

    assert said
    assert Caption.objects.count() == 3
    assert not StrayLine.objects.exists()
    assert recount(repair=False) == []


@pytest.mark.parametrize(
    "faults",
    [
        {"duplicate_lines": 0.5},
        {"unknown_lines": 0.5, "garbage_lines": 0.5},
        {"crlf": True},
        {"raw_separators": 1.0},
        {"empty_string_ids": True},
        {"empty_files": True},
        {"oversized_lines": {"rate": 0.5, "bytes": 200_000}},
    ],
)
def test_whatever_the_files_look_like_every_answer_is_applied_once(sandbox, faults):
    sandbox.faults(**faults)
    make_job(6)

    work_off()

    assert Caption.objects.count() == 6
    assert recount(repair=False) == []


def test_a_batch_that_lacks_lines_is_read_again_before_they_are_missing(sandbox):
    sandbox.faults(missing_lines={"rate": 0.5})
    job = make_job(8)

    work_off()

    job.refresh_from_db()
    assert job.times_reread == ingestion.MAX_REREADS
    assert job.items_failed == 8 - Caption.objects.count() > 0
    assert set(
        BatchItem.objects.exclude(error_code="").values_list("error_code", flat=True)
    ) == {"missing_output"}
    assert recount(repair=False) == []


def test_a_subject_that_was_deleted_meanwhile_stops_nothing(sandbox):
    make_job(3)
    Painting.objects.first().delete()

    work_off()

    assert Caption.objects.count() == 2
    assert set(BatchItem.objects.values_list("error_code", flat=True)) == {
        "",
        "subject_gone",
    }


def test_an_old_holder_that_wakes_up_late_applies_nothing():
    job = completed_job(2)
    with_results(job, [answer(key) for key in item_ids(job)])
    old = BatchJob.objects.get(pk=job.pk)
    path = job_dir(job) / "out.result"
    chunk = next(read_chunks(path, "out", FileKind.OUTPUT, start=0))
    BatchJob.objects.filter(pk=job.pk).update(lease_epoch=old.lease_epoch + 1)

    with pytest.raises(LostLease):
        apply_chunk(old, get_workload("captions"), chunk, looks_first=False)

    assert not Caption.objects.exists()
    assert OpenItem.objects.filter(job=job).count() == 2


def test_ingesting_when_there_is_nothing_does_nothing():
    assert ingest_jobs(now=timezone.now()) == 0
