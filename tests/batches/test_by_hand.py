"""What screens ask of the services before and while a person steers."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches.errors import BadOptions, NotPossible
from batches.models import BatchItem, BatchJob, OpenItem, Run
from batches.monitoring.now import now_figures
from batches.querysets import RunQuerySet
from batches.services import collection, requeue
from batches.services.collection import plan_run, start_run_once
from batches.services.effects import cancel_effect, job_effect, waiting_effect
from batches.services.requeue import (
    failed_of_job,
    failed_of_run,
    requeue_effect,
    retry_job,
    retry_run,
)
from batches.services.steering import (
    pause_run,
    possible_for_job,
    possible_for_run,
)
from batches.states import ItemStatus, JobStatus, Trigger
from tests.factories import make_collected_run, make_job, make_paintings, make_run

pytestmark = pytest.mark.django_db


def fail_all(job: BatchJob) -> BatchJob:
    """End a job with every item failed, as ingestion would have left it."""
    items = OpenItem.objects.filter(job=job)
    count = items.count()
    BatchItem.objects.filter(pk__in=items.values("item_id")).update(
        status=ItemStatus.FAILED, finished_at=timezone.now(), error_code="x"
    )
    items.delete()
    job.shares.update(failed=F("sent"))
    BatchJob.objects.filter(pk=job.pk).update(
        status=JobStatus.PROCESSED, finished_at=timezone.now(), items_failed=count
    )
    job.refresh_from_db()
    return job


# --- one form, one run ----------------------------------------------------------------


def test_a_key_starts_one_run_however_often_it_is_sent():
    owner = User.objects.create_user("amina")
    given = {"idempotency_key": "form-1", "owner": owner, "trigger": Trigger.ADMIN}

    first = start_run_once("captions", {}, **given)
    second = start_run_once("captions", {}, **given)

    assert (first[1], second[1]) == (True, False)
    assert first[0] == second[0] == Run.objects.get()


def test_a_key_that_another_process_used_meanwhile_gives_its_run(monkeypatch):
    owner = User.objects.create_user("amina")
    given = {"idempotency_key": "form-1", "owner": owner, "trigger": Trigger.ADMIN}
    there = make_run(owner=owner, idempotency_key="form-1")
    looks = iter([None, there])
    monkeypatch.setattr(RunQuerySet, "first", lambda runs: next(looks))

    assert start_run_once("captions", {}, **given) == (there, False)


def test_options_that_cannot_be_start_nothing():
    with pytest.raises(BadOptions):
        start_run_once(
            "captions",
            {"kind": "statue"},
            idempotency_key="form-1",
            owner=None,
            trigger=Trigger.ADMIN,
        )

    assert not Run.objects.exists()


def test_a_plan_stops_when_its_time_is_over_and_says_where(monkeypatch):
    monkeypatch.setattr(collection, "PAGE_SUBJECTS", 2)
    paintings = make_paintings("a", "b", "c", "d", "e")

    part = plan_run("captions", {}, seconds=0)
    whole = plan_run("captions", {}, seconds=60)

    assert (part.subjects, part.cursor) == (2, str(paintings[1].pk))
    assert (whole.subjects, whole.cursor) == (5, None)


# --- effects --------------------------------------------------------------------------


def test_the_effect_on_several_rows_is_the_sum_of_each():
    first, second = make_collected_run(items=1), make_collected_run(items=2)

    both = waiting_effect(first, second)

    assert both.items == 3
    assert both.nanos == waiting_effect(first).nanos + waiting_effect(second).nanos
    assert cancel_effect(first, second) == both


def test_the_effect_on_many_rows_is_one_query(django_assert_num_queries):
    runs = [make_run() for _ in range(20)]

    with django_assert_num_queries(1):
        assert waiting_effect(*runs).items == 0


def test_the_effect_on_no_row_is_nothing():
    for effect in (waiting_effect(), cancel_effect(), job_effect()):
        assert (effect.items, effect.nanos) == (0, 0)


def test_the_effect_of_a_retry_is_what_it_cost_before():
    job = make_job(items=3)
    before = job_effect(job)
    fail_all(job)

    assert requeue_effect(failed_of_job(job)) == before
    assert requeue_effect(failed_of_run(job.shares.get().run)) == before


def test_of_very_many_failed_items_the_first_are_priced(monkeypatch):
    monkeypatch.setattr(requeue, "PRICED", 2)
    job = make_job(items=3)
    before = job_effect(job)
    fail_all(job)

    rough = requeue_effect(failed_of_job(job))

    assert rough.items == 3
    assert rough.nanos == pytest.approx(before.nanos, rel=0.05)


def test_what_cannot_go_out_again_has_no_effect():
    job = make_job(items=1)
    items = BatchItem.objects.filter(job=job)
    OpenItem.objects.filter(job=job).delete()
    items.update(status=ItemStatus.FAILED, finished_at=timezone.now())

    # its job is not finished
    assert requeue_effect(failed_of_job(job)).items == 0


# --- retry ----------------------------------------------------------------------------


def test_retrying_a_run_sends_its_failed_items_out_again():
    job = fail_all(make_job(items=2))
    run = job.shares.get().run

    assert retry_run(run, by="amina").requeued == 2
    with pytest.raises(NotPossible, match=f"Run {run.pk} has no failed items"):
        retry_run(run, by="amina")


def test_retrying_a_job_whose_items_cannot_go_says_why():
    job = make_job(items=1)
    OpenItem.objects.filter(job=job).delete()
    BatchItem.objects.filter(job=job).update(
        status=ItemStatus.FAILED, finished_at=timezone.now()
    )

    with pytest.raises(NotPossible, match="their job is not finished"):
        retry_job(job, by="amina")


# --- what is possible -----------------------------------------------------------------


@pytest.mark.parametrize("status", JobStatus)
def test_a_job_refuses_no_act_that_is_possible(status):
    job = make_job(items=1, status=status)

    possible = possible_for_job(job)

    assert ("submit" in possible) == (
        status in (JobStatus.PENDING, JobStatus.UPLOADING)
    )
    assert ("process_results" in possible) == (status == JobStatus.COMPLETED)
    assert ("cancel" in possible) == (
        job.finished_at is None and status != JobStatus.COMPLETED
    )


def test_a_run_can_be_paused_or_resumed():
    run = make_collected_run(items=1)

    always = {"recall", "cancel", "set_priority"}
    assert possible_for_run(run, failed=0) == {"pause", *always}
    pause_run(run, by="amina")
    assert possible_for_run(run, failed=1) == {"resume", "retry", *always}


def test_a_run_that_is_being_cancelled_can_only_be_cancelled():
    run = make_collected_run(items=1)
    run.cancelled_at = timezone.now()

    assert possible_for_run(run, failed=1) == {"cancel"}


# --- now ------------------------------------------------------------------------------


def test_now_counts_what_is_unfinished_in_two_queries():
    fail_all(make_job(items=2))
    make_job(items=1, status=JobStatus.COMPLETED)

    with CaptureQueriesContext(connection) as captured:
        now = now_figures(timezone.now())

    assert len(captured) == 2
    assert (now.to_send, now.at_provider, now.to_read) == (0, 0, 1)
    assert now.jobs == 1
    assert now.failed_lately == 2
