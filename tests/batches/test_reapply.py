"""Stored answers applied again: nothing is sent, and nobody's work is touched."""

import json
from collections import Counter
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from batches import workloads
from batches.errors import NotPossible
from batches.models import (
    AuditEntry,
    BatchItem,
    BatchJob,
    Event,
    ItemAttempt,
    ItemRequest,
    OpenItem,
    Run,
)
from batches.monitoring.explain import explain
from batches.services import reapply as service
from batches.services.collection import collect_run
from batches.services.reapply import (
    failed_only,
    in_words,
    prospect,
    reapply,
    reapply_some,
)
from batches.services.recount import recount
from batches.services.requeue import failed_of_run, requeue
from batches.services.steering import (
    cancel_run,
)
from batches.services.stored_answers import Obstacle
from batches.states import AttemptOutcome, EventKind, ItemStatus, RunStatus
from batches.workloads import Answer, FollowUp, Subject
from tests.batches.test_races import at_once
from tests.driving import work_off
from tests.factories import make_collected_run, make_paintings, make_run
from tests.gallery.models import Caption, Painting, Photo, Sketch
from tests.gallery.workloads import CaptionWorkload

pytestmark = pytest.mark.django_db


class Mended(CaptionWorkload):
    """The captions after a deployment without the bugs."""

    def judge_one(self, answer):
        return self.read_result(answer)

    def store(self, verdicts):
        asked = []
        for verdict in verdicts:
            answer = verdict.answer
            kept = json.loads(answer.context)
            Caption.objects.create(
                kind=kept["kind"],
                object_id=answer.object_id,
                target=answer.target,
                item_id=answer.item_id,
                text=verdict.result.caption,
            )
            if kept["follow_ups"]:
                asked.append(self.follow_up(answer, kept))
        return asked

    def follow_up(self, answer, kept):
        return FollowUp(
            answer.item_id,
            Subject(answer.content_type_id, answer.object_id),
            f"caption again {kept['follow_ups']}",
            self.request(self.prompt, kept["title"], 0, kept["kind"]),
        )


class Repeating(Mended):
    """One that knows how to store again."""

    def store_again(self, verdicts):
        for verdict in verdicts:
            Caption.objects.filter(item_id=verdict.answer.item_id).update(
                text=verdict.result.caption.upper()
            )
        return [
            self.follow_up(verdict.answer, kept)
            for verdict in verdicts
            if (kept := json.loads(verdict.answer.context))["follow_ups"]
        ]


@pytest.fixture
def deploy(monkeypatch):
    def install(workload):
        monkeypatch.setitem(workloads._registered, "captions", workload())

    return install


def failed_run(*titles, **given):
    """A run worked off, with answers that the workload's bugs could not take.

    Equal titles are asked one by one.
    """
    given.setdefault("force_refresh", True)
    make_paintings(*titles)
    run = make_collected_run(0, **given)
    work_off(seconds=60)
    run.refresh_from_db()
    return run


def command(*args):
    out = StringIO()
    call_command("reapply", *args, stdout=out, stderr=StringIO())
    return out.getvalue()


def everything(of=None):
    return BatchItem.objects.all() if of is None else BatchItem.objects.filter(run=of)


def statuses():
    return Counter(BatchItem.objects.values_list("status", flat=True))


# --- a bug, mended --------------------------------------------------------------------


@pytest.mark.parametrize("bug", ["STORE BUG", "JUDGE BUG"])
@pytest.mark.slow
def test_a_thousand_paid_answers_outlive_a_bug(sandbox, deploy, settings, bug):
    settings.BATCH_MAX_REQUESTS = 400
    run = failed_run(*[bug] * 1_000)
    billed, paid = sandbox.ledger(), sum(share.cost_nanos for share in run.shares.all())
    assert run.status == RunStatus.FAILED
    assert BatchItem.objects.filter(error_code="apply_error").count() == 1_000
    deploy(Mended)

    said = json.loads(command("--run", str(run.pk), "--only", "failed", "--json"))

    assert said["completed"] == Caption.objects.count() == 1_000
    assert (said["failing"], said["skipped"]) == ({}, {})
    assert statuses() == {ItemStatus.COMPLETE: 1_000}
    assert not BatchItem.objects.exclude(error_code="").exists()
    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED
    assert sum(share.cost_nanos for share in run.shares.all()) == paid > 0
    assert sandbox.ledger() == billed
    assert recount(repair=False) == []
    kinds = set(Event.objects.filter(run=run).values_list("kind", flat=True))
    assert {EventKind.RUN_FAILED, EventKind.RUN_COMPLETED} < kinds
    entry = AuditEntry.objects.get(action="items.reapply")
    assert (entry.actor, entry.after["completed"]) == ("reapply", 1_000)


