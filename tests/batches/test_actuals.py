"""What a job's lines leave open of its cost: told, bounded, and kept by every cap."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from batches.models import Alert, ItemAttempt, JobShare
from batches.models.money import to_nanos
from batches.providers.batch_usage import Tokens, batch_usage
from batches.services.budget import Budget, Payer
from batches.services.recount import recount
from batches.services.steering import abandon_job
from batches.states import JobStatus
from tests.batches.result_lines import (
    COST_NANOS,
    answer,
    completed_job,
    ingest,
    with_results,
)
from tests.driving import work_off
from tests.factories import item_ids, make_collected_run, make_job

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("spool")]


def without_usage(line):
    del line["response"]["body"]["usage"]
    return line


def told(input_tokens, output_tokens, cached=None):
    """A batch's last answer with a total."""
    usage = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    if cached is not None:
        usage["input_tokens_details"] = {"cached_tokens": cached}
    return json.dumps({"id": "batch_1", "usage": usage})


def test_where_lines_and_total_agree_there_is_nothing_to_tell():
    job = completed_job(2)
    lines = [answer(key) for key in item_ids(job)]
    with_results(job, lines, provider_answer=told(2000, 200, 400))

    ingest(job)

    share = JobShare.objects.get()
    assert (share.cost_nanos, share.unpriced_nanos) == (2 * COST_NANOS, 0)
    assert not Alert.objects.exists()


@pytest.mark.parametrize(
    "said",
    [
        "",
        '{"id": "batch_1"}',
        '{"usage": null}',
        '{"usage": "much"}',
        '{"usage": {"input_tokens": -1, "output_tokens": 0}}',
        "no JSON",
    ],
)
def test_a_batch_without_a_total_is_no_alert(said):
    job = completed_job(1)
    with_results(job, [answer(*item_ids(job))], provider_answer=said)

    ingest(job)

    assert job.status == JobStatus.PROCESSED
    assert not Alert.objects.exists()


def test_a_total_that_does_not_tell_of_the_cache_is_compared_without_it():
    assert batch_usage(told(1000, 100), cached=200) == Tokens(1000, 200, 100)
    assert batch_usage(told(1000, 100, 0), cached=200) == Tokens(1000, 0, 100)


def test_a_total_above_the_lines_is_told_with_both_figures_and_kept_beside_the_cost():
    job = completed_job(2)
    JobShare.objects.update(reserved_nanos=to_nanos(1))
    lines = [answer(key) for key in item_ids(job)]
    with_results(job, lines, provider_answer=told(3000, 250, 400))

    ingest(job)

    alert = Alert.objects.get()
    assert (alert.code, alert.job_id) == ("usage_differs", job.pk)
    assert "3,000 input (400 cached) and 250 output tokens" in alert.message
    assert "2,000 input (400 cached) and 200 output tokens" in alert.message
    share = JobShare.objects.get()
    assert share.cost_nanos == 2 * COST_NANOS  # what the lines say is accounted for
    assert share.unpriced_nanos == 1000 * 75 + 50 * 300
    assert recount(repair=False) == []


def test_a_total_below_the_lines_is_told_and_takes_nothing_back():
    job = completed_job(1)
    with_results(job, [answer(*item_ids(job))], provider_answer=told(900, 100, 200))

    ingest(job)

    assert "900 input (200 cached)" in Alert.objects.get().message
    share = JobShare.objects.get()
    assert (share.cost_nanos, share.unpriced_nanos) == (COST_NANOS, 0)


def test_an_answer_without_usage_counts_at_what_is_left_of_the_reservation():
    job = completed_job(2)
    JobShare.objects.update(reserved_nanos=9 * COST_NANOS)
    first, second = item_ids(job)
    with_results(job, [answer(first), without_usage(answer(second))])

    ingest(job)

    share = JobShare.objects.get()
    assert (share.unpriced, share.cost_nanos) == (1, COST_NANOS)
    assert share.cost_nanos + share.unpriced_nanos == share.reserved_nanos
    alert = Alert.objects.get()
    assert alert.code == "usage_missing"
    assert f"1 answer of job {job.pk} came without usage" in alert.message
    assert "all that was reserved" in alert.message
    assert ItemAttempt.objects.get(item=second).cost_nanos == 0
    assert recount(repair=False) == []


def test_the_total_of_the_batch_says_what_answers_without_usage_cost():
    job = completed_job(2)
    JobShare.objects.update(reserved_nanos=to_nanos(1))
    first, second = item_ids(job)
    lines = [answer(first), without_usage(answer(second))]
    with_results(job, lines, provider_answer=told(2000, 200, 400))

    ingest(job)

    share = JobShare.objects.get()
    assert (share.unpriced, share.unpriced_nanos) == (1, COST_NANOS)
    message = Alert.objects.get().message
    assert "came without usage" in message
    assert "$0.000105000 more counts as spent" in message


