"""Bad hours and bad input, by real trouble: what waits says why, the rest goes on, and
when the trouble is over all ends well, with each line billed once."""

import http.server
import json
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import psycopg
import pytest
import time_machine
from django.db import DatabaseError, connection
from django.utils import timezone

from batches.errors import BatchError, LostLease, MachineTrouble
from batches.models import (
    BatchItem,
    BatchJob,
    Event,
    ItemAttempt,
    ItemRequest,
    OpenItem,
)
from batches.providers.registry import get_provider
from batches.services import submission
from batches.services.bundling import bundle
from batches.services.collection import collect_run, start_run
from batches.services.ingestion import ingest_jobs
from batches.services.leases import claim, held
from batches.services.pipeline import is_idle
from batches.services.polling import poll_jobs
from batches.services.reconciliation import clean_up
from batches.services.recount import recount
from batches.services.spool import job_dir
from batches.services.submission import submit_jobs
from batches.states import AttemptOutcome, ItemStatus, JobStatus, Trigger
from tests.databases import find_postgres, new_database
from tests.driving import work_off
from tests.factories import item_ids, make_collected_run, make_job
from tests.gallery.models import Caption, Painting
from tests.sandbox.fixtures import SandboxProcess, wait_for
from tests.trouble import full_disk, line_to, read_only
from translations.lessons.models import Course, Lesson
from translations.models import Translation

pytestmark = pytest.mark.django_db

MEGABYTE = 1024 * 1024
STAGES = (submit_jobs, poll_jobs, ingest_jobs, clean_up)


def later():
    return timezone.now() + timedelta(hours=1)


def stage(run: Callable[..., int]) -> str:
    """One pass of a stage an hour later; what it had to say."""
    try:
        run(now=later())
    except BatchError as err:
        return str(err)
    return ""


def is_now(job: BatchJob, status: JobStatus) -> bool:
    job.refresh_from_db()
    return job.status == status


def completed(job: BatchJob) -> BatchJob:
    """Send a job and wait until its results are there."""
    submit_jobs(now=later())

    def has_results() -> bool:
        poll_jobs(now=later())
        return is_now(job, JobStatus.COMPLETED)

    wait_for(has_results)
    return job


def notes(job: BatchJob) -> list[str]:
    return list(Event.objects.filter(job=job).values_list("message", flat=True))


def lines_billed(sandbox: SandboxProcess) -> list[int]:
    """How often the provider billed each item of this test that it ever ran."""
    billed = sandbox.ledger()["by_custom_id"]
    batches = {
        batch.id
        for token in BatchJob.objects.values_list("token", flat=True)
        for batch in get_provider("sandbox").batches_since(0)
        if batch.metadata.get("token") == token
    }
    return [
        sum(line["batch"] in batches for line in billed.get(str(key), []))
        for key in BatchItem.objects.values_list("pk", flat=True)
    ]


def all_ends_well(sandbox: SandboxProcess, captions: int) -> None:
    work_off(seconds=60)
    assert set(BatchItem.objects.values_list("status", flat=True)) == {
        ItemStatus.COMPLETE
    }
    assert Caption.objects.count() == captions == BatchItem.objects.count()
    assert set(lines_billed(sandbox)) == {1}
    assert recount(repair=False) == []


def nothing_is_used_up(job: BatchJob) -> None:
    assert ItemAttempt.objects.filter(job=job).count() == 0
    assert set(job.items.values_list("status", flat=True)) == {ItemStatus.IN_JOB}
    assert recount(repair=False) == []


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
        deadline = time.monotonic() + 4
        while not is_idle() and time.monotonic() < deadline:
            for run in STAGES:
                stage(run)
    finally:
        over.set()
        deleter.join()

    assert sum(deleted) > 3
    all_ends_well(sandbox, captions=100)


