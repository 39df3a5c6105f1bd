"""Stored answers applied again: nothing is sent, and nobody's work is touched."""

import json

import pytest
from django.core.management import CommandError
from django.utils import timezone

from batches.errors import NotPossible
from batches.models import (
    AuditEntry,
    BatchItem,
    Event,
    ItemAttempt,
    OpenItem,
    Run,
)
from batches.monitoring.explain import explain
from batches.services import reapply as service
from batches.services.reapply import (
    failed_only,
    in_words,
    prospect,
    reapply,
    reapply_some,
)
from batches.services.recount import recount
from batches.services.steering import (
    cancel_run,
)
from batches.services.stored_answers import Obstacle
from batches.states import EventKind, ItemStatus, RunStatus
from batches.workloads import Answer
from tests.batches.reapplying import (
    Mended,
    Repeating,
    command,
    everything,
    failed_run,
    obstacle,
    statuses,
)
from tests.driving import work_off
from tests.factories import make_collected_run
from tests.gallery.models import Caption, Painting, Sketch
from tests.gallery.workloads import CaptionWorkload

pytestmark = pytest.mark.django_db


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