def test_attempts_and_what_was_counted_of_them_stay_as_they_are(sandbox, deploy):
    failed_run("STORE BUG")
    before = list(ItemAttempt.objects.values())
    deploy(Mended)

    reapply(everything(), by="amina")

    assert list(ItemAttempt.objects.values()) == before


def test_a_second_time_finds_nothing(sandbox, deploy):
    failed_run("STORE BUG", "fine")
    deploy(Mended)
    assert reapply(failed_only(everything()), by="amina").completed == 1

    assert "Nothing to apply again." in command("--only", "failed")
    assert AuditEntry.objects.filter(action="items.reapply").count() == 1


def test_what_still_fails_is_alone_in_that(sandbox, deploy):
    class HalfMended(Mended):
        def store(self, verdicts):
            if any(v.answer.object_id in broken for v in verdicts):
                raise RuntimeError("still a bug")
            return super().store(verdicts)

    run = failed_run(*["STORE BUG"] * 9)
    broken = {str(Painting.objects.order_by("pk")[4].pk)}
    deploy(HalfMended)

    done = reapply(everything(run), by="amina")

    assert (done.completed, done.failing) == (8, {"apply_error": 1})
    assert "still a bug" in done.messages["apply_error"]
    assert BatchItem.objects.get(status=ItemStatus.FAILED).object_id in broken
    assert Caption.objects.count() == 8
    assert recount(repair=False) == []


def test_an_item_that_fails_otherwise_than_before_says_so(sandbox, deploy):
    class Strict(Mended):
        def judge_one(self, answer):
            verdict = self.read_result(answer)
            verdict.error_code, verdict.error_message = "too_short", "It is short."
            return verdict

    failed_run("STORE BUG")
    deploy(Strict)

    with pytest.raises(CommandError, match="1 answer still cannot be used"):
        command()

    item = BatchItem.objects.get()
    assert (item.status, item.error_code) == (ItemStatus.FAILED, "too_short")
    assert recount(repair=False) == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"refused_answers": 1.0}, "refused"),
        ({"truncated_answers": 1.0}, "truncated"),
        ({"non_json_answers": 1.0}, "invalid_json"),
    ],
)
def test_an_answer_is_judged_as_it_came(sandbox, settings, fault, code):
    settings.BATCH_MAX_ATTEMPTS = 1
    sandbox.faults(**fault)
    failed_run("one")
    assert BatchItem.objects.get().error_code == code
    message = ItemAttempt.objects.get().error_message

    done = reapply(everything(), by="amina")

    assert done.failing == {code: 1}
    assert done.messages == {code: message}


def test_a_workload_is_given_the_same_answer_as_the_first_time(sandbox, deploy):
    seen = []
    # What it is about (the last four) is not known when it is judged first.
    said = Answer.__struct_fields__[:-4]

    class Watching(CaptionWorkload):
        def judge_one(self, answer):
            seen.append({name: getattr(answer, name) for name in said})
            return super().judge_one(answer)

    deploy(Watching)
    failed_run("STORE BUG")

    reapply(everything(), by="amina")

    first, again = seen
    assert first == again
    assert first["fingerprint"] == "sandbox_pseudo"
    assert first["text"] and first["body"] and first["context"]


# --- which items ----------------------------------------------------------------------


