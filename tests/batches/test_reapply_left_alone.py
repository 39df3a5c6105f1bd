"""What applying stored answers again leaves alone, and why."""

import pytest

from batches import workloads
from batches.models import (
    BatchItem,
    BatchJob,
    ItemAttempt,
    ItemRequest,
    OpenItem,
)
from batches.services.collection import collect_run
from batches.services.reapply import (
    reapply,
)
from batches.services.recount import recount
from batches.services.requeue import failed_of_run, requeue
from batches.services.steering import (
    cancel_run,
)
from batches.services.stored_answers import Obstacle
from batches.states import AttemptOutcome, ItemStatus
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
from tests.factories import make_collected_run, make_paintings, make_run
from tests.gallery.models import Caption, Painting, Photo, Sketch

pytestmark = pytest.mark.django_db


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
