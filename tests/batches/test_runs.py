"""Runs from code, as somebody else's app asks for them; and the signals."""

from contextlib import contextmanager
from decimal import Decimal
from unittest.mock import ANY

import pytest
from django.db import transaction

import batches
from batches import find_run, start_run
from batches.errors import BadOptions, BatchError
from batches.models import BatchItem, Run
from batches.runs import NotFinished
from batches.services.collection import collect_run
from batches.services.steering import cancel_run, pause_run
from batches.signals import item_applied, run_finished
from batches.states import ItemStatus, RunStatus
from tests.driving import work_off
from tests.factories import make_paintings
from tests.gallery.models import Caption
from tests.gallery.workloads import CaptionWorkload


@contextmanager
def heard(signal, **given):
    """What the signal carries while the block runs."""
    told = []

    def receiver(**carried):
        told.append(carried)

    signal.connect(receiver, **given)
    try:
        yield told
    finally:
        signal.disconnect(receiver, sender=given.get("sender"))


@pytest.mark.django_db
def test_a_run_is_asked_for_with_options_and_limits_of_its_own():
    run = start_run("captions", kind="photo", limit=3, budget_usd="2.50", account="a")

    row = Run.objects.get(public_id=run.id)
    assert row.options["kind"] == "photo"
    assert (row.limit, row.budget_nanos, row.account) == (3, 2_500_000_000, "a")
    assert find_run(str(run.id)).row == row


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"colour": "red"}, "captions: colour 'red'"),
        ({"limit": 0}, "The limit is 0"),
        ({"budget_usd": "much"}, "budget_usd 'much' is no amount"),
        ({"budget_usd": -1}, "more than 0 dollars"),
        ({"budget_usd": "NaN"}, "more than 0 dollars"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(given, words):
    with pytest.raises(BadOptions, match=words):
        start_run("captions", **given)

    assert not Run.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("given", ["x", "00000000-0000-4000-8000-000000000000"])
def test_a_run_that_is_not_there_is_no_run(given):
    with pytest.raises(BatchError, match=given):
        find_run(given)


def test_the_package_has_two_names_and_no_others():
    assert batches.__all__ == ["find_run", "start_run"]
    with pytest.raises(AttributeError, match="'finish_run'"):
        batches.finish_run  # noqa: B018


@pytest.mark.django_db
def test_a_run_is_waited_for_while_this_process_does_the_work(sandbox):
    make_paintings("one", "SKIP", "two", "TOO LARGE")

    run = start_run("captions")
    ended = run.wait(timeout_seconds=30, work_here=True)

    assert ended == RunStatus.COMPLETED
    assert (run.figures().complete, run.figures().failed) == (2, 1)
    good = [r for r in run.results() if r.status == ItemStatus.COMPLETE]
    assert len(good) == Caption.objects.count() == 2
    assert all('"caption"' in result.answer for result in good)
    assert sum(r.cost_usd for r in good) > Decimal(0)
    (bad,) = [r for r in run.results() if r.status == ItemStatus.FAILED]
    assert (bad.error_code, bad.target) == ("too_large", "caption")


@pytest.mark.django_db
def test_results_come_in_the_order_of_items_page_after_page(monkeypatch):
    monkeypatch.setattr("batches.runs.RESULTS_AT_ONCE", 2)
    make_paintings(*"abcde")
    run = start_run("captions")
    collect_run(run.row)

    found = list(run.results())

    keys = BatchItem.objects.order_by("pk").values_list("pk", flat=True)
    assert [result.item_id for result in found] == list(keys)
    assert {result.status for result in found} == {ItemStatus.PENDING}
    assert {result.answer for result in found} == {""}


@pytest.mark.django_db
def test_a_wait_that_is_over_says_what_the_run_waits_for():
    make_paintings("one")
    run = start_run("captions")
    collect_run(run.row)
    pause_run(run.row, by="ada")

    with pytest.raises(NotFinished, match=r"1 items are open. It is paused") as told:
        run.wait(timeout_seconds=0)

    assert f"explain run {run.row.pk}" in str(told.value)
    assert isinstance(told.value, TimeoutError)


@pytest.mark.django_db
def test_work_that_only_a_person_can_go_on_with_is_not_waited_for(sandbox):
    make_paintings("one")
    run = start_run("captions")
    collect_run(run.row)
    pause_run(run.row, by="ada")

    with pytest.raises(NotFinished, match="It is paused"):
        run.wait(work_here=True)


# --- signals --------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_end_of_a_run_and_each_answer_are_told(sandbox):
    first, second = make_paintings("one", "two")
    with (
        heard(run_finished, sender=Run) as ended,
        heard(item_applied, sender=CaptionWorkload) as applied,
    ):
        run = start_run("captions")
        work_off()

    assert [told["run"].pk for told in ended] == [run.row.pk]
    assert ended[0]["run"].status == RunStatus.COMPLETED
    assert sorted(told["object_id"] for told in applied) == [
        str(first.pk),
        str(second.pk),
    ]
    assert applied[0] == {
        "signal": item_applied,
        "sender": CaptionWorkload,
        "item_id": ANY,
        "content_type_id": ANY,
        "object_id": ANY,
        "target": "caption",
    }


@pytest.mark.django_db(transaction=True)
def test_what_is_not_stored_is_not_told(sandbox):
    make_paintings("STORE BUG", "fine")
    with heard(item_applied) as applied:
        start_run("captions")
        work_off()

    assert len(applied) == Caption.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_raises_spoils_nothing(sandbox, caplog):
    make_paintings("one", "two")

    def raises(**carried):
        raise RuntimeError("a receiver's bug")

    item_applied.connect(raises)
    run_finished.connect(raises)
    try:
        run = start_run("captions")
        work_off()
    finally:
        item_applied.disconnect(raises)
        run_finished.disconnect(raises)

    assert run.status == RunStatus.COMPLETED
    assert Caption.objects.count() == 2
    assert "a receiver's bug" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_an_end_that_is_rolled_back_is_not_told():
    make_paintings("one")
    run = start_run("captions")
    collect_run(run.row)
    with heard(run_finished) as ended:
        with transaction.atomic():
            cancel_run(run.row, by="ada")
            assert not ended
            transaction.set_rollback(True)
        assert not ended

        cancel_run(run.row, by="ada")

    assert [told["run"].status for told in ended] == [RunStatus.CANCELLED]