def test_runs_jobs_and_workloads_are_chosen_apart(sandbox, deploy):
    first = failed_run("STORE BUG")
    for slug in ("one", "two"):
        Sketch.objects.create(slug=slug, title="STORE BUG")
    second = failed_run(kind="sketch")
    job = second.shares.get().job
    deploy(Mended)

    assert prospect(everything()).items == 3
    assert "Would complete 1 failed item." in command("--run", str(first.pk), "--dry")
    assert "Completed 2 failed items." in command("--job", str(job.public_id))
    assert "Completed 1 failed item." in command("--workload", "captions")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--run", "99"], "There is no run 99"),
        (["--job", "x"], "'x' is no job id"),
        (["--workload", "captionz"], "No workload is called 'captionz'"),
    ],
)
def test_what_there_is_none_of_is_told(args, words):
    with pytest.raises(CommandError, match=words):
        command(*args)


def test_a_dry_run_judges_and_writes_nothing(sandbox, deploy):
    run = failed_run("STORE BUG", "JUDGE BUG")
    before = list(BatchItem.objects.values()), list(run.shares.values())
    items = everything(run)

    with pytest.raises(CommandError, match="1 answer still cannot be used"):
        command("--run", str(run.pk), "--dry-run", "--json")

    done = reapply(items, by="amina", dry_run=True)
    assert (done.completed, done.failing) == (1, {"apply_error": 1})
    assert (list(BatchItem.objects.values()), list(run.shares.values())) == before
    assert not Caption.objects.exists()
    assert not AuditEntry.objects.exists()


def test_pages_do_not_reach_items_made_on_the_way(sandbox, deploy, monkeypatch):
    monkeypatch.setattr(service, "PAGE", 2)
    failed_run(*["STORE BUG"] * 5, follow_ups=1)
    deploy(Mended)
    pages = []

    done = reapply(everything(), by="amina", on_items=pages.append)

    assert pages == [2, 2, 1]
    assert (done.completed, done.follow_ups) == (5, 5)
    assert not done.skipped


# --- what is left alone ---------------------------------------------------------------


def obstacle():
    done = reapply(everything(), by="amina")
    assert done.applied == 0
    assert prospect(everything()).items == 0
    return dict(done.skipped)


def test_an_item_that_was_retried_by_hand_waits_for_its_answer(sandbox, deploy):
    run = failed_run("STORE BUG")
    requeue(failed_of_run(run), by="amina")
    deploy(Mended)

    assert obstacle() == {Obstacle.UNDER_WAY: 1}
    work_off()
    assert statuses() == {ItemStatus.COMPLETE: 1}
    assert recount(repair=False) == []


def test_an_item_that_changes_while_it_is_judged_is_left(sandbox, deploy):
    run = failed_run("STORE BUG", "STORE BUG")

    class Slow(Mended):
        def judge(self, answers):
            requeue(failed_of_run(run).filter(pk=answers[0].item_id), by="sahra")
            return super().judge(answers)

    deploy(Slow)

    done = reapply(everything(run), by="amina")

    assert done.completed == 1
    assert done.skipped == {Obstacle.CHANGED: 1}
    assert OpenItem.objects.count() == Caption.objects.count() == 1
    assert recount(repair=False) == []


def test_the_newest_attempt_with_an_answer_is_judged(sandbox, deploy):
    run = failed_run("STORE BUG")
    requeue(failed_of_run(run), by="amina")
    sandbox.faults(failed_lines={"rate": 1.0, "status": 500})
    work_off()
    assert ItemAttempt.objects.exclude(answer="").count() == 1
    deploy(Mended)

    assert reapply(everything(run), by="amina").completed == 1
    assert statuses() == {ItemStatus.COMPLETE: 1}
    assert recount(repair=False) == []


def test_an_item_without_an_answer_is_left(sandbox):
    sandbox.faults(failed_lines={"rate": 1.0, "status": 400})
    failed_run("one")

    assert obstacle() == {Obstacle.NO_ANSWER: 1}


def test_an_item_that_was_never_sent_is_left():
    make_paintings("TOO LARGE")
    make_collected_run(0)

    assert obstacle() == {Obstacle.NOT_SENT: 1}


def test_a_cancelled_item_is_left():
    cancel_run(make_collected_run(1), by="amina")

    assert obstacle() == {Obstacle.CANCELLED: 1}


def test_an_item_whose_subject_was_deleted_is_left(sandbox, deploy):
    failed_run("STORE BUG")
    Painting.objects.all().delete()
    deploy(Mended)

    assert obstacle() == {Obstacle.SUBJECT_DELETED: 1}


