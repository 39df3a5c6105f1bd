"""Two workers at the same thing at the same time, on a database with row locks."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from batches.models import (
    Alert,
    BatchItem,
    BatchJob,
    Hold,
    Installation,
    OpenItem,
    Run,
)
from batches.services.bundling import bundle
from batches.services.collection import collect_run
from batches.services.events import record_event
from batches.services.holds import report_account_trouble
from batches.services.ingestion import ingest_jobs
from batches.services.pipeline import is_idle
from batches.services.recount import recount
from batches.services.settlement import end_job
from batches.services.steering import cancel_run
from batches.services.submission import submit_jobs
from batches.states import EventKind, JobStatus, RunStatus
from tests.batches.invariants import Books, check_bills, check_results
from tests.batches.workers import (
    Worker,
    database_of_the_tests,
    engine,
    in_thread,
    row_locked,
    waiting_for_locks,
)
from tests.driving import poll_until
from tests.factories import (
    make_collected_run,
    make_job,
    make_paintings,
    make_run,
)
from tests.gallery.models import Caption
from tests.sandbox.fixtures import SandboxProcess, wait_for

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

WORKERS = 4


def at_once(work: Callable[[], object], workers: int = WORKERS) -> list[object]:
    """Run the same work in several threads that start together; what each returned."""
    start = threading.Barrier(workers)
    results: list[object] = []

    def run() -> None:
        try:
            start.wait(10)
            results.append(work())
        except Exception as err:  # the test looks at what came back
            results.append(err)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == workers
    assert not [result for result in results if isinstance(result, Exception)], results
    return results


def later():
    return timezone.now() + timedelta(hours=1)


def test_bundlers_never_take_the_same_items(settings):
    settings.BATCH_MAX_REQUESTS = 3
    make_collected_run(items=20)

    at_once(bundle)

    assert sum(job.items_total for job in BatchJob.objects.all()) == 20
    assert OpenItem.objects.filter(job__isnull=True).count() == 0
    assert recount(repair=False) == []


def test_collectors_of_one_run_make_each_item_once(monkeypatch):
    monkeypatch.setattr("batches.services.collection.PAGE_SUBJECTS", 5)
    make_paintings(*[str(n) for n in range(40)])
    run = make_run()

    at_once(lambda: collect_run(Run.objects.get(pk=run.pk)))

    run.refresh_from_db()
    assert run.items_collected == BatchItem.objects.count() == 40
    assert run.collected_at is not None


def test_runs_that_want_the_same_work_share_it(monkeypatch):
    monkeypatch.setattr("batches.services.collection.PAGE_SUBJECTS", 5)
    make_paintings(*[str(n) for n in range(40)])
    runs = iter([make_run() for _ in range(WORKERS)])
    lock = threading.Lock()

    def collect() -> int:
        with lock:
            run = next(runs)
        return collect_run(run)

    at_once(collect)

    assert BatchItem.objects.count() == 40
    assert sum(run.items_collected for run in Run.objects.all()) == 40
    assert recount(repair=False) == []


def test_submitters_pay_for_a_job_once(sandbox):
    make_collected_run(items=3)
    (job,) = bundle()

    at_once(lambda: submit_jobs(now=timezone.now()))

    job.refresh_from_db()
    assert job.status == JobStatus.VALIDATING
    billed = sandbox.ledger()["by_custom_id"]
    keys = [str(key) for key in BatchItem.objects.values_list("pk", flat=True)]
    poll_until(lambda: _is(job, JobStatus.COMPLETED))
    billed = sandbox.ledger()["by_custom_id"]
    batches = {line["batch"] for key in keys for line in billed[key]}
    assert job.provider_batch_id in batches
    assert len([f for f in _input_files() if job.token in f]) == 1


def test_readers_of_one_job_apply_each_answer_once(sandbox, settings):
    make_collected_run(items=30)
    (job,) = bundle()
    submit_jobs(now=timezone.now())
    poll_until(lambda: _is(job, JobStatus.COMPLETED))

    at_once(lambda: ingest_jobs(now=later()))

    assert Caption.objects.count() == 30
    assert _is(job, JobStatus.PROCESSED)
    assert recount(repair=False) == []


def test_jobs_of_one_run_that_end_together_leave_it_done(sandbox, settings):
    settings.BATCH_MAX_REQUESTS = 5
    run = make_collected_run(items=20)
    jobs = bundle()
    submit_jobs(now=timezone.now())
    for job in jobs:
        poll_until(lambda job=job: _is(job, JobStatus.COMPLETED))

    at_once(lambda: ingest_jobs(now=later()))
    ingest_jobs(now=later())

    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED
    assert Caption.objects.count() == 20
    assert recount(repair=False) == []


# --- whole processes ------------------------------------------------------------------


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Worker]]:
    """Start a command in a data directory of its own: `start("a", "qcluster", env)`."""
    started: list[Worker] = []

    def begin(name: str, *command: str, **given: str) -> Worker:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        env = engine(
            given.pop("database_url"), given.pop("sandbox_url"), folder, **given
        )
        started.append(Worker(*command, env=env, directory=folder))
        return started[-1]

    yield begin
    for worker in started:
        worker.kill()


def each_answer_came_once(sandbox: SandboxProcess, *, items: int) -> None:
    batches = Books(sandbox).batches(Installation.objects.get().public_id.hex)
    check_bills(batches)
    check_results()
    executed = Counter(line.custom_id for batch in batches for line in batch.lines)
    keys = BatchItem.objects.values_list("pk", flat=True)
    assert executed == Counter(str(key) for key in keys)
    assert Caption.objects.count() == items
    assert not OpenItem.objects.exists()
    assert recount(repair=False) == []


@pytest.mark.slow
def test_two_processes_at_the_same_jobs_share_the_work(sandbox, start):
    run = make_collected_run(items=40, follow_ups=1)
    given = {
        "database_url": database_of_the_tests(),
        "sandbox_url": sandbox.url,
        "BATCH_MAX_REQUESTS": "3",
    }

    workers = [start(name, "process_batches", "--until-done", **given) for name in "ab"]
    for worker in workers:
        worker.finish(seconds=120)

    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED
    each_answer_came_once(sandbox, items=80)


@pytest.mark.slow
def test_two_clusters_at_the_same_jobs_share_the_work(sandbox, start):
    given = {
        "database_url": database_of_the_tests(),
        "sandbox_url": sandbox.url,
        "BATCH_MAX_REQUESTS": "5",
    }
    clusters = [start(name, "qcluster", **given) for name in "ab"]
    make_paintings(*[f"a hill {n}" for n in range(30)])

    runs = [make_run(limit=10), make_run(follow_ups=1), make_run()]

    wait_for(is_idle, seconds=120)
    for cluster in clusters:
        cluster.process.terminate()
        cluster.finish()
    assert {Run.objects.get(pk=run.pk).status for run in runs} == {RunStatus.COMPLETED}
    follow_ups = BatchItem.objects.filter(parent__isnull=False).count()
    each_answer_came_once(sandbox, items=30 + follow_ups)


CONTENT = """
from tests.factories import make_paintings, make_run
make_paintings(*[f"a lake {n}" for n in range(12)])
make_run(follow_ups=1)
"""
RESULTS = """
import json
from batches.models import BatchItem, BatchJob, Installation
from tests.gallery.models import Caption
print(json.dumps({
    "installation": Installation.objects.get().public_id.hex,
    "batches": sorted(BatchJob.objects.values_list("provider_batch_id", flat=True)),
    "items": sorted(BatchItem.objects.values_list("pk", flat=True)),
    "results": sorted(Caption.objects.values_list("item_id", flat=True)),
}))
"""
# So short that a lost answer is looked for while the test waits.
IMPATIENT = {
    "BATCH_MAX_REQUESTS": "4",
    "PROVIDER_TIMEOUT_SECONDS": "3",
    "PROVIDER_VISIBILITY_SECONDS": "1",
    "PROVIDER_DELETE_SECONDS": "1",
}


@pytest.mark.slow
@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_two_installations_of_one_account_leave_each_other_alone(
    sandbox, start, tmp_path
):
    """Their items have the same keys; some creates are lost, so that both must look."""
    make_collected_run(items=12, follow_ups=1)
    elsewhere = {
        "database_url": f"sqlite:///{tmp_path / 'other.sqlite3'}",
        "sandbox_url": sandbox.url,
        **IMPATIENT,
    }
    start("other", "migrate", "--run-syncdb", "-v0", **elsewhere).finish()
    start("other", "shell", "--verbosity=0", "--command", CONTENT, **elsewhere).finish()
    here = {**elsewhere, "database_url": database_of_the_tests()}
    sandbox.faults(lost_create_answer=2, reset={"on": ["batches.create"], "times": 2})

    workers = [
        start("here", "process_batches", "--until-done", **here),
        start("other", "process_batches", "--until-done", **elsewhere),
    ]
    for worker in workers:
        worker.finish(seconds=120)

    each_answer_came_once(sandbox, items=24)
    shell = start("asked", "shell", "--verbosity=0", "--command", RESULTS, **elsewhere)
    theirs = json.loads(shell.finish())
    check = start("check", "recount", "--check", "--json", **elsewhere)
    assert json.loads(check.finish()) == {"differences": []}
    assert theirs["results"] == theirs["items"]
    ours = BatchJob.objects.values_list("provider_batch_id", flat=True)
    assert set(theirs["batches"]).isdisjoint(ours)
    assert set(theirs["items"]) == set(BatchItem.objects.values_list("pk", flat=True))
    executed = Counter(
        line.custom_id
        for batch in Books(sandbox).batches(theirs["installation"])
        for line in batch.lines
    )
    assert executed == Counter(str(key) for key in theirs["items"])


def test_what_comes_back_while_its_run_is_cancelled_is_not_lost(sandbox, settings):
    sandbox.faults(expire_partial={"share": 0})
    settings.BATCH_MAX_REQUESTS = 2
    run = make_collected_run(items=2)
    bundle()
    submit_jobs(now=timezone.now())
    (job,) = BatchJob.objects.all()
    poll_until(lambda: _is(job, JobStatus.COMPLETED))
    make_paintings("the one that waits")
    Run.objects.filter(pk=run.pk).update(collected_at=None)
    collect_run(Run.objects.get(pk=run.pk))
    (waiting,) = OpenItem.objects.filter(job__isnull=True)

    with row_locked(BatchItem, waiting.pk):
        cancelling = in_thread(lambda: cancel_run(run, by="amina"))
        wait_for(lambda: waiting_for_locks() == 1)
        reading = in_thread(lambda: ingest_jobs(now=later()))
        wait_for(lambda: BatchItem.objects.filter(job__isnull=True).count() == 3)
    for thread in (cancelling, reading):
        thread.join(30)
    bundle()

    run.refresh_from_db()
    assert recount(repair=False) == []
    assert (run.status, run.unsent_cancelled) == (RunStatus.CANCELLED, 3)


def _is(job: BatchJob, status: JobStatus) -> bool:
    return BatchJob.objects.get(pk=job.pk).status == status


def _input_files() -> list[str]:
    from batches.providers.registry import get_provider

    return [file.filename for file in get_provider("sandbox").input_files()]


def test_of_many_jobs_one_alone_probes_an_empty_account(sandbox, settings):
    settings.BATCH_MAX_JOBS_PER_WORKLOAD = f"*={WORKERS}"
    jobs = [make_job(1) for _ in range(WORKERS)]
    report_account_trouble("sandbox", "The account is empty.")
    Hold.objects.update(probe_at=timezone.now())

    sent = at_once(lambda: submit_jobs(now=later()))

    assert sum(sent) == 1
    statuses = [BatchJob.objects.get(pk=job.pk).status for job in jobs]
    assert sorted(statuses) == [JobStatus.PENDING] * 3 + [JobStatus.VALIDATING]
    assert Hold.objects.get().probes == 1


def test_trouble_that_many_meet_at_once_is_one_hold_and_one_alert():
    at_once(lambda: report_account_trouble("openai", "The account is empty."))

    assert Hold.objects.count() == Alert.objects.count() == 1


def test_events_of_a_run_are_committed_in_the_order_of_their_ids():
    job = make_job(status=JobStatus.COMPLETED, provider_status="completed")
    OpenItem.objects.all().delete()
    run = Run.objects.get()

    with transaction.atomic():
        Run.objects.select_for_update(no_key=True).get(pk=run.pk)
        ending = in_thread(
            lambda: end_job(
                job, JobStatus.PROCESSED, reason="both are read", now=timezone.now()
            )
        )
        wait_for(lambda: waiting_for_locks() == 1)
        record_event(EventKind.RUN_WAITS, now=timezone.now(), run=run)
    ending.join(30)

    mine = run.events.get(kind=EventKind.RUN_WAITS)
    theirs = run.events.get(kind=EventKind.RUN_PROGRESS)
    assert mine.pk < theirs.pk
