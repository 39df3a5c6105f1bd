"""Bad hours and bad input, by real trouble: what waits says why, the rest goes on, and
when the trouble is over all ends well, with each line billed once."""

import http.server
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from django.utils import timezone

from batches.models import (
    BatchItem,
    BatchJob,
    ItemAttempt,
    ItemRequest,
    OpenItem,
)
from batches.services.bundling import bundle
from batches.services.collection import collect_run, start_run
from batches.services.ingestion import ingest_jobs
from batches.services.pipeline import is_idle
from batches.services.polling import poll_jobs
from batches.services.recount import recount
from batches.services.spool import job_dir
from batches.services.submission import submit_jobs
from batches.states import AttemptOutcome, ItemStatus, JobStatus, Trigger
from tests.batches.enduring import (
    MEGABYTE,
    STAGES,
    all_ends_well,
    completed,
    is_now,
    lines_billed,
    notes,
    nothing_is_used_up,
    stage,
)
from tests.driving import work_off
from tests.factories import item_ids, make_collected_run, make_job
from tests.gallery.models import Caption, Painting
from tests.trouble import full_disk, read_only
from translations.lessons.models import Course, Lesson
from translations.models import Translation

pytestmark = pytest.mark.django_db


def large_and_small_job() -> tuple[BatchJob, BatchJob]:
    """Two jobs, the first of which has requests of 200 KB."""
    large = make_job(3)
    body = orjson.loads(ItemRequest.objects.first().body)
    body["messages"][1]["content"] = "water the plants " * 12_000
    ItemRequest.objects.filter(item__job=large).update(body=orjson.dumps(body).decode())
    make_collected_run(items=2)
    (small,) = bundle()
    return large, small


# --- the disk -------------------------------------------------------------------------


def test_a_disk_that_is_full_for_one_file_delays_that_job_alone(sandbox):
    large, small = large_and_small_job()

    with full_disk(after_bytes=100_000):
        said = stage(submit_jobs)

    assert "File too large" in said
    assert is_now(large, JobStatus.PENDING)
    assert "SPOOL_DIR" in large.waiting_reason
    assert large.waiting_reason in notes(large)
    assert large.not_before > timezone.now()
    assert is_now(small, JobStatus.VALIDATING)
    assert list(job_dir(large).iterdir()) == []
    nothing_is_used_up(large)
    all_ends_well(sandbox, captions=5)


def test_a_disk_that_is_full_while_results_come_delays_that_job_alone(sandbox):
    sandbox.faults(oversized_lines={"rate": 1.0, "bytes": 500_000, "times": 3})
    large = completed(make_job(3))
    sandbox.clear_faults()
    make_collected_run(items=2)
    (small,) = bundle()
    completed(small)

    with full_disk(after_bytes=MEGABYTE):
        said = stage(ingest_jobs)

    assert "SPOOL_DIR" in said
    assert is_now(large, JobStatus.COMPLETED)
    assert large.waiting_reason == said
    assert said in notes(large)
    assert is_now(small, JobStatus.PROCESSED)
    assert list(job_dir(large).iterdir()) == []
    nothing_is_used_up(large)
    all_ends_well(sandbox, captions=5)


def test_a_spool_that_is_read_only_delays_and_says_so(sandbox, settings):
    job = make_job(2)
    settings.SPOOL_DIR.mkdir(parents=True)

    with read_only(settings.SPOOL_DIR):
        said = stage(submit_jobs)

    assert is_now(job, JobStatus.PENDING)
    assert "Permission denied" in job.waiting_reason
    assert str(settings.SPOOL_DIR) in job.waiting_reason
    assert said == job.waiting_reason
    nothing_is_used_up(job)
    all_ends_well(sandbox, captions=2)


def test_trouble_that_stays_is_told_once(sandbox, settings):
    job = completed(make_job(2))
    shutil.rmtree(settings.SPOOL_DIR)
    settings.SPOOL_DIR.write_text("a file where a folder should be")

    for _ in range(3):
        assert "Not a directory" in stage(ingest_jobs)

    job.refresh_from_db()
    assert notes(job).count(job.waiting_reason) == 1
    settings.SPOOL_DIR.unlink()
    all_ends_well(sandbox, captions=2)


def test_the_spool_may_be_deleted_between_all_stages(sandbox, settings):
    make_collected_run(items=7)
    bundle()

    while not is_idle():
        for run in STAGES:
            shutil.rmtree(settings.SPOOL_DIR, ignore_errors=True)
            assert stage(run) == ""

    all_ends_well(sandbox, captions=7)


@pytest.mark.slow
def test_the_spool_may_be_deleted_again_and_again_while_stages_run(
    sandbox, settings, monkeypatch
):
    monkeypatch.setattr("batches.services.result_files.CHUNK_LINES", 3)
    settings.BATCH_MAX_REQUESTS = 20
    make_collected_run(items=100)
    bundle()
    over = threading.Event()
    deleted = []

    def delete() -> None:
        while not over.wait(0.003):
            deleted.append(settings.SPOOL_DIR.exists())
            shutil.rmtree(settings.SPOOL_DIR, ignore_errors=True)

    deleter = threading.Thread(target=delete)
    deleter.start()
    try:
        deadline = time.monotonic() + 60
        while not is_idle() and sum(deleted) < 250:
            assert time.monotonic() < deadline
            for run in STAGES:
                stage(run)
    finally:
        over.set()
        deleter.join()

    assert sum(deleted) > 3
    all_ends_well(sandbox, captions=100)