def test_an_item_of_a_workload_that_is_not_installed_is_left(sandbox, monkeypatch):
    failed_run("STORE BUG")
    monkeypatch.delitem(workloads._registered, "captions")

    assert obstacle() == {Obstacle.NO_WORKLOAD: 1}
    assert "1 of a workload that is not installed." in command("--workload", "captions")


def test_an_item_whose_request_is_not_kept_any_more_is_left(sandbox, deploy):
    failed_run("STORE BUG")
    ItemRequest.objects.all().delete()
    deploy(Mended)

    assert obstacle() == {Obstacle.NO_REQUEST: 1}


def test_an_item_that_was_split_is_left(sandbox, deploy):
    failed_run("STORE BUG")
    ItemAttempt.objects.update(outcome=AttemptOutcome.SPLIT)
    BatchItem.objects.update(status=ItemStatus.COMPLETE)
    deploy(Repeating)

    assert obstacle() == {Obstacle.SPLIT: 1}


def test_an_item_in_a_job_that_is_still_read_is_left(sandbox, deploy):
    failed_run("STORE BUG")
    BatchJob.objects.update(status="completed", finished_at=None)
    deploy(Mended)

    assert obstacle() == {Obstacle.JOB_UNFINISHED: 1}


@pytest.mark.parametrize("is_done", [True, False], ids=["done", "under way"])
def test_an_item_that_a_later_one_superseded_is_left(sandbox, deploy, is_done):
    old = failed_run("STORE BUG")
    deploy(Mended)
    collect_run(make_run())
    if is_done:
        work_off()

    done = reapply(everything(old), by="amina")

    assert done.skipped == {Obstacle.SUPERSEDED: 1}
    assert Caption.objects.count() == is_done


def test_a_later_item_that_failed_supersedes_nothing(sandbox, deploy):
    first = failed_run("STORE BUG")
    failed_run()
    deploy(Mended)

    assert reapply(everything(first), by="amina").completed == 1


@pytest.mark.parametrize("kind", ["photo", "sketch"])
def test_subjects_are_found_by_whatever_key_they_have(sandbox, deploy, kind):
    Photo.objects.create(title="STORE BUG")
    Sketch.objects.create(slug="a-sketch", title="STORE BUG")
    make_collected_run(0, kind=kind)
    work_off()
    deploy(Mended)

    assert reapply(everything(), by="amina").completed == 1


# --- items that are done --------------------------------------------------------------


def test_what_is_done_is_stored_again_where_its_workload_knows_how(sandbox, deploy):
    run = failed_run("one", "STORE BUG")
    deploy(Repeating)

    done = reapply(everything(run), by="amina")

    assert (done.completed, done.stored_again) == (1, 1)
    texts = [caption.text for caption in Caption.objects.order_by("item_id")]
    assert texts[0] == texts[0].upper() != texts[1]
    assert recount(repair=False) == []


def test_what_is_done_is_left_where_its_workload_stores_only_once(sandbox):
    failed_run("one")

    assert obstacle() == {Obstacle.STORED_ONCE: 1}


def test_what_is_done_stays_done_when_its_answer_is_no_longer_taken(sandbox, deploy):
    class Strict(Repeating):
        def judge(self, answers):
            raise RuntimeError("a new bug")

    run = failed_run("one")
    deploy(Strict)

    done = reapply(everything(run), by="amina")

    assert done.failing == {"apply_error": 1}
    item = BatchItem.objects.get()
    assert (item.status, item.error_code) == (ItemStatus.COMPLETE, "")
    assert Caption.objects.count() == 1


# --- follow-ups -----------------------------------------------------------------------


def test_follow_ups_are_asked_for_once(sandbox, deploy):
    run = failed_run("STORE BUG", follow_ups=1)
    deploy(Repeating)

    first = reapply(everything(run), by="amina")
    run.refresh_from_db()
    assert run.status == RunStatus.PROCESSING
    again = reapply(everything(run), by="amina")

    assert (first.follow_ups, again.follow_ups) == (1, 0)
    assert again.stored_again == 1
    assert recount(repair=False) == []
    work_off()
    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED
    assert BatchItem.objects.filter(parent__isnull=False).count() == 1
    assert reapply(everything(run), by="amina").follow_ups == 0
    assert recount(repair=False) == []


