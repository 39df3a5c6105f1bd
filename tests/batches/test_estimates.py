"""What work will probably cost, and how that is learned from what it did cost."""

from datetime import UTC, datetime

import pytest
from django.db.models import Sum

from batches.models import AnswerLength, ItemAttempt, JobShare, Run
from batches.services.collection import plan_run
from batches.services.estimates import (
    ENOUGH,
    FADING,
    MOST_SAMPLES,
    Estimator,
    Lengths,
    learn_lengths,
    size_of,
)
from batches.services.prices import current_rate
from batches.services.rendering import Rendered
from batches.states import AttemptOutcome, JobStatus
from batches.workloads import get_workload
from tests.driving import work_off
from tests.factories import make_collected_run, make_job, make_paintings

pytestmark = pytest.mark.django_db

NOVEMBER = datetime(2026, 11, 22, tzinfo=UTC)
MODEL = "gpt-4o-mini"


def lengths(workload="captions", provider="sandbox"):
    return Lengths(get_workload(workload), provider=provider, model=MODEL)


def teach(ratios, *, size=10, trait="", provider="sandbox", workload="captions"):
    """Answers that were 2 to the power of so many eighths times their request."""
    for step, answers in ratios.items():
        AnswerLength.objects.create(
            provider=provider,
            workload=workload,
            model=MODEL,
            trait=trait,
            size=size,
            step=step,
            answers=answers,
        )


def test_before_enough_answers_the_workloads_own_word_is_taken():
    teach({0: ENOUGH - 1})

    guess = lengths().guess("", 1_024, 100)

    assert (guess.median, guess.high, guess.is_learned) == (50, 90, False)


def test_the_median_and_nine_of_ten_are_learned():
    teach({-8: 6, 0: 3, 8: 1})  # half as long, as long, twice as long

    guess = lengths().guess("", 1_024, 10_000)

    assert (guess.median, guess.high, guess.is_learned) == (512, 1_024, True)


def test_an_answer_is_never_expected_to_be_longer_than_its_limit():
    teach({8: 10})

    guess = lengths().guess("", 1_024, 100)

    assert (guess.median, guess.high) == (100, 100)


def test_requests_of_another_size_teach_nothing():
    teach({0: 10}, size=size_of(1_024))

    assert lengths().guess("", 2_047, 9_999).is_learned
    assert not lengths().guess("", 2_048, 9_999).is_learned
    assert not lengths().guess("", 1_023, 9_999).is_learned


def test_each_trait_has_lengths_of_its_own_and_borrows_those_of_others():
    teach({0: 10}, trait="en", workload="translation")
    teach({8: 10}, trait="ar", workload="translation")
    known = lengths("translation")

    assert known.guess("en", 1_024, 9_999).median == 1_024
    assert known.guess("ar", 1_024, 9_999).median == 2_048
    assert known.guess("sw", 1_024, 9_999).median == 1_024  # the middle of both


def test_the_sandbox_teaches_nothing_about_a_real_provider():
    teach({0: 10}, provider="sandbox")

    assert not lengths(provider="openai").guess("", 1_024, 100).is_learned


def test_an_estimate_grows_from_probable_to_worst():
    rate = current_rate("sandbox", MODEL, NOVEMBER)
    estimator = Estimator(
        get_workload("captions"), rate, provider="sandbox", model=MODEL
    )

    costs = estimator.cost([("caption", Rendered("", b"", 1_000, 100))] * 3)

    assert (costs.items, costs.guessed) == (3, 3)
    assert (costs.input_tokens, costs.output_tokens) == (3_000, 150)
    assert costs.expected == 3 * (1_000 * 75 + 50 * 300)
    assert costs.high == 3 * (1_000 * 75 + 90 * 300)
    assert costs.worst == 3 * (1_100 * 75 + 100 * 300)
    assert costs.real_time == 2 * costs.expected


def test_finished_work_teaches_what_the_next_will_cost(sandbox):
    make_collected_run(items=10)
    work_off()
    make_paintings(*[f"canvas {number}" for number in range(10)])

    plan = plan_run("captions", {})

    assert AnswerLength.objects.aggregate(n=Sum("answers"))["n"] == 10
    assert (plan.items, plan.costs.guessed) == (10, 0)
    actual = JobShare.objects.get().cost_nanos
    assert plan.costs.expected == pytest.approx(actual, rel=0.25)
    assert actual <= plan.costs.worst


def test_a_run_keeps_what_was_expected_of_it_beside_what_it_came_to(sandbox):
    make_collected_run(items=10)
    work_off()
    first = Run.objects.get()
    assert first.expected_nanos < first.high_nanos < first.estimate_nanos
    assert first.counted_tokens > 0
    make_paintings(*[f"canvas {number}" for number in range(10)])

    run = make_collected_run(items=0)
    work_off()

    actual = JobShare.objects.get(run=run).cost_nanos
    assert run.expected_nanos == pytest.approx(actual, rel=0.25)


def answered(job, *, outcome=AttemptOutcome.APPLIED):
    """Attempts at a job's items: answers twice as long as their requests."""
    ItemAttempt.objects.bulk_create(
        ItemAttempt(
            item_id=item_id,
            job=job,
            outcome=outcome,
            input_tokens=100,
            output_tokens=200,
        )
        for item_id in job.items.values_list("pk", flat=True)
    )


def test_only_answers_that_were_applied_teach():
    job = make_job(items=3, status=JobStatus.COMPLETED)
    answered(job, outcome=AttemptOutcome.FAILED)

    learn_lengths(job)

    assert not AnswerLength.objects.exists()


def test_a_job_teaches_nothing_of_what_its_items_came_to_in_another():
    job, other = (make_job(items=2, status=JobStatus.COMPLETED) for _ in range(2))
    answered(job, outcome=AttemptOutcome.RETRIED)
    for attempt in ItemAttempt.objects.filter(job=job):
        ItemAttempt.objects.create(
            item_id=attempt.item_id,
            job=other,
            outcome=AttemptOutcome.APPLIED,
            input_tokens=100,
            output_tokens=200,
        )

    learn_lengths(job)

    assert not AnswerLength.objects.exists()


def test_a_large_job_teaches_by_some_of_its_answers():
    job = make_job(items=8, status=JobStatus.COMPLETED)
    answered(job)
    job.items_total = 4 * MOST_SAMPLES

    learn_lengths(job)

    row = AnswerLength.objects.get()
    assert (row.answers, row.size, row.step) == (2, size_of(100), 8)


def taught(*, items, output_tokens=200):
    job = make_job(items=items, status=JobStatus.PROCESSED)
    answered(job)
    ItemAttempt.objects.filter(job=job).update(output_tokens=output_tokens)
    learn_lengths(job)


def test_jobs_add_up_and_each_counts_for_less_with_every_later_one():
    for _ in range(3):
        taught(items=3)

    weight = AnswerLength.objects.get().answers
    assert weight == pytest.approx(3 + 3 * FADING + 3 * FADING**2)


def test_what_was_learned_long_ago_gives_way_to_what_is_so_now():
    teach({8: 50}, size=size_of(100))  # once answers were twice as long as requests
    for _ in range(15):
        taught(items=3, output_tokens=50)

    assert lengths().guess("", 100, 1_000).median == 50


def test_what_a_job_says_nothing_of_does_not_fade():
    teach({8: 50}, size=size_of(100) + 1)

    taught(items=3)

    assert AnswerLength.objects.get(size=size_of(100) + 1).answers == 50
