"""The whole pipeline under faults, steering and kills, in any order."""

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import (
    run_state_machine_as_test,
)

from batches.models import BatchItem, BatchJob, OpenItem, Run
from batches.services import steering
from batches.services.bundling import bundle
from batches.services.collection import collect_runs
from batches.services.ingestion import ingest_jobs
from batches.services.polling import poll_jobs
from batches.services.recount import recount
from batches.services.requeue import retry_run
from batches.services.submission import submit_jobs
from batches.states import RunStatus
from tests.batches.any_order import (
    DELETE_SECONDS,
    TIMEOUT_SECONDS,
    VISIBILITY_SECONDS,
    Pipeline,
    killed_at,
)
from tests.driving import work_off
from tests.factories import make_paintings, make_run
from tests.gallery.models import Caption
from tests.sandbox.fixtures import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pipeline(sandbox, settings, monkeypatch):
    """The machine, on this test's database and sandbox."""
    settings.PROVIDER_TIMEOUT_SECONDS = TIMEOUT_SECONDS
    settings.PROVIDER_VISIBILITY_SECONDS = VISIBILITY_SECONDS
    settings.PROVIDER_DELETE_SECONDS = DELETE_SECONDS
    # Chunks of two lines, so that a small job is left in the middle too.
    monkeypatch.setattr("batches.services.result_files.CHUNK_LINES", 2)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    Pipeline.sandbox, Pipeline.settings = sandbox, settings
    Pipeline.gone_pid = ended.pid
    return Pipeline


def run_examples(machine: type[Pipeline], *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=hypothesis_settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            # Over HTTP, shrinking what failed takes longer than reading it.
            phases=(Phase.generate,),
        ),
    )


def test_nothing_is_lost_or_paid_twice_whatever_happens(pipeline):
    run_examples(pipeline, examples=6, steps=15)


@pytest.mark.slow
def test_nothing_is_lost_or_paid_twice_however_long_it_goes_on(pipeline):
    run_examples(pipeline, examples=30, steps=40)


# --- what it found, each by itself ----------------------------------------------------


def results_are_ready() -> bool:
    """Whether the provider has ended all that was sent to it, asked once."""
    poll_jobs(now=timezone.now() + timedelta(hours=1))
    return not BatchJob.objects.at_provider().exists()


def sent_and_answered(**given: Any) -> Run:
    """A run over two pictures whose answers are ready and not read."""
    make_paintings("a lake", "a hill")
    run = make_run(**given)
    collect_runs()
    bundle()
    submit_jobs(now=timezone.now())
    wait_for(results_are_ready)
    return run


def test_follow_ups_of_a_cancelled_run_are_not_sent(sandbox):
    run = sent_and_answered(follow_ups=1)
    steering.cancel_run(run, by="amina")

    ingest_jobs(now=timezone.now())

    assert bundle() == []
    run.refresh_from_db()
    assert (run.status, run.unsent_cancelled) == (RunStatus.CANCELLED, 2)
    assert not OpenItem.objects.exists()
    assert recount(repair=False) == []


def test_what_a_cancelled_run_gets_back_is_not_sent_again(sandbox):
    sandbox.faults(expire_partial={"share": 0.5})
    run = sent_and_answered()
    steering.cancel_run(run, by="amina")

    ingest_jobs(now=timezone.now())

    assert bundle() == []
    run.refresh_from_db()
    assert (run.status, run.unsent_cancelled) == (RunStatus.CANCELLED, 1)
    assert recount(repair=False) == []


def test_retrying_a_cancelled_run_takes_it_up_again_and_collects_no_more(sandbox):
    sandbox.faults(all_lines_fail={"status": 400})
    run = sent_and_answered(limit=1)
    steering.cancel_run(run, by="amina")
    ingest_jobs(now=timezone.now())
    sandbox.clear_faults()
    assert Run.objects.get().status == RunStatus.CANCELLED

    retry_run(run, by="amina")
    work_off()

    assert Run.objects.get().status == RunStatus.COMPLETED
    assert Caption.objects.count() == BatchItem.objects.count() == 1
    assert recount(repair=False) == []


def test_a_follow_up_that_is_under_way_elsewhere_is_left_to_the_other_run(sandbox):
    first = sent_and_answered(follow_ups=1)
    ingest_jobs(now=timezone.now())
    steering.pause_run(first, by="amina")  # its follow-ups wait in the pool
    Caption.objects.all().delete()  # so that the same pictures are asked for again
    second = make_run(follow_ups=1, force_refresh=True)
    collect_runs()
    bundle()
    submit_jobs(now=timezone.now())
    wait_for(results_are_ready)

    ingest_jobs(now=timezone.now())

    assert not BatchJob.objects.unfinished().exists()
    second.refresh_from_db()
    assert second.status == RunStatus.COMPLETED  # it has none of its own
    steering.resume_run(first, by="amina")
    work_off()
    assert BatchItem.objects.filter(parent__isnull=False).count() == 2
    assert recount(repair=False) == []


def test_a_collector_that_dies_leaves_no_run_collecting_for_ever():
    for statement in range(60):
        run = make_run()
        with killed_at(statement):
            collect_runs()
        run.refresh_from_db()
        is_collected = run.collected_at is not None
        assert is_collected == (run.status == RunStatus.COMPLETED)
        collect_runs()

    assert is_collected  # the last one was let through to its end
