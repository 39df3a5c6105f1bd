"""What an equal request was answered is not asked again; twins wait for one another."""

from collections import Counter

import pytest
from django.db import connection

from batches.models import BatchItem, BatchJob, ItemAttempt, JobShare, OpenItem, Run
from batches.monitoring.explain import explain_item, explain_run
from batches.services.bundling import bundle
from batches.services.collection import collect_run, plan_run
from batches.services.ingestion import ingest_jobs
from batches.services.lifecycle import run_figures
from batches.services.polling import poll_jobs
from batches.services.reapply import reapply
from batches.services.recount import recount
from batches.services.requeue import failed_of_run, requeue
from batches.services.steering import cancel_run, pause_run, resume_run
from batches.services.submission import submit_jobs
from batches.states import AttemptOutcome, EventKind, ItemStatus, RunStatus
from batches.workloads import registered
from tests.batches.reusing import CheckedCaptions, OwnCaptions, lines_billed
from tests.driving import later, work_off
from tests.factories import make_paintings, make_run
from tests.gallery.models import Caption, Painting
from tests.gallery.workloads import CaptionWorkload
from tests.sandbox.fixtures import wait_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def checked():
    with registered(CheckedCaptions) as workload:
        yield workload.key


@pytest.fixture
def own():
    with registered(OwnCaptions) as workload:
        yield workload.key


def collected(workload="captions", **given):
    """A run of all paintings there are, which lack a caption where that counts."""
    run = make_run(workload, **given)
    collect_run(run)
    return run


def worked_off(workload="captions", *titles, **given):
    make_paintings(*titles)
    run = collected(workload, **given)
    work_off()
    run.refresh_from_db()
    return run


def all_is_well():
    assert recount(repair=False) == []
    for run in Run.objects.all():
        assert run.status == RunStatus.COMPLETED
    assert set(BatchItem.objects.values_list("status", flat=True)) == {
        ItemStatus.COMPLETE
    }


def test_an_equal_request_is_answered_from_the_finished_one(sandbox):
    first = worked_off("captions", "a lake", "a hill")
    spent = run_figures(first).cost_nanos

    second = worked_off("captions", "a lake", "a hill", "a wood")

    assert (second.reused, second.saved_nanos) == (2, spent)
    assert lines_billed(sandbox) == 3
    figures = run_figures(second)
    assert (figures.items, figures.complete, figures.sent) == (3, 3, 1)
    assert Caption.objects.count() == 5
    all_is_well()


def test_an_attempt_without_a_job_says_where_its_answer_came_from(sandbox):
    worked_off("captions", "a lake")
    worked_off("captions", "a lake")

    source, reused = ItemAttempt.objects.order_by("pk")
    assert reused.outcome == AttemptOutcome.REUSED
    assert (reused.job_id, reused.reused_from_id) == (None, source.pk)
    assert (reused.cost_nanos, reused.input_tokens, reused.output_tokens) == (0, 0, 0)
    assert reused.answer == source.answer
    assert reused.system_fingerprint == source.system_fingerprint
    assert reused.item.job_id is None
    told = explain_item(reused.item).history
    assert any(f"the answer to item {source.item_id}" in what for _, what in told)


def test_a_run_says_how_many_were_reused_and_what_that_saved(sandbox):
    worked_off("captions", "a lake")
    run = worked_off("captions", "a lake")

    assert (
        "1 items answered as equal ones were, $0." in explain_run(run).facts["reused"]
    )
    event = run.events.get(kind=EventKind.RUN_REUSED)
    assert event.data == {"items": 1}


def test_what_is_forced_is_asked_again(sandbox):
    worked_off("captions", "a lake")

    run = worked_off("captions", "a lake", force_refresh=True)

    assert run.reused == 0
    assert lines_billed(sandbox) == 2


def test_a_plan_says_what_would_be_reused(sandbox):
    worked_off("captions", "a lake")
    make_paintings("a lake", "a hill")

    plan, forced = (
        plan_run("captions", {}, force_refresh=forced) for forced in (False, True)
    )

    assert (plan.items, plan.reused) == (2, 1)
    assert (forced.items, forced.reused) == (2, 0)
    assert 0 < plan.costs.worst < forced.costs.worst


def test_an_answer_with_an_error_of_a_check_serves_nobody_else(sandbox, checked):
    worked_off(checked, "BAD lake")
    assert JobShare.objects.get().flagged == 1

    make_paintings("BAD lake")
    run = collected(checked)
    work_off()

    run.refresh_from_db()
    assert run.reused == 0
    assert lines_billed(sandbox) == 3
    all_is_well()