def test_what_is_not_known_is_never_above_the_reservation():
    job = completed_job(1)
    JobShare.objects.update(reserved_nanos=COST_NANOS + 7)
    with_results(job, [answer(*item_ids(job))], provider_answer=told(10**9, 10**9))

    ingest(job)

    share = JobShare.objects.get()
    assert share.cost_nanos + share.unpriced_nanos == share.reserved_nanos


def test_a_total_that_agrees_leaves_nothing_open_for_answers_without_usage():
    job = completed_job(2)
    first, second = item_ids(job)
    lines = [answer(first), without_usage(answer(second))]
    with_results(job, lines, provider_answer=told(1000, 100, 200))

    ingest(job)

    share = JobShare.objects.get()
    assert (share.unpriced, share.unpriced_nanos) == (1, 0)
    assert "nothing beyond the other lines" in Alert.objects.get().message


def test_every_cap_counts_what_is_not_known(settings):
    job = completed_job(2)
    JobShare.objects.update(reserved_nanos=9 * COST_NANOS)
    job.provider = "openai"
    job.save(update_fields=["provider"])
    first, second = item_ids(job)
    with_results(job, [answer(first), without_usage(answer(second))])

    ingest(job)

    settings.MONTHLY_CAP_USD = "1"
    payer = Payer(workload=job.workload)
    left = Budget("openai", timezone.now()).tightest(payer).left
    assert to_nanos(1) - left == 9 * COST_NANOS


def test_two_runs_in_a_job_share_what_is_open_by_their_own_lines():
    make_collected_run(2)
    job = make_job(2, JobStatus.COMPLETED)
    JobShare.objects.update(reserved_nanos=to_nanos(1))
    keys = item_ids(job)
    lines = [answer(key) for key in keys[:-1]] + [without_usage(answer(keys[-1]))]
    n = len(keys)
    with_results(job, lines, provider_answer=told(n * 1000, n * 100, n * 200))

    ingest(job)

    shares = JobShare.objects.filter(job=job).order_by("pk")
    assert [share.unpriced for share in shares][-1] == 1
    assert sum(share.unpriced_nanos for share in shares) == COST_NANOS
    assert recount(repair=False) == []


def test_lines_that_never_came_are_told_with_the_provider_s_total(sandbox):
    sandbox.faults(missing_lines={"times": 4})
    job = make_job(3)

    work_off()

    job.refresh_from_db()
    assert job.items_failed > 0
    alert = Alert.objects.get(code="usage_differs")
    assert alert.job_id == job.pk
    assert "did not come at all" in alert.message
    with sandbox.client() as client:
        batch = client.batches.retrieve(job.provider_batch_id)
    counted = Tokens(
        batch.usage.input_tokens,
        batch.usage.input_tokens_details.cached_tokens,
        batch.usage.output_tokens,
    )
    assert str(counted) in alert.message
    assert recount(repair=False) == []


@pytest.mark.parametrize(
    ("faults", "codes"),
    [
        ({"no_batch_usage": True}, []),
        ({"other_batch_usage": 1.5}, ["usage_differs"]),
        ({"no_usage": {"times": 1}}, ["usage_differs"]),
        ({"no_usage": {"times": 1}, "no_batch_usage": True}, ["usage_missing"]),
    ],
)
def test_what_the_sandbox_leaves_out_is_noticed(sandbox, faults, codes):
    sandbox.faults(**faults)
    job = make_job(3)

    work_off()

    job.refresh_from_db()
    assert job.items_complete == 3
    assert list(Alert.objects.values_list("code", flat=True)) == codes
    share = JobShare.objects.get()
    assert share.cost_nanos + share.unpriced_nanos <= share.reserved_nanos
    assert recount(repair=False) == []


def test_an_abandoned_job_keeps_its_reservation_and_raises_no_alert(sandbox):
    sandbox.faults(never_ending=True)
    job = make_job(2)
    work_off(until=lambda: _runs(job))
    past = timezone.now() - timedelta(hours=72)
    lost = {"validating_at": past, "provider_batch_id": "batch_nowhere"}
    type(job).objects.filter(pk=job.pk).update(**lost)
    job.refresh_from_db()

    abandon_job(job, by="amina")

    share = JobShare.objects.get()
    assert share.unpriced == 2
    assert share.cost_nanos + share.unpriced_nanos == share.reserved_nanos
    assert not Alert.objects.filter(code__startswith="usage_").exists()
    assert recount(repair=False) == []


def _runs(job):
    job.refresh_from_db()
    return job.status == JobStatus.IN_PROGRESS
