"""Stored answers applied again by several at once, and beside other work."""

from collections import Counter

import pytest

from batches.models import (
    OpenItem,
)
from batches.services import reapply as service
from batches.services.reapply import (
    failed_only,
    reapply,
)
from batches.services.recount import recount
from batches.services.requeue import failed_of_run, requeue
from batches.states import ItemStatus
from tests.batches.reapplying import Mended, everything, failed_run, statuses
from tests.batches.test_races import at_once
from tests.driving import work_off
from tests.factories import make_collected_run
from tests.gallery.models import Caption, Sketch

pytestmark = pytest.mark.django_db


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