def test_an_answer_that_checks_of_today_find_wrong_is_asked_again(
    sandbox, checked, monkeypatch
):
    worked_off(checked, "a lake")

    def judge_one(self, answer):
        verdict = CaptionWorkload.judge_one(self, answer)
        verdict.errors = "dull"
        return verdict

    monkeypatch.setattr(CheckedCaptions, "judge_one", judge_one)
    run = worked_off(checked)

    assert run.reused == 0
    assert lines_billed(sandbox) == 2
    assert JobShare.objects.get(run=run).flagged == 1


def test_nothing_is_reused_from_another_provider(sandbox, settings):
    worked_off("captions", "a lake")
    settings.BATCH_PROVIDER, settings.OPENAI_API_KEY = "openai", "sk-x"
    make_paintings("a lake")

    run = collected()
    (job,) = bundle()

    run.refresh_from_db()
    assert (job.provider, job.items_total, run.reused) == ("openai", 1, 0)


def test_what_a_person_sends_again_is_not_answered_from_what_there_is(sandbox):
    first = worked_off("captions", "STORE BUG", force_refresh=True)
    item = first.items.get()
    assert item.status == ItemStatus.FAILED
    assert requeue(failed_of_run(first), by="amina").requeued == 1

    assert not OpenItem.objects.get().may_reuse
    work_off()

    assert lines_billed(sandbox) == 2


def test_overlapping_runs_bill_the_union_of_what_is_kept_current(sandbox):
    make_paintings(*[f"a view {number}" for number in range(10)])
    first = collected()
    make_paintings("another view", "a third view")
    second = collected()
    assert second.skipped == {"under_way": 10}

    work_off()

    assert lines_billed(sandbox) == 12
    assert Caption.objects.count() == Painting.objects.count() == 12
    first.refresh_from_db()
    all_is_well()


def test_overlapping_runs_bill_the_union_of_what_each_is_owed(sandbox, own):
    make_paintings(*[f"a view {number}" for number in range(8)])
    shared = list(Painting.objects.all())
    make_paintings("one of the first alone", "two of the first alone")
    first = collected(own)
    Painting.objects.exclude(pk__in=[row.pk for row in shared]).update(title="other")
    for number, row in enumerate(Painting.objects.filter(title="other")):
        Painting.objects.filter(pk=row.pk).update(title=f"of the second {number}")
    second = collected(own)
    assert (first.items_collected, second.items_collected) == (10, 10)
    assert BatchItem.objects.values("fingerprint").distinct().count() == 12

    work_off()

    assert lines_billed(sandbox) == 12
    for run in (first, second):
        run.refresh_from_db()
        figures = run_figures(run)
        assert (figures.items, figures.complete) == (10, 10)
    assert first.reused + second.reused == 8
    assert Caption.objects.count() == 20
    all_is_well()


def test_a_twin_stays_in_the_pool_while_an_equal_one_is_under_way(own):
    make_paintings("a lake")
    first, second = collected(own), collected(own)

    (job,) = bundle()

    assert job.items_total == 1
    twin = OpenItem.objects.get(job=None)
    assert twin.run == second
    second.refresh_from_db()
    assert "1 items wait for an equal request" in second.waiting_reason
    says = explain_item(twin.item).next_step
    assert f"the answer to item {first.items.get().pk}" in says
    assert bundle() == []


def test_a_twin_goes_out_itself_when_the_other_fails(sandbox, checked):
    make_paintings("BAD lake", "BAD lake")
    run = collected(checked)

    work_off()

    run.refresh_from_db()
    assert (run.reused, run.status) == (0, RunStatus.COMPLETED)
    assert lines_billed(sandbox) == 2
    assert BatchJob.objects.count() == 2


def test_the_longer_twins_fail_the_more_go_out_at_once(sandbox, checked):
    make_paintings(*["BAD lake"] * 16)
    collected(checked)

    work_off(seconds=60)

    sizes = [job.items_total for job in BatchJob.objects.order_by("pk")]
    assert sizes == [1, 2, 4, 8, 1]
    all_is_well()


def test_a_twin_does_not_wait_for_one_that_may_not_go(own):
    make_paintings("a lake")
    paused, second = collected(own), collected(own)
    pause_run(paused, by="amina")

    (job,) = bundle()

    assert job.shares.get().run == second


def test_a_twin_of_what_was_cancelled_goes_out(own):
    make_paintings("a lake")
    first, second = collected(own), collected(own)
    bundle()

    cancel_run(first, by="amina")
    (job,) = bundle()

    assert job.shares.get().run == second


