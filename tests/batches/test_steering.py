"""Runs and jobs steered by hand: paused, put first, recalled, resumed, sent again."""

from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from batches.errors import MachineTrouble, NotPossible
from batches.models import (
    AuditEntry,
    BatchJob,
    Event,
    Hold,
    OpenItem,
)
from batches.services.bundling import bundle
from batches.services.by_hand import check_now, process_now, submit_now
from batches.services.effects import (
    Effect,
    cancel_effect,
    job_effect,
    outlook_of_jobs,
    outlook_of_runs,
    waiting_effect,
)
from batches.services.failures import MOST_RETURNS
from batches.services.pipeline import only_held_work_is_left
from batches.services.recount import recount
from batches.services.requeue import failed_of_job, failed_of_run, requeue
from batches.services.scopes import (
    Scope,
    hold_work,
    lift,
    recall_held,
    steer,
)
from batches.services.steering import (
    cancel_run,
    pause_job,
    pause_run,
    recall_run,
    resume_job,
    resume_run,
    set_priority,
)
from batches.services.submission import submit_jobs
from batches.states import (
    EventKind,
    HoldScope,
    Intent,
    JobStatus,
    Priority,
    RunStatus,
)
from tests.driving import work_off
from tests.factories import make_collected_run, make_job, make_paintings
from tests.gallery.models import Caption, Painting

pytestmark = pytest.mark.django_db


def test_a_paused_run_keeps_its_items_and_a_resumed_one_lets_them_go():
    run = make_collected_run(items=2)

    pause_run(run, by="amina")
    assert bundle() == []
    resume_run(run, by="amina")
    assert len(bundle()) == 1

    acts = AuditEntry.objects.order_by("pk").values_list("action", "actor")
    assert list(acts) == [("run.pause", "amina"), ("run.resume", "amina")]


def test_pausing_twice_is_one_act():
    run = make_collected_run(items=1)
    pause_run(run, by="amina")
    pause_run(run, by="amina")

    assert AuditEntry.objects.count() == 1


def test_priority_reorders_what_waits(settings):
    settings.BATCH_MAX_REQUESTS = 2
    make_collected_run(items=2)
    second = make_collected_run(items=2)

    set_priority(second, Priority.HIGH, by="amina")

    first_job, _ = bundle()
    assert first_job.shares.get().run == second


def test_an_effect_is_what_waits_and_the_most_it_may_cost():
    run = make_collected_run(items=3)

    effect = waiting_effect(run)

    assert (effect.items, effect.nanos) == (3, run.estimate_nanos)
    assert cancel_effect(run) == effect
    (job,) = bundle()
    assert waiting_effect(run).items == 0
    assert job_effect(job) == effect


def test_a_person_may_recall_more_often_than_an_item_may_come_back(sandbox):
    sandbox.faults(never_ending=True)
    run = make_collected_run(items=1)
    for _ in range(MOST_RETURNS + 1):
        (job,) = bundle()
        recall_run(run, by="amina")
        job.refresh_from_db()
        assert (job.status, job.items_returned) == (JobStatus.CANCELLED, 1)
        resume_run(run, by="amina")

    waiting = OpenItem.objects.get()
    assert (waiting.returns, waiting.tries) == (0, 0)
    sandbox.clear_faults()
    work_off()
    assert Caption.objects.count() == 1


def test_the_effect_of_a_recall_tells_what_is_answered_and_what_may_be_saved(sandbox):
    run = make_collected_run(items=2)
    make_collected_run(items=2)
    (shared,) = bundle()
    submit_now(shared, by="amina")
    Painting.objects.all().delete()
    alone = make_job(4)
    mine = alone.shares.get().run
    submit_now(alone, by="amina")
    BatchJob.objects.filter(pk=alone.pk).update(provider_completed=1)
    waiting = make_collected_run(items=1)

    found = outlook_of_runs(mine, run, waiting)

    each = waiting_effect(waiting)
    assert (found.unsent, found.answered) == (each, 1)
    assert found.in_flight == Effect(3, 3 * each.nanos, 3 * each.tokens)
    assert found.beyond == Effect(2, 2 * each.nanos, 2 * each.tokens)
    assert outlook_of_runs(run).beyond.items == 2
    assert outlook_of_jobs(alone).in_flight == found.in_flight


def test_the_most_that_a_recall_saves_is_the_dearest_of_what_is_not_answered():
    job = make_job(2, status=JobStatus.IN_PROGRESS, provider_completed=1)
    dear = OpenItem.objects.order_by("pk").first()
    OpenItem.objects.filter(pk=dear.pk).update(output_limit=10_000)

    found = outlook_of_jobs(job)

    assert found.in_flight.items == 1
    assert found.in_flight.nanos > 10_000 * 100


def test_sending_by_hand_with_a_full_disk_is_an_error_in_words(sandbox, settings):
    job = make_job(1)
    settings.SPOOL_DIR = Path("/dev/full/spool")

    with pytest.raises(MachineTrouble, match="The disk did not do"):
        submit_now(job, by="amina")

    job.refresh_from_db()
    assert job.status == JobStatus.PENDING
    assert "SPOOL_DIR" in job.waiting_reason