# --- the database ---------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_database_whose_disk_is_full_delays_the_job_and_loses_nothing(
    sandbox, settings
):
    settings.BATCH_MAX_ATTEMPTS = 1
    if connection.vendor != "sqlite":
        pytest.skip("the bound on a database's pages is SQLite's")
    sandbox.faults(non_json_answers={"rate": 1.0})  # their lines are stored whole
    job = completed(make_job(200))

    with connection.cursor() as cursor:
        pages = cursor.execute("PRAGMA page_count").fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {pages}")
        said = stage(ingest_jobs)
        cursor.execute("PRAGMA max_page_count = 1000000000")

    assert "database or disk is full" in said
    assert is_now(job, JobStatus.COMPLETED)
    nothing_is_used_up(job)
    work_off()
    assert job.items.filter(status=ItemStatus.FAILED).count() == 200
    assert set(lines_billed(sandbox)) == {1}
    assert recount(repair=False) == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_is_ended_while_results_come_costs_nothing(sandbox):
    job = completed(make_job(3))
    sandbox.faults(slow={"seconds": 2, "on": ["files.content"], "times": 1})
    said = []

    def read() -> None:
        try:
            said.append(stage(ingest_jobs))
        except DatabaseError as err:
            said.append(f"escaped: {err}")
        finally:
            connection.close()

    reader = threading.Thread(target=read)
    reader.start()
    wait_for(lambda: list(job_dir(job).glob("*.part")))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    reader.join(30)

    (told,) = said
    assert told.startswith("The database did not do what it was asked")
    assert is_now(job, JobStatus.COMPLETED)
    assert job.waiting_reason == told[:500]
    assert told[:500] in notes(job)
    nothing_is_used_up(job)
    all_ends_well(sandbox, captions=3)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_database_that_stays_away_ends_the_stage_in_words(sandbox, settings):
    """The row cannot be written either; its lease ends by itself."""
    job = completed(make_job(3))
    sandbox.faults(slow={"seconds": 2, "on": ["files.content"], "times": 1})
    server = connection.settings_dict
    said: list[object] = []

    with line_to(server["HOST"] or "127.0.0.1", int(server["PORT"] or 5432)) as line:

        def read() -> None:
            connection.settings_dict = {
                **server,
                "HOST": "127.0.0.1",
                "PORT": line.port,
            }
            try:
                ingest_jobs(now=later())
            except Exception as err:
                said.append(err)
            finally:
                connection.close()

        reader = threading.Thread(target=read)
        reader.start()
        wait_for(lambda: list(job_dir(job).glob("*.part")))
        line.cut()
        reader.join(30)

    (err,) = said
    assert isinstance(err, MachineTrouble)
    assert "The database did not do" in str(err)
    nothing_is_used_up(job)
    assert BatchJob.objects.get(pk=job.pk).lease_until is not None
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        all_ends_well(sandbox, captions=3)


@pytest.mark.slow
def test_a_worker_goes_on_when_its_database_was_away_for_ten_seconds(tmp_path):
    from tests.test_up import LESSONS, Up

    with new_database(find_postgres()) as url:
        direct = urlsplit(url)
        with line_to(direct.hostname, direct.port or 5432) as line:
            through = url.replace(
                f"{direct.hostname}:{direct.port}", f"127.0.0.1:{line.port}"
            )
            assert str(line.port) in through
            up = Up(tmp_path, through)
            try:
                up.manage("import_content", "lessons", str(LESSONS))
                for language, begun in (("ar", IS_COLLECTED), ("fr", IS_SENT)):
                    has_more = counting_from_now(begun, url)
                    up.ask_for_work(language)
                    wait_for(has_more, seconds=60)
                    line.cut()
                    time.sleep(10)  # which is how long it is away
                    line.mend()
                    wait_for(lambda: is_done(url), seconds=120)
                assert json.loads(up.manage("recount", "--check", "--json")) == {
                    "differences": []
                }
                ledger = ledger_of(up.env["SANDBOX_URL"])
            finally:
                up.end()

        with psycopg.connect(url) as database:
            found = database.execute(
                "SELECT id, status, parent_id IS NULL FROM batches_batchitem"
            ).fetchall()
    items = {key: status for key, status, _ in found}
    assert set(items.values()) == {ItemStatus.COMPLETE.value}
    assert sum(is_first for *_, is_first in found) == 72  # the others are repairs
    billed = {key: len(ledger["by_custom_id"].get(str(key), [])) for key in items}
    assert set(billed.values()) == {1}


