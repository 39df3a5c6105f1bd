"""A job changes hands: whoever held it before wakes up, changes nothing, and stops.

The earlier holder is a row in hand, or a real process that is stopped by a signal while
a gate before the provider, or a lock in the database, keeps it in the middle of a step.
"""

import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import time_machine
from django.apps import apps
from django.utils import timezone

from batches.errors import LostLease
from batches.models import (
    BatchItem,
    BatchJob,
    HourlyUsage,
    Installation,
    InstallationDisk,
    Run,
)
from batches.providers.registry import get_provider
from batches.services.ingestion import ingest_job, ingest_jobs
from batches.services.leases import claim, held
from batches.services.lifecycle import update_job
from batches.services.polling import poll_job, poll_jobs
from batches.services.recount import recount
from batches.services.settlement import (
    end_job,
    end_unsent,
    refuse_job,
    settle_unanswered,
)
from batches.services.submission import submit_job, submit_jobs
from batches.states import Intent, JobStatus
from tests.batches.invariants import Books, check_bills, check_results
from tests.batches.workers import (
    Worker,
    database_of_the_tests,
    engine,
    in_thread,
    row_locked,
    waiting_for_locks,
)
from tests.driving import poll_until, work_off
from tests.factories import make_job
from tests.gallery.models import Caption
from tests.sandbox.fixtures import SandboxProcess, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def later() -> datetime:
    return timezone.now() + timedelta(hours=1)


def everything() -> dict[str, list[tuple[object, ...]]]:
    """All rows of the engine and of its results, by table; leases left out."""
    found = {}
    for label in ("batches", "gallery"):
        for model in apps.get_app_config(label).get_models():
            if model in (Installation, InstallationDisk):  # what any process may note
                continue
            names = [
                field.attname
                for field in model._meta.concrete_fields
                if not field.attname.startswith("lease_")
            ]
            rows = model._default_manager.order_by("pk").values_list(*names)
            found[model._meta.label] = list(rows)
    return found


# --- a row in hand --------------------------------------------------------------------


def settle(job: BatchJob) -> None:
    settle_unanswered(job)
    end_job(job, JobStatus.PROCESSED, reason="both are read", now=timezone.now())


def refuse(job: BatchJob) -> None:
    refuse_job(job, code="model_not_found", message="There is no such model.")


STEPS: list[tuple[JobStatus, Callable[[BatchJob], object]]] = [
    (JobStatus.PENDING, submit_job),
    (JobStatus.PENDING, end_unsent),
    (JobStatus.UPLOADING, submit_job),
    (JobStatus.UPLOADING, end_unsent),
    (JobStatus.UPLOADING, refuse),
    (JobStatus.VALIDATING, poll_job),
    (JobStatus.VALIDATING, refuse),
    (JobStatus.COMPLETED, ingest_job),
    (JobStatus.COMPLETED, settle),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("status", "step"), STEPS)
def test_a_holder_whose_job_was_taken_over_changes_nothing(sandbox, status, step):
    job = at(status)
    with held(job, now=timezone.now()) as is_ours:
        assert is_ours
        other = BatchJob.objects.get(pk=job.pk)
        assert claim(other, now=later())
        before = everything()

        with pytest.raises(LostLease):
            step(job)

        assert everything() == before
    # the end of the earlier holder's block gave nothing back that is not its own
    assert BatchJob.objects.get(pk=job.pk).lease_until is not None


@pytest.mark.django_db
@pytest.mark.parametrize(("status", "step"), STEPS)
def test_a_holder_whose_job_another_ended_changes_nothing(sandbox, status, step):
    job = at(status)
    assert claim(job, now=timezone.now())
    work_off_from(later() + timedelta(hours=1))
    before = everything()

    with pytest.raises(LostLease):
        step(job)

    assert everything() == before
    assert recount(repair=False) == []


def at(status: JobStatus) -> BatchJob:
    """A job that got so far in earnest, at the sandbox."""
    job = make_job()
    if status == JobStatus.UPLOADING:
        BatchJob.objects.filter(pk=job.pk).update(status=status)
    elif status != JobStatus.PENDING:
        submit_jobs(now=timezone.now())
    if status == JobStatus.COMPLETED:
        poll_until(lambda: is_at(job, status))
    job.refresh_from_db()
    assert job.status == status
    return job


