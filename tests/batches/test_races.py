"""Two workers at the same thing at the same time, on a database with row locks."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from batches.models import Alert, BatchItem, BatchJob, Hold, OpenItem, Run
from batches.services.bundling import bundle
from batches.services.collection import collect_run
from batches.services.holds import report_account_trouble
from batches.services.ingestion import ingest_jobs
from batches.services.polling import poll_jobs
from batches.services.recount import recount
from batches.services.submission import submit_jobs
from batches.states import JobStatus, RunStatus
from tests.factories import (
    make_collected_run,
    make_job,
    make_paintings,
    make_run,
)
from tests.gallery.models import Caption
from tests.sandbox.fixtures import wait_for

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
    wait_for(lambda: poll_jobs(now=later()) or _is(job, JobStatus.COMPLETED))
    billed = sandbox.ledger()["by_custom_id"]
    batches = {line["batch"] for key in keys for line in billed[key]}
    assert job.provider_batch_id in batches
    assert len([f for f in _input_files() if job.token in f]) == 1


def test_readers_of_one_job_apply_each_answer_once(sandbox, settings):
    make_collected_run(items=30)
    (job,) = bundle()
    submit_jobs(now=timezone.now())
    wait_for(lambda: poll_jobs(now=later()) or _is(job, JobStatus.COMPLETED))

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
        wait_for(
            lambda job=job: poll_jobs(now=later()) or _is(job, JobStatus.COMPLETED)
        )

    at_once(lambda: ingest_jobs(now=later()))
    ingest_jobs(now=later())

    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED
    assert Caption.objects.count() == 20
    assert recount(repair=False) == []


def _is(job: BatchJob, status: JobStatus) -> bool:
    return BatchJob.objects.get(pk=job.pk).status == status


def _input_files() -> list[str]:
    from batches.providers.registry import get_provider

    return [file.filename for file in get_provider("sandbox").input_files()]


def test_of_many_jobs_one_alone_probes_an_empty_account(sandbox):
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
