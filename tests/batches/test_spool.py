"""The input file: its bytes, its memory, and what is left when it cannot be written."""

import tracemalloc

import orjson
import pytest

from batches.errors import LostLease
from batches.models import BatchJob, ItemRequest, OpenItem
from batches.services import spool
from batches.services.bundling import bundle
from batches.services.spool import job_dir, remove_parts, write_input_file
from tests.factories import item_ids, make_collected_run, make_job
from tests.trouble import full_disk

pytestmark = pytest.mark.django_db

MEGABYTE = 1024 * 1024


@pytest.fixture(autouse=True)
def spool_dir(settings, tmp_path):
    settings.SPOOL_DIR = tmp_path / "spool"
    return settings.SPOOL_DIR


def nothing() -> None:
    """Nobody watches."""


def write(job):
    return write_input_file(job, on_block=nothing).read_bytes()


def names(job):
    return sorted(path.name for path in job_dir(job).iterdir())


def test_each_line_is_the_stored_body_byte_for_byte():
    job = make_job(3)
    bodies = dict(ItemRequest.objects.values_list("item_id", "body"))

    lines = write(job).splitlines(keepends=True)

    assert lines == [
        b'{"custom_id":"%d","method":"POST","url":"/v1/chat/completions","body":%b}\n'
        % (key, bodies[key].encode())
        for key in item_ids(job)
    ]


@pytest.mark.parametrize("piece", [1, 700, 10**9])
@pytest.mark.parametrize("keys", [1, 3, 100])
def test_pieces_of_any_size_give_the_same_file(monkeypatch, piece, keys):
    job = make_job(7)
    whole = write(job)
    monkeypatch.setattr(spool, "PIECE_BYTES", piece)
    monkeypatch.setattr(spool, "KEYS", keys)

    assert write(job) == whole
    assert whole.count(b"\n") == 7


def test_items_of_other_jobs_between_ours_stay_out(settings):
    settings.BATCH_MAX_REQUESTS = 6
    make_collected_run(items=12)
    one, other = bundle()
    # The two jobs' keys alternate, as after returns and retries.
    for number, key in enumerate(
        OpenItem.objects.order_by("item_id").values_list("item_id", flat=True)
    ):
        job = (one, other)[number % 2]
        OpenItem.objects.filter(pk=key).update(job=job)

    sent = [int(orjson.loads(line)["custom_id"]) for line in write(one).splitlines()]

    assert sent == item_ids(one)


@pytest.mark.parametrize(
    "name", ["max_completion_tokens", "max_tokens", "max_output_tokens"]
)
def test_a_raised_limit_is_sent_in_place_of_the_bodys_own(name):
    job = make_job(3)
    first, second, third = item_ids(job)
    body = orjson.loads(ItemRequest.objects.get(pk=second).body)
    del body["max_completion_tokens"]
    stored = orjson.dumps({**body, name: 100}, option=orjson.OPT_SORT_KEYS).decode()
    ItemRequest.objects.filter(pk=second).update(body=stored)
    before = write(job).splitlines()
    OpenItem.objects.filter(pk=second).update(raised_limit=16_000)

    after = write(job).splitlines()

    assert (after[0], after[2]) == (before[0], before[2])
    sent = orjson.loads(after[1])
    assert sent["custom_id"] == str(second)
    assert sent["body"] == {**body, name: 16_000}
    assert ItemRequest.objects.get(pk=second).body == stored


def test_who_stops_the_writing_leaves_nothing_behind():
    job = make_job(2)

    def stop() -> None:
        raise LostLease("another has it")

    with pytest.raises(LostLease, match="another has it"):
        write_input_file(job, on_block=stop)

    assert names(job) == []


def test_a_full_disk_is_an_error_and_leaves_nothing_behind():
    job = make_job(2)

    with full_disk(after_bytes=100), pytest.raises(OSError, match="File too large"):
        write(job)

    assert names(job) == []


def test_half_written_files_of_killed_processes_are_removed():
    job = make_job(1)
    (job_dir(job) / "1.jsonl.0123.part").write_bytes(b"half")

    write(job)

    assert names(job) == ["1.jsonl"]


def test_a_spool_that_was_deleted_is_made_anew(spool_dir):
    job = make_job(1)
    write(job)
    spool.shutil.rmtree(spool_dir)

    remove_parts(job)

    assert write(job)


def test_memory_stays_flat_whatever_the_number_of_lines():
    """20 MB in lines of 40 KB: at most two pieces are in memory at once."""
    job = make_job(500)
    ItemRequest.objects.update(body=orjson.dumps({"text": "é" * 20_000}).decode())
    OpenItem.objects.update(body_bytes=40_000)
    job = BatchJob.objects.get(pk=job.pk)
    write(job)

    tracemalloc.start()
    path = write_input_file(job, on_block=nothing)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert path.stat().st_size > 19 * MEGABYTE
    assert peak < 12 * MEGABYTE