def test_accounts_do_not_wait_for_one_another(own):
    make_paintings("a lake")
    collected(own, account="north")
    collected(own, account="south")

    jobs = bundle()

    assert [job.items_total for job in jobs] == [1, 1]


def test_a_paused_run_is_not_answered_either(sandbox, checked):
    worked_off(checked, "a lake")
    run = collected(checked)
    pause_run(run, by="amina")
    assert bundle() == []
    assert run_figures(run).open == 1

    resume_run(run, by="amina")
    bundle()

    run.refresh_from_db()
    assert (run.reused, run.status) == (1, RunStatus.COMPLETED)


def test_text_answered_between_drawing_a_page_and_its_commit_is_not_paid_twice(
    sandbox, monkeypatch
):
    """Another run does the work while this one renders its page."""
    make_paintings("a lake")
    late = make_run()

    def is_ingested():
        poll_jobs(now=later())
        return ingest_jobs(now=later())

    class Interrupted(CaptionWorkload):
        was_interrupted = False

        def build_request(self, *args):
            if not Interrupted.was_interrupted:
                Interrupted.was_interrupted = True
                collected()
                bundle()
                submit_jobs(now=later())
                wait_for(is_ingested)
            return super().build_request(*args)

    from batches import workloads

    monkeypatch.setitem(workloads._registered, "captions", Interrupted())
    collect_run(late)
    work_off()

    late.refresh_from_db()
    assert (late.items_collected, late.reused) == (1, 1)
    assert lines_billed(sandbox) == 1
    all_is_well()


def test_follow_ups_of_reused_answers_join_the_run(sandbox):
    worked_off("captions", "a lake", follow_ups=1)
    run = worked_off("captions", "a lake", follow_ups=1)

    assert (run.reused, run.unsent_follow_ups) == (1, 1) or run.reused == 2
    figures = run_figures(run)
    assert (figures.first, figures.follow_ups, figures.complete) == (1, 1, 2)
    all_is_well()


def test_an_answer_does_not_answer_the_follow_up_that_it_asks_for(sandbox):
    worked_off("captions", "a lake", follow_ups=2)

    assert lines_billed(sandbox) == 3
    all_is_well()


def test_what_a_bug_keeps_out_of_reuse_fails_with_its_answer_kept(
    sandbox, checked, monkeypatch
):
    worked_off(checked, "a lake")
    kept = CheckedCaptions.store

    def store(self, verdicts):
        raise RuntimeError("the store has a bug")

    monkeypatch.setattr(CheckedCaptions, "store", store)
    run = collected(checked)
    bundle()
    item = run.items.get()
    assert (item.status, item.error_code) == (ItemStatus.FAILED, "apply_error")
    assert recount(repair=False) == []

    monkeypatch.setattr(CheckedCaptions, "store", kept)
    done = reapply(BatchItem.objects.filter(pk=item.pk), by="amina")

    assert done.completed == 1
    run.refresh_from_db()
    assert (run.status, run.unsent_complete, run.unsent_failed) == ("completed", 1, 0)
    assert recount(repair=False) == []
    assert lines_billed(sandbox) == 1


def test_a_deleted_subject_fails_its_item_alone(sandbox, checked):
    worked_off(checked, "a lake")
    make_paintings("a lake")
    run = collected(checked)
    Painting.objects.latest("pk").delete()

    bundle()

    codes = Counter(run.items.values_list("status", "error_code"))
    assert codes == {
        (ItemStatus.COMPLETE, ""): 1,
        (ItemStatus.FAILED, "subject_gone"): 1,
    }
    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED
    assert recount(repair=False) == []


def test_many_are_answered_in_pages_and_a_bundling_does_only_so_much(
    sandbox, checked, monkeypatch
):
    from batches.services import reuse

    monkeypatch.setattr(reuse, "PAGE", 4)
    monkeypatch.setattr(reuse, "MOST_PAGES", 2)
    worked_off(checked, *[f"a view {number}" for number in range(10)])
    run = collected(checked)

    assert bundle() == []
    run.refresh_from_db()
    assert (run.reused, run_figures(run).open) == (8, 2)
    assert bundle() == []

    run.refresh_from_db()
    assert (run.reused, run.status) == (10, RunStatus.COMPLETED)
    assert lines_billed(sandbox) == 10


def test_a_pool_is_looked_at_with_as_many_queries_whatever_its_size(
    django_assert_max_num_queries, checked
):
    make_paintings(*[f"a view {number}" for number in range(100)] * 2)
    collected(checked)

    # PostgreSQL: two settings of the planner and three locks that SQLite has no need of
    with django_assert_max_num_queries(58 if connection.vendor == "postgresql" else 53):
        (job,) = bundle()

    assert job.items_total == 100