IS_COLLECTED = "SELECT COUNT(*) FROM batches_batchitem"
IS_SENT = "SELECT COUNT(*) FROM batches_batchjob WHERE provider_batch_id <> ''"


def count(query: str, url: str) -> int:
    """What a query counts, asked past the line."""
    with psycopg.connect(url) as database:
        (rows,) = database.execute(query).fetchone() or (0,)
        return int(rows)


def counting_from_now(query: str, url: str) -> Callable[[], bool]:
    before = count(query, url)
    return lambda: count(query, url) > before


def is_done(url: str) -> bool:
    unfinished = (
        "SELECT COUNT(*) FROM batches_run "
        "WHERE status NOT IN ('completed', 'failed', 'cancelled')"
    )
    return count(unfinished, url) == 0


def ledger_of(address: str) -> dict:
    import urllib.request

    with urllib.request.urlopen(  # noqa: S310
        address.removesuffix("/v1") + "/_sandbox/ledger", timeout=30
    ) as answer:
        return dict(json.load(answer))


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


# --- the clock ------------------------------------------------------------------------

JUMPS = [timedelta(hours=1), timedelta(days=1), timedelta(days=4_000)]


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_jumps_ahead_and_back_sends_once_and_holds_up_nothing(
    sandbox, jump
):
    make_collected_run(items=3)
    bundle()

    def pass_over(shift: timedelta) -> None:
        with time_machine.travel(timezone.now() + shift):
            for run in STAGES:
                run(now=timezone.now())

    for shift in (timedelta(), jump, -jump, jump):
        pass_over(shift)
    # Back in its time, and no more than an hour and a bit goes by.
    deadline = time.monotonic() + 20
    while not is_idle():
        pass_over(timedelta(minutes=65))
        assert time.monotonic() < deadline

    all_ends_well(sandbox, captions=3)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_lease_of_a_clock_that_went_back_holds_up_nothing(sandbox, jump):
    job = make_job(2)
    BatchJob.objects.filter(pk=job.pk).update(
        lease_owner="elsewhere:1:1",
        lease_until=timezone.now() + jump + timedelta(seconds=60),
        lease_epoch=1,
    )

    submit_jobs(now=timezone.now())

    assert is_now(job, JobStatus.VALIDATING)
    all_ends_well(sandbox, captions=2)


@pytest.mark.parametrize("jump", [*JUMPS, *(-jump for jump in JUMPS)])
@pytest.mark.slow
def test_no_clock_lets_two_of_them_send(sandbox, jump):
    """One holds the job under its own clock; another's clock says that the lease ended
    long ago, or that it never could have been written. Both go on to the end."""
    job = make_job(2)
    slow = BatchJob.objects.get(pk=job.pk)
    assert claim(slow, now=timezone.now())
    submission.move_job(slow, JobStatus.UPLOADING)
    submission._upload(slow, get_provider("sandbox"))

    with time_machine.travel(timezone.now() + jump):
        quick = BatchJob.objects.get(pk=job.pk)
        with held(quick, now=timezone.now()) as is_ours:
            if is_ours:
                submission.submit_job(quick)
    if is_ours:
        with pytest.raises(LostLease):
            submission._create(slow, get_provider("sandbox"))
    else:
        submission._create(slow, get_provider("sandbox"))

    ours = [
        batch
        for batch in get_provider("sandbox").batches_since(0)
        if batch.metadata.get("token") == job.token
    ]
    assert len(ours) == 1
    BatchJob.objects.update(lease_until=None)
    all_ends_well(sandbox, captions=2)


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