def is_at(job: BatchJob, status: JobStatus) -> bool:
    return BatchJob.objects.get(pk=job.pk).status == status


def work_off_from(now: datetime) -> None:
    """Go on with what there is until all jobs have ended."""

    def all_stages() -> bool:
        for stage in (submit_jobs, poll_jobs, ingest_jobs):
            stage(now=now)
        return not BatchJob.objects.unfinished().exists()

    wait_for(all_stages)


# --- a process that is stopped --------------------------------------------------------


class Gate:
    """A proxy before the sandbox: it keeps one request back until it is let through."""

    def __init__(self, sandbox: SandboxProcess) -> None:
        self.port = sandbox.port
        self.kept = re.compile("(?!)")
        self.caught, self.opened = threading.Event(), threading.Event()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                gate.pass_on(self)

            do_POST = do_DELETE = do_GET

            def log_message(self, *_: object) -> None:
                """Not to the terminal of the tests."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def keep(self, request: str) -> None:
        """Keep the next request whose `METHOD path` matches the whole pattern."""
        self.kept = re.compile(request)

    def pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        body = self._body(handler)
        if self.kept.fullmatch(f"{handler.command} {handler.path}"):
            self.kept = re.compile("(?!)")
            self.caught.set()
            assert self.opened.wait(60)
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as sandbox:
            headers = {
                name: value
                for name, value in handler.headers.items()
                if name.lower() not in ("host", "transfer-encoding", "content-length")
            }
            sandbox.request(handler.command, handler.path, body, headers)
            answer = sandbox.getresponse()
            content = answer.read()
            handler.send_response(answer.status)
            for name in ("content-type", "retry-after"):
                if value := answer.headers.get(name):
                    handler.send_header(name, value)
            handler.send_header("content-length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)

    def _body(self, handler: BaseHTTPRequestHandler) -> bytes:
        if "chunked" not in handler.headers.get("transfer-encoding", ""):
            return handler.rfile.read(int(handler.headers.get("content-length") or 0))
        body = b""
        while size := int(handler.rfile.readline(), 16):
            body += handler.rfile.read(size)
            handler.rfile.readline()
        handler.rfile.readline()
        return body

    def close(self) -> None:
        self.opened.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def gate(sandbox: SandboxProcess) -> Iterator[Gate]:
    with closing(Gate(sandbox)) as gate:
        yield gate


@pytest.fixture
def start_worker(gate: Gate, tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    started: list[Worker] = []

    def start() -> Worker:
        env = engine(database_of_the_tests(), gate.url, tmp_path)
        started.append(Worker("process_batches", env=env, directory=tmp_path))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()


def the_batches(sandbox: SandboxProcess) -> list:
    return Books(sandbox).batches(Installation.objects.get().public_id.hex)


def ends_with_each_answer_once(sandbox: SandboxProcess, job: BatchJob) -> None:
    """Work off what is left: each line executed once, and each answer applied once."""
    work_off()
    job.refresh_from_db()
    assert job.status == JobStatus.PROCESSED
    batches = the_batches(sandbox)
    check_bills(batches)
    check_results()
    ran = [batch.id for batch in batches if batch.lines]
    assert ran == [job.provider_batch_id]
    assert Caption.objects.count() == job.items_total
    assert recount(repair=False) == []


@pytest.mark.slow
@pytest.mark.postgres
def test_who_was_suspended_in_its_upload_takes_its_file_away(
    sandbox, gate, start_worker
):
    job = make_job()
    gate.keep("POST /v1/files")
    worker = start_worker()
    assert gate.caught.wait(60)
    worker.suspend()

    submit_jobs(now=later())
    gate.opened.set()
    worker.wake_up()

    job.refresh_from_db()
    files = get_provider("sandbox").input_files()
    assert [f.id for f in files if job.token in f.filename] == [job.input_file_id]
    ends_with_each_answer_once(sandbox, job)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize(
    "arrives", ["before the look", "after the delete", "after the new create"]
)
def test_a_create_that_was_under_way_with_a_suspended_holder_pays_nothing_twice(
    sandbox, gate, start_worker, arrives
):
    job = make_job()
    gate.keep("POST /v1/batches")
    worker = start_worker()
    assert gate.caught.wait(60)
    worker.suspend()

    def arrive(now: str) -> None:
        if now == arrives:
            gate.opened.set()
            wait_for(lambda: [b for b in the_batches(sandbox) if b.is_final])

    arrive("before the look")
    with time_machine.travel(timezone.now() + timedelta(minutes=5)) as clock:
        submit_jobs(now=later())  # looks, and where it finds nothing deletes the file
        arrive("after the delete")
        clock.shift(timedelta(minutes=3))
        submit_jobs(now=later())
        arrive("after the new create")
    worker.wake_up()

    ends_with_each_answer_once(sandbox, job)


@pytest.mark.slow
@pytest.mark.postgres
def test_who_was_suspended_between_the_two_files_applies_nothing_more(
    sandbox, gate, start_worker
):
    job = make_job(items=6)
    bad = list(BatchItem.objects.order_by("pk").values_list("pk", flat=True)[:2])
    sandbox.faults(failed_lines={"custom_ids": [str(pk) for pk in bad], "status": 400})
    submit_jobs(now=timezone.now())
    poll_until(lambda: is_at(job, JobStatus.COMPLETED))
    job.refresh_from_db()
    gate.keep(f"GET /v1/files/{job.error_file_id}/content")
    worker = start_worker()
    assert gate.caught.wait(60)
    worker.suspend()
    assert Caption.objects.count() == 4

    ingest_jobs(now=later())
    before = everything()
    gate.opened.set()
    worker.wake_up()

    assert everything() == before
    assert is_at(job, JobStatus.PROCESSED)
    check_results()
    assert recount(repair=False) == []


def test_two_who_download_the_same_file_both_have_it_whole(sandbox, tmp_path):
    job = make_job(items=2)
    sandbox.faults(oversized_lines={"rate": 1, "bytes": 600_000})
    submit_jobs(now=timezone.now())
    poll_until(lambda: is_at(job, JobStatus.COMPLETED))
    job.refresh_from_db()
    sandbox.faults(slow={"seconds": 1.0, "on": "files.content", "times": 1})
    provider = get_provider("sandbox")
    folder, sizes = tmp_path / "results", []
    folder.mkdir()
    path = folder / "file"

    def download() -> None:
        sizes.append(provider.download(job.output_file_id, path, on_block=lambda: None))

    slow = threading.Thread(target=download)  # needs no database
    slow.start()
    wait_for(lambda: any(part.stat().st_size for part in folder.glob("*.part")))
    download()
    whole = path.read_bytes()
    slow.join(20)

    assert sizes == [len(whole)] * 2
    assert path.read_bytes() == whole
    assert whole.count(b"\n") == 2
    assert list(folder.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("fate", [signal.SIGCONT, signal.SIGKILL])
def test_who_was_suspended_in_its_last_commit_ends_the_job_or_leaves_it_whole(
    sandbox, start_worker, fate
):
    job = at(JobStatus.COMPLETED)
    with row_locked(Run, job.shares.get().run_id):
        worker = start_worker()
        wait_for(lambda: waiting_for_locks() == 1)
        worker.suspend()
    other = in_thread(lambda: ingest_jobs(now=later()))
    wait_for(lambda: waiting_for_locks() == 1)

    if fate == signal.SIGKILL:
        worker.kill()
    else:
        worker.wake_up()
    other.join(60)

    assert is_at(job, JobStatus.PROCESSED)
    assert sum(HourlyUsage.objects.values_list("attempts", flat=True)) == 3
    check_results()
    assert recount(repair=False) == []


def test_an_intent_to_cancel_outlives_its_holder(sandbox):
    job = at(JobStatus.VALIDATING)
    assert claim(job, now=timezone.now())
    BatchJob.objects.filter(pk=job.pk).update(intent=Intent.CANCEL)
    with pytest.raises(LostLease):
        other = BatchJob.objects.get(pk=job.pk)
        assert claim(other, now=later())
        update_job(job, waiting_reason="")

    work_off_from(later() + timedelta(hours=1))

    assert BatchJob.objects.get(pk=job.pk).items_returned == 0
    check_results()
    assert recount(repair=False) == []
