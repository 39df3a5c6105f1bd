"""What an act that costs money would send: its price, and what costs nothing."""

import pytest
from django.utils import timezone

from batches.models import BatchItem, Hold, OpenItem
from batches.services import prospects
from batches.services.bundling import bundle
from batches.services.effects import waiting_effect, worst_case
from batches.services.prospects import (
    prospect_of_holds,
    prospect_of_jobs,
    prospect_of_resumed,
    prospect_of_runs,
)
from batches.services.requeue import failed_of_run, requeue_prospect
from batches.services.steering import pause_run, recall_job
from batches.states import HoldScope, ItemStatus
from tests.driving import work_off
from tests.factories import make_collected_run, make_job

pytestmark = pytest.mark.django_db


def test_a_prospect_has_the_range_between_what_is_likely_and_what_is_reserved():
    run = make_collected_run(items=3)

    found = prospect_of_runs(run)

    costs = found.costs
    assert (found.items, costs.items, costs.guessed) == (3, 3, 3)
    assert 0 < costs.expected < costs.high < costs.worst
    assert costs.expected < costs.real_time
    effect = waiting_effect(run)
    assert (costs.worst, costs.input_tokens) == (effect.nanos, effect.tokens)


def test_what_was_sent_is_no_prospect():
    job = make_job(2)
    run = job.shares.get().run
    assert prospect_of_jobs(job).items == prospect_of_runs(run).items == 2

    type(job).objects.filter(pk=job.pk).update(create_sent_at=timezone.now())

    assert prospect_of_jobs(job).items == prospect_of_runs(run).items == 0


def test_what_an_equal_request_was_answered_is_named_and_not_priced(sandbox):
    first = make_collected_run(items=2)
    work_off()
    again = make_collected_run(items=1)
    pause_run(again, by="amina")
    answered = BatchItem.objects.filter(run=first, status=ItemStatus.COMPLETE).first()
    OpenItem.objects.filter(run=again).update(fingerprint=answered.fingerprint)

    found = prospect_of_runs(again)

    assert (found.items, found.reused, found.costs.items) == (1, 1, 0)
    assert found.costs.worst == 0

    OpenItem.objects.filter(run=again).update(may_reuse=False)
    assert prospect_of_runs(again).reused == 0


def test_what_is_in_a_job_is_not_reused(sandbox):
    first = make_collected_run(items=1)
    work_off()
    job = make_job(1)
    answered = BatchItem.objects.get(run=first)
    OpenItem.objects.filter(job=job).update(fingerprint=answered.fingerprint)

    assert prospect_of_jobs(job).reused == 0


def test_a_recalled_job_brings_back_what_its_runs_have_waiting():
    run = make_collected_run(items=3)
    (job,) = bundle()
    recall_job(job, by="amina")
    job.refresh_from_db()

    assert prospect_of_resumed(job).items == 3
    assert prospect_of_runs(run).items == 3


def test_a_hold_keeps_back_what_it_covers():
    make_collected_run(items=2, account="acme")
    make_collected_run(items=1)

    hold = Hold(scope=HoldScope.ACCOUNT, key="acme")

    assert prospect_of_holds(hold).items == 2
    assert prospect_of_holds(hold, Hold(scope=HoldScope.ALL)).items == 3
    assert prospect_of_holds().items == 0


def test_what_has_no_price_is_counted_apart():
    run = make_collected_run(items=2)
    one = OpenItem.objects.filter(run=run).first()
    OpenItem.objects.filter(pk=one.pk).update(model="no-such-model")

    found = prospect_of_runs(run)

    assert (found.items, found.unpriced, found.costs.items) == (2, 1, 1)


def test_of_very_many_the_first_are_priced_and_the_worst_case_is_exact(monkeypatch):
    run = make_collected_run(items=4)
    whole = prospect_of_runs(run).costs
    monkeypatch.setattr(prospects, "PRICED", 2)

    rough = prospect_of_runs(run).costs

    assert rough.items == 4
    assert rough.worst == worst_case(OpenItem.objects.filter(run=run)).nanos
    assert rough.expected == pytest.approx(whole.expected, rel=0.05)


def test_what_failed_is_asked_again_at_its_full_price():
    run = make_collected_run(items=2)
    before = prospect_of_runs(run).costs
    BatchItem.objects.filter(run=run).update(
        status=ItemStatus.FAILED, finished_at=timezone.now()
    )
    OpenItem.objects.filter(run=run).delete()

    found = requeue_prospect(failed_of_run(run))

    assert (found.costs, found.reused) == (before, 0)