# --- a job that no one can work on ----------------------------------------------------


@pytest.mark.parametrize(
    ("run", "status", "changes", "said"),
    [
        (submit_jobs, JobStatus.PENDING, {"provider": "nobody"}, "No provider is"),
        (poll_jobs, JobStatus.VALIDATING, {"provider": "nobody"}, "No provider is"),
        (ingest_jobs, JobStatus.COMPLETED, {"workload": "removed"}, "removed"),
    ],
)
def test_a_job_that_is_not_understood_waits_and_keeps_nobody(
    sandbox, run, status, changes, said
):
    strange = make_job(1, status=status, **changes)
    good = make_job(2)
    while good.finished_at is None:
        for other in STAGES:
            assert (said in stage(other)) <= (other is run)
        good.refresh_from_db()

    strange.refresh_from_db()
    assert strange.status == status
    assert said in strange.waiting_reason
    assert strange.waiting_reason in notes(strange)
    assert (strange.next_poll_at or strange.not_before) > timezone.now()
    assert good.items_complete == 2


# --- a wrong certificate --------------------------------------------------------------


@contextmanager
def untrusted_server(folder: Path) -> Iterator[int]:
    """A TLS server whose certificate nobody signed but itself; its port."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up is what is tested."""

    server = Server(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate")
@pytest.mark.parametrize(
    ("provider", "advice"), [("openai", "SSL_CERT_FILE"), ("sandbox", "http://")]
)
def test_a_certificate_that_is_not_trusted_is_told_with_what_to_do(
    sandbox, settings, tmp_path, provider, advice
):
    settings.BATCH_PROVIDER = provider
    settings.OPENAI_API_KEY = "sk-test"
    name = "OPENAI_BASE_URL" if provider == "openai" else "SANDBOX_URL"
    job = make_job(2)
    with untrusted_server(tmp_path) as port:
        address = f"https://localhost:{port}/v1"
        setattr(settings, name, address)
        said = stage(submit_jobs)

    assert is_now(job, JobStatus.PENDING)
    assert job.waiting_reason == said
    assert address in said
    assert "certificate" in said
    assert advice in said
    assert job.create_sent_at is None
    nothing_is_used_up(job)
    setattr(settings, name, sandbox.url)
    all_ends_well(sandbox, captions=2)


# --- very large lines -----------------------------------------------------------------


def test_ten_megabytes_in_a_request_and_in_a_result_pass_like_any_other(sandbox):
    job = make_job(3)
    first, second, _ = item_ids(job)
    body = orjson.loads(ItemRequest.objects.get(pk=first).body)
    long = orjson.dumps({**body, "user": "x" * 10 * MEGABYTE}).decode()
    ItemRequest.objects.filter(pk=first).update(body=long)
    OpenItem.objects.filter(pk=first).update(body_bytes=len(long))
    sandbox.faults(
        oversized_lines={"custom_ids": [str(second)], "bytes": 10 * MEGABYTE}
    )

    all_ends_well(sandbox, captions=3)


# --- subjects that are gone -----------------------------------------------------------


def test_a_picture_deleted_in_flight_fails_alone_with_its_answer_kept(sandbox):
    job = completed(make_job(5))
    gone = Painting.objects.order_by("pk")[2]
    key = str(gone.pk)
    gone.delete()

    work_off()

    assert is_now(job, JobStatus.PROCESSED)
    failed = BatchItem.objects.get(status=ItemStatus.FAILED)
    attempt = ItemAttempt.objects.get(item=failed)
    assert (failed.object_id, failed.error_code) == (key, "subject_gone")
    assert f"Picture {key} was deleted" in attempt.error_message
    assert "manage.py reapply" in attempt.error_message
    assert attempt.outcome == AttemptOutcome.FAILED
    assert attempt.answer
    assert attempt.cost_nanos > 0
    assert Caption.objects.count() == job.items_complete == 4
    assert set(lines_billed(sandbox)) == {1}
    assert recount(repair=False) == []


def test_a_lesson_deleted_in_flight_fails_alone_and_leaves_no_translation(sandbox):
    course = Course.objects.create(external_id="course-1", title="Akadeemiyadda")
    lessons = [
        Lesson.objects.create(
            course=course, external_id=f"lesson-{n}", title=title, body_format="html"
        )
        for n, title in enumerate(["Dhegaysiga ilmahaaga", "Hooyada iyo ilmaha"])
    ]
    options = {"languages": ["en", "ar"], "content": ["translations_lessons.lesson"]}
    collect_run(start_run("translation", options, trigger=Trigger.COMMAND))
    (job,) = bundle()
    completed(job)
    key = str(lessons[0].pk)
    lessons[0].delete()

    work_off()

    failed = BatchItem.objects.filter(error_code="subject_gone")
    assert {item.object_id for item in failed} == {key}
    assert {item.status for item in failed} == {ItemStatus.FAILED}
    messages = ItemAttempt.objects.filter(item__in=failed)
    assert all(f"Lesson {key} was deleted" in row.error_message for row in messages)
    assert all(row.answer for row in messages)
    stored = Translation.objects.values_list("object_id", flat=True)
    assert set(stored) == {str(lessons[1].pk)}
    assert len(stored) == 2
    assert set(lines_billed(sandbox)) == {1}
    assert recount(repair=False) == []