def test_a_follow_up_that_is_under_way_elsewhere_is_not_asked_for(sandbox, deploy):
    first = failed_run("STORE BUG", follow_ups=1)
    second = failed_run(follow_ups=1)
    deploy(Mended)

    done = reapply(everything(), by="amina")

    assert (done.completed, done.follow_ups) == (2, 1)
    assert OpenItem.objects.get().run_id == first.pk != second.pk
    assert recount(repair=False) == []


def test_a_run_that_was_cancelled_asks_for_nothing_more(sandbox, deploy):
    run = failed_run("STORE BUG", follow_ups=1)
    Run.objects.update(cancelled_at=timezone.now(), status=RunStatus.CANCELLED)
    deploy(Mended)

    done = reapply(everything(run), by="amina")

    assert (done.completed, done.follow_ups) == (1, 0)
    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED
    assert recount(repair=False) == []


# --- in words -------------------------------------------------------------------------


def test_what_could_not_be_done_is_refused_in_words(sandbox):
    Sketch.objects.create(slug="one", title="one")
    run = failed_run("STORE BUG")
    cancel_run(make_collected_run(0, kind="sketch"), by="amina")

    with pytest.raises(NotPossible) as refused:
        reapply_some(everything(), by="amina")

    said = str(refused.value)
    assert said.startswith("Nothing was applied again: 1 still failing with apply_erro")
    assert "the store has a bug" in said
    assert said.endswith("1 cancelled.")
    with pytest.raises(NotPossible, match="there are no such items"):
        reapply_some(failed_only(everything(run)).none(), by="amina")


def test_what_was_done_is_told_in_one_sentence(sandbox, deploy):
    run = failed_run("STORE BUG", "one", follow_ups=1)
    deploy(Repeating)

    said = in_words(reapply(everything(run).filter(parent=None), by="amina"))

    assert said == "1 completed; 1 stored again; follow-ups asked for: 1."


def test_an_item_that_met_a_bug_names_the_way_out(sandbox):
    run = failed_run("STORE BUG")

    said = explain("item", str(BatchItem.objects.get().pk)).next_step

    assert f"`reapply --job {run.shares.get().job_id} --only failed`" in said


# --- several at once ------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_several_at_once_apply_each_answer_once(sandbox, deploy, monkeypatch):
    monkeypatch.setattr(service, "PAGE", 5)
    run = failed_run(*["STORE BUG"] * 40, follow_ups=1)
    deploy(Mended)

    done = at_once(lambda: reapply(failed_only(everything(run)), by="amina"))

    assert sum(one.completed for one in done) == Caption.objects.count() == 40
    assert sum(one.follow_ups for one in done) == 40
    assert not sum((one.failing for one in done), Counter())
    assert recount(repair=False) == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_beside_a_retry_by_hand_each_item_goes_one_way(sandbox, deploy, monkeypatch):
    monkeypatch.setattr(service, "PAGE", 5)
    run = failed_run(*["STORE BUG"] * 40)
    deploy(Mended)
    both = iter(
        [
            lambda: reapply(failed_only(everything(run)), by="amina").completed,
            lambda: requeue(failed_of_run(run), by="sahra").requeued,
        ]
    )

    done = at_once(lambda: next(both)(), workers=2)

    assert sum(done) == 40
    assert OpenItem.objects.count() + Caption.objects.count() == 40
    assert recount(repair=False) == []
    work_off()
    assert statuses() == {ItemStatus.COMPLETE: 40}
    assert recount(repair=False) == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_beside_a_worker_that_reads_results_nothing_is_lost(
    sandbox, deploy, monkeypatch
):
    monkeypatch.setattr(service, "PAGE", 5)
    old = failed_run(*["STORE BUG"] * 40, follow_ups=1)
    deploy(Mended)
    for number in range(40):
        Sketch.objects.create(slug=f"sketch-{number}", title="new")
    make_collected_run(0, kind="sketch")
    both = iter([lambda: reapply(failed_only(everything(old)), by="amina"), work_off])

    at_once(lambda: next(both)(), workers=2)
    work_off()

    assert statuses() == {ItemStatus.COMPLETE: 120}
    assert recount(repair=False) == []
