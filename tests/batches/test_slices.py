"""Files that take long: the lease is kept, and the work goes on in slices."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import orjson
import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from batches.errors import BatchError, LostLease, SliceEnded
from batches.models import BatchJob, ItemRequest, OpenItem
from batches.providers.errors import IncompleteDownload, ProviderError
from batches.providers.openai_batch import BatchProvider
from batches.providers.registry import get_provider
from batches.services import leases
from batches.services.ingestion import _fetch, ingest_jobs
from batches.services.leases import Slice, claim, held, is_slice_over, one_slice
from batches.services.polling import poll_jobs
from batches.services.recount import recount
from batches.services.spool import job_dir
from batches.services.submission import _upload, submit_jobs
from batches.states import JobStatus
from batches.tasks import tick
from tests.batches.slicing import after_blocks, nothing
from tests.driving import work_off
from tests.factories import make_job
from tests.gallery.models import Caption
from tests.sandbox.fixtures import wait_for
from tests.trouble import Line, line_to

pytestmark = pytest.mark.django_db

MEGABYTE = 1024 * 1024


def later():
    return timezone.now() + timedelta(hours=1)


def stage(run) -> str:
    """One pass of a stage an hour later; what it had to say."""
    try:
        run(now=later())
    except BatchError as err:
        return str(err)
    return ""


def finished_job(items=3, **faults) -> BatchJob:
    """A job whose results wait at the sandbox, as large as the faults make them."""
    job = make_job(items)
    submit_jobs(now=later())

    def is_completed():
        poll_jobs(now=later())
        job.refresh_from_db()
        return job.status == JobStatus.COMPLETED

    wait_for(is_completed)
    return job


def large_results(sandbox, megabytes: int, items: int = 4) -> BatchJob:
    size = megabytes * MEGABYTE // items
    sandbox.faults(oversized_lines={"rate": 1.0, "bytes": size})
    return finished_job(items)


def write_long_requests(characters: int) -> None:
    """Make the requests of all items as long as this; all of them are alike."""
    body = orjson.loads(ItemRequest.objects.first().body)
    body["messages"][1]["content"] = "water the plants " * (characters // 17)
    ItemRequest.objects.update(body=orjson.dumps(body).decode())
    OpenItem.objects.update(body_bytes=characters + 500)


@contextmanager
def slow_line(settings, bytes_per_second: float) -> Iterator[Line]:
    """The way to the sandbox is no faster than this while the block runs."""
    parts = urlsplit(settings.SANDBOX_URL)
    with line_to(parts.hostname, parts.port) as line:
        line.bytes_per_second = bytes_per_second
        settings.SANDBOX_URL = f"http://127.0.0.1:{line.port}/v1"
        yield line
    settings.SANDBOX_URL = parts.geturl()


def take_over(job: BatchJob) -> None:
    """Another process claimed the job, and is done with it by now."""
    BatchJob.objects.filter(pk=job.pk).update(
        lease_epoch=F("lease_epoch") + 1, lease_until=None
    )


def names(job: BatchJob) -> list[str]:
    return sorted(path.name for path in job_dir(job).iterdir())


def input_files(job: BatchJob) -> list[str]:
    return [
        file.filename
        for file in get_provider("sandbox").input_files()
        if job.token in file.filename
    ]


# --- the lease ------------------------------------------------------------------------


def test_a_slice_renews_the_lease_with_one_update_in_some_seconds():
    job = make_job(1)
    assert claim(job, now=timezone.now() - timedelta(seconds=50))
    work = Slice(job)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        for _ in range(1000):
            work.go_on()

    assert len(queries) == 1
    job.refresh_from_db()
    assert job.lease_until > timezone.now() + timedelta(seconds=55)


def test_the_lease_covers_the_longest_silence_between_two_blocks():
    job = make_job(1)
    assert claim(job, now=timezone.now())

    Slice(job, silence_seconds=120).go_on()

    assert job.lease_until > timezone.now() + timedelta(seconds=175)
    assert not claim(
        BatchJob.objects.get(pk=job.pk), now=timezone.now() + timedelta(seconds=170)
    )


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_transfer_longer_than_its_lease_keeps_its_job(sandbox, settings, monkeypatch):
    settings.LEASE_SECONDS = 5
    monkeypatch.setattr(BatchProvider, "longest_silence_seconds", 0.0)
    job = finished_job()
    sandbox.faults(slow={"seconds": 12, "on": ["files.content"], "times": 1})
    done = threading.Event()

    def read() -> None:
        try:
            ingest_jobs(now=timezone.now())
        finally:
            connection.close()
            done.set()

    reader = threading.Thread(target=read)
    reader.start()
    wait_for(lambda: BatchJob.objects.get(pk=job.pk).lease_until)
    began = time.monotonic()
    claimed = []
    while not done.wait(0.2):
        row = BatchJob.objects.get(pk=job.pk)
        if row.lease_until:
            claimed.append(claim(row, now=timezone.now()))
    reader.join()

    job.refresh_from_db()
    assert time.monotonic() - began > 10
    assert not any(claimed)
    assert job.status == JobStatus.PROCESSED
    assert Caption.objects.count() == 3


def test_a_lease_lost_while_the_file_comes_down_stops_it_and_leaves_nothing(sandbox):
    job = large_results(sandbox, 4)
    provider = get_provider("sandbox")
    to = job_dir(job) / "x.result"

    with pytest.raises(LostLease, match="gone"):
        provider.download(
            job.output_file_id, to, on_block=after_blocks(2, LostLease("gone"))
        )

    assert names(job) == []


def test_a_holder_that_was_overtaken_downloads_nothing(sandbox):
    job = finished_job()
    with held(job, now=later()):
        take_over(job)
        with pytest.raises(LostLease):
            _fetch(job, job.output_file_id)

    assert names(job) == []
    work_off()
    assert Caption.objects.count() == 3


def test_a_lease_lost_while_the_file_goes_up_stops_it_and_leaves_nothing(
    sandbox, tmp_path
):
    path = tmp_path / "large.jsonl"
    path.write_bytes(b"x" * 4 * MEGABYTE)
    provider = get_provider("sandbox")

    with pytest.raises(LostLease, match="gone"):
        provider.upload(
            path, "lost-lease.jsonl", on_block=after_blocks(5, LostLease("gone"))
        )

    assert "lost-lease.jsonl" not in {file.filename for file in provider.input_files()}


def test_a_holder_that_was_overtaken_sends_no_file(sandbox):
    job = make_job(2)
    with held(job, now=later()):
        take_over(job)
        with pytest.raises(LostLease):
            _upload(job, get_provider("sandbox"))

    assert input_files(job) == []
    assert names(job) == []


# --- slices ---------------------------------------------------------------------------


def test_the_first_block_after_the_end_of_the_slice_ends_the_work():
    job = make_job(1)
    assert claim(job, now=timezone.now())

    with one_slice(0.05):
        work = Slice(job)
        work.go_on()
        wait_for(is_slice_over)
        with pytest.raises(SliceEnded, match="goes on in the next"):
            work.go_on()

    Slice(job).go_on()
    assert not is_slice_over()


def test_work_without_a_worker_ends_within_the_longest_slice(monkeypatch):
    monkeypatch.setattr(leases, "LONGEST_SLICE_SECONDS", 0.0)
    job = make_job(1)
    assert claim(job, now=timezone.now())

    with pytest.raises(SliceEnded):
        Slice(job).go_on()


def test_no_job_is_begun_when_the_slice_is_over(sandbox):
    job = make_job(1)

    with one_slice(0.0):
        assert submit_jobs(now=later()) == 0

    job.refresh_from_db()
    assert (job.status, job.lease_epoch) == (JobStatus.PENDING, 0)


def test_a_task_whose_slice_is_over_asks_for_the_next_one(sandbox, settings):
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "timeout": 0}
    make_job(1)
    OrmQ.objects.all().delete()

    assert tick("submit") == "0 sent"

    assert [queued.task["args"] for queued in OrmQ.objects.all()] == [("submit",)]


def test_a_download_goes_on_in_the_next_slice_where_it_stopped(sandbox, settings):
    job = large_results(sandbox, 6)
    with slow_line(settings, 6 * MEGABYTE) as line:
        slices = 0
        while job.finished_at is None:
            with one_slice(0.4):
                assert stage(ingest_jobs) == ""
            slices += 1
            assert slices < 20
            job.refresh_from_db()

    assert slices > 1
    # The file came once over the line, not once for each slice.
    assert line.received < 8 * MEGABYTE
    assert job.status == JobStatus.PROCESSED
    assert Caption.objects.count() == 4
    assert recount(repair=False) == []


def test_what_is_kept_of_a_download_is_used_and_not_fetched_again(sandbox):
    job = large_results(sandbox, 2)
    provider = get_provider("sandbox")
    to = job_dir(job) / "x.result"
    with pytest.raises(SliceEnded):
        provider.download(
            job.output_file_id, to, on_block=after_blocks(3, SliceEnded("over"))
        )
    assert names(job) == ["x.result.kept"]
    kept = job_dir(job) / "x.result.kept"
    assert 0 < kept.stat().st_size < 2 * MEGABYTE
    with kept.open("r+b") as file:
        file.write(b"?")  # to tell these bytes from those of the provider

    length = provider.download(job.output_file_id, to, on_block=nothing)

    assert names(job) == ["x.result"]
    assert to.stat().st_size == length == provider.file(job.output_file_id).bytes
    raw = to.read_bytes()
    assert raw[:1] == b"?"
    assert all(orjson.loads(line) for line in raw.splitlines()[1:])


def test_a_download_that_is_cut_goes_on_from_there(sandbox):
    job = large_results(sandbox, 2)
    sandbox.faults(cut_download={"share": 0.5, "times": 1})
    provider = get_provider("sandbox")
    to = job_dir(job) / "x.result"

    with pytest.raises(ProviderError, match="broke off"):
        provider.download(job.output_file_id, to, on_block=nothing)
    assert names(job) == ["x.result.kept"]

    provider.download(job.output_file_id, to, on_block=nothing)
    assert names(job) == ["x.result"]
    assert all(orjson.loads(line) for line in to.read_bytes().splitlines())


def test_a_download_cut_without_a_length_begins_anew(sandbox):
    job = large_results(sandbox, 2)
    sandbox.faults(cut_download_unannounced={"share": 0.5, "times": 1})
    provider = get_provider("sandbox")
    to = job_dir(job) / "x.result"

    with pytest.raises(IncompleteDownload, match="downloaded again"):
        provider.download(job.output_file_id, to, on_block=nothing)

    assert names(job) == []


def test_an_upload_that_does_not_end_in_its_slice_waits_and_begins_anew(
    sandbox, settings
):
    job = make_job(40)
    write_long_requests(characters=300_000)
    with slow_line(settings, 8 * MEGABYTE), one_slice(0.7):
        said = stage(submit_jobs)

    job.refresh_from_db()
    assert "process_batches" in said
    assert job.waiting_reason == said
    assert job.status == JobStatus.PENDING
    assert job.not_before is not None
    assert (job.input_file_id, job.create_sent_at) == ("", None)
    assert input_files(job) == []
    work_off(seconds=60)
    assert input_files(job) == []
    assert Caption.objects.count() == 40


def test_another_machine_downloads_again_and_goes_on_from_the_checkpoint(
    sandbox, settings, tmp_path, monkeypatch
):
    monkeypatch.setattr("batches.services.result_files.CHUNK_LINES", 5)
    job = finished_job(20)
    with held(job, now=later()):
        _fetch(job, job.output_file_id)
    settings.SPOOL_DIR = tmp_path / "another machine"

    work_off()

    assert Caption.objects.count() == 20
    assert recount(repair=False) == []


# --- the real size --------------------------------------------------------------------


@pytest.mark.slow
def test_200_megabytes_go_up_at_once_and_come_down_in_slices(sandbox, settings):
    settings.BATCH_MAX_REQUESTS = 50_000
    job = make_job(2_000)
    write_long_requests(characters=100_000)
    sandbox.faults(oversized_lines={"rate": 1.0, "bytes": 100_000})
    submit_jobs(now=later())
    job.refresh_from_db()
    assert get_provider("sandbox").file(job.input_file_id).bytes > 200_000_000

    def is_completed():
        poll_jobs(now=later())
        job.refresh_from_db()
        return job.status == JobStatus.COMPLETED

    wait_for(is_completed, seconds=120)
    slices = 0
    with slow_line(settings, 40 * MEGABYTE) as line:
        while job.finished_at is None:
            with one_slice(2.0):
                assert stage(ingest_jobs) == ""
            slices += 1
            job.refresh_from_db()

    assert 2 < slices < 30
    assert line.received < 1.1 * 201_000_000
    assert job.status == JobStatus.PROCESSED
    assert Caption.objects.count() == 2_000
    assert recount(repair=False) == []
