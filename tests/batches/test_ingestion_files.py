"""Reading result files: where they are cut, read on and fetched again."""

import json

import pytest
from django.utils import timezone

from batches.errors import LostLease
from batches.models import (
    BatchItem,
    BatchJob,
    ItemAttempt,
    OpenItem,
    StrayLine,
)
from batches.services import ingestion, result_files
from batches.services.ingestion import apply_chunk
from batches.services.leases import held
from batches.services.recount import recount
from batches.services.result_files import read_chunks
from batches.services.spool import job_dir
from batches.states import FileKind, JobStatus
from batches.workloads import get_workload
from tests.batches.result_lines import (
    answer,
    completed_job,
    http_error,
    ingest,
    with_results,
)
from tests.driving import work_off
from tests.factories import item_ids, make_job
from tests.gallery.models import Caption

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("spool")]


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