def test_a_paused_job_waits_and_says_so(sandbox):
    job = make_job(1)

    pause_job(job, by="amina")
    submit_jobs(now=timezone.now())

    job.refresh_from_db()
    assert (job.status, job.create_sent_at) == (JobStatus.PENDING, None)
    assert "paused by hand" in job.waiting_reason
    assert only_held_work_is_left()
    with pytest.raises(NotPossible, match="resume it first"):
        submit_now(job, by="amina")
    resume_job(job, by="amina")
    work_off()
    assert Caption.objects.count() == 1


def test_who_stops_a_job_just_before_its_create_wins(sandbox):
    job = make_job(1)
    run = job.shares.get().run
    looks = BatchJob.objects.filter(pk=job.pk, input_file_id__gt="", intent="")

    def stop_before_the_last_look_at_holds(execute, sql, *given):
        if f'FROM "{Hold._meta.db_table}"' in sql and looks.exists():
            recall_run(run, by="amina")
        return execute(sql, *given)

    with connection.execute_wrapper(stop_before_the_last_look_at_holds):
        submit_jobs(now=timezone.now())

    job.refresh_from_db()
    assert (job.status, job.create_sent_at) == (JobStatus.UPLOADING, None)
    assert job.intent == Intent.RECALL
    submit_jobs(now=timezone.now())
    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED
    assert OpenItem.objects.get().job is None
    assert only_held_work_is_left()


# --- a workload, an account, everything -----------------------------------------------


def test_a_workload_is_recalled_under_a_hold_and_resumed(sandbox):
    sandbox.faults(never_ending=True)
    run = make_collected_run(items=2)
    other = make_collected_run(items=2)
    (job,) = bundle()
    submit_now(job, by="amina")
    unsent = make_job(1)
    captions = Scope(HoldScope.WORKLOAD, "captions")

    recalled = steer("recall", captions, by="amina", reason="wrong prompt")

    assert (recalled.done, recalled.chosen) == (1, 1)
    hold = Hold.objects.get()
    assert (hold.key, hold.message) == ("captions", "wrong prompt")
    unsent.refresh_from_db()
    assert (unsent.status, unsent.intent) == (JobStatus.PENDING, Intent.NONE)
    work_off(until=only_held_work_is_left)
    assert bundle() == []
    sandbox.clear_faults()
    steer("resume", captions, by="amina")
    work_off()
    for one in (run, other):
        one.refresh_from_db()
        assert one.status == RunStatus.COMPLETED
    assert Caption.objects.count() == 5
    assert recount(repair=False) == []


def test_recalling_under_a_hold_that_was_lifted_is_refused():
    hold = hold_work(HoldScope.ALL, reason="stop", by="amina")
    lift(hold, by="amina")

    with pytest.raises(NotPossible, match="was lifted"):
        recall_held(hold, by="amina")


@pytest.mark.parametrize(
    ("act", "status"),
    [
        (submit_now, JobStatus.VALIDATING),
        (check_now, JobStatus.PENDING),
        (process_now, JobStatus.IN_PROGRESS),
    ],
)
def test_a_stage_is_refused_to_a_job_it_is_not_for(act, status):
    job = make_job(1, status=status)

    with pytest.raises(NotPossible, match="this is for one that is"):
        act(job, by="amina")


def test_every_act_on_a_finished_run_is_refused():
    run = make_collected_run(items=1)
    cancel_run(run, by="amina")
    run.refresh_from_db()

    for act in (pause_run, resume_run, cancel_run):
        with pytest.raises(NotPossible, match="is finished"):
            act(run, by="amina")


def test_failed_items_go_out_again_and_the_figures_follow(sandbox):
    sandbox.faults(failed_lines={"rate": 1.0, "status": 500})
    job = make_job(3)
    run = job.shares.get().run
    work_off()
    run.refresh_from_db()
    assert run.status == RunStatus.FAILED
    sandbox.clear_faults()

    done = requeue(failed_of_run(run), by="amina")

    assert (done.requeued, done.skipped) == (3, 0)
    run.refresh_from_db()
    assert run.status == RunStatus.PROCESSING
    assert recount(repair=False) == []
    work_off()
    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED
    assert Caption.objects.count() == 3
    assert recount(repair=False) == []
    assert Event.objects.filter(run=run, kind=EventKind.RUN_RETRY).count() == 1
    assert AuditEntry.objects.get(action="items.requeue").after == {
        "requeued": 3,
        "skipped": 0,
    }


def test_what_was_never_sent_is_not_requeued():
    make_paintings("TOO LARGE")
    run = make_collected_run(items=0)

    done = requeue(failed_of_run(run), by="amina")

    assert (done.requeued, done.skipped) == (0, 1)


def test_requeueing_twice_does_it_once(sandbox):
    sandbox.faults(failed_lines={"rate": 1.0, "status": 400})
    job = make_job(2)
    work_off()

    assert requeue(failed_of_job(job), by="amina").requeued == 2
    assert requeue(failed_of_job(job), by="amina").requeued == 0
    assert OpenItem.objects.count() == 2
