"""The provider's queue of input tokens: its limit is learned, and forgotten."""

from datetime import timedelta

import pytest
from django.utils import timezone

from batches.models import BatchJob, TokenQueue
from batches.services.token_queue import (
    Limit,
    learn_accepted,
    learn_count,
    learn_refusal,
    limit_of,
    told_limit,
)
from batches.states import JobStatus
from tests.batches.queueing import MODEL, queue, with_tokens
from tests.driving import work_off
from tests.factories import (
    make_job,
)

pytestmark = pytest.mark.django_db

TOLD = (
    "Enqueued token limit reached for gpt-4o-mini in organization org-x. Limit: 1,000 "
    "enqueued tokens. Please try again once some in_progress batches have been "
    "completed."
)
UNTOLD = "Enqueued token limit reached for gpt-4o-mini in organization org-x."


# --- learning -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        (TOLD, 1_000),
        (TOLD.replace("1,000", "2,000,000"), 2_000_000),
        (TOLD.replace("1,000", "0"), None),
        (UNTOLD, None),
        ("", None),
    ],
)
def test_the_limit_is_read_out_of_the_refusal(message, limit):
    assert told_limit(message) == limit


def test_a_limit_that_is_told_is_kept_to():
    with_tokens(700, JobStatus.IN_PROGRESS)
    refused = with_tokens(600)

    goes_at_once = learn_refusal(refused, TOLD)

    assert (queue().allowance, queue().told_limit, queue().refusals) == (1000, 1000, 1)
    assert goes_at_once


def test_a_limit_that_is_not_told_lies_between_what_fitted_and_what_did_not():
    with_tokens(600, JobStatus.IN_PROGRESS)

    learn_refusal(with_tokens(400), UNTOLD)

    assert (queue().allowance, queue().refused_tokens) == (800, 1000)


def test_what_is_being_validated_itself_may_or_may_not_be_in_the_queue():
    with_tokens(600, JobStatus.IN_PROGRESS)
    with_tokens(400)

    learn_refusal(with_tokens(200), UNTOLD)

    assert (queue().allowance, queue().refused_tokens) == (900, 1200)


def test_a_refusal_below_the_limit_tells_that_others_use_it_and_keeps_to_less():
    with_tokens(300, JobStatus.IN_PROGRESS)

    learn_refusal(with_tokens(300), TOLD)

    assert (queue().allowance, queue().told_limit) == (450, 1000)


def test_of_two_refusals_the_lower_one_counts_while_it_is_believed():
    learn_refusal(with_tokens(1000), UNTOLD)
    assert queue().refused_tokens == 1000

    second = with_tokens(800)
    learn_refusal(second, UNTOLD)  # beside the first: 1,800 were too much
    assert queue().refused_tokens == 1000

    TokenQueue.objects.update(refused_at=timezone.now() - timedelta(hours=2))
    learn_refusal(second, UNTOLD)
    assert queue().refused_tokens == 1800


def test_others_who_fill_the_queue_do_not_make_our_jobs_tiny():
    alone = with_tokens(500)
    for _ in range(12):
        assert not learn_refusal(alone, TOLD)  # so it waits for a while
        alone.queued_tokens = queue().allowance  # and is cut

    assert queue().allowance == 125


def test_a_refusal_never_raises_what_is_kept_to():
    TokenQueue.objects.create(provider="sandbox", model=MODEL, allowance=400)
    with_tokens(700, JobStatus.IN_PROGRESS)

    learn_refusal(with_tokens(600), UNTOLD)
    assert queue().allowance == 400

    learn_refusal(with_tokens(600), TOLD)
    assert queue().allowance == 400


def test_what_fitted_is_gone_back_to_where_it_was_near_what_was_too_much():
    learn_refusal(with_tokens(1000), UNTOLD)
    BatchJob.objects.all().delete()
    learn_accepted(with_tokens(900, JobStatus.IN_PROGRESS))
    BatchJob.objects.all().delete()
    assert queue().held_tokens == 900

    with_tokens(450, JobStatus.IN_PROGRESS)
    learn_refusal(with_tokens(500), UNTOLD)

    assert (queue().allowance, queue().refused_tokens) == (900, 950)


def test_what_fitted_once_is_forgotten_where_it_is_refused():
    TokenQueue.objects.create(
        provider="sandbox", model=MODEL, allowance=900, held_tokens=900
    )

    learn_refusal(with_tokens(800), UNTOLD)

    assert (queue().allowance, queue().held_tokens) == (400, None)


def test_a_job_that_came_too_early_tells_nothing_of_the_limit():
    TokenQueue.objects.create(provider="sandbox", model=MODEL, allowance=900)
    now = timezone.now()
    with_tokens(800, JobStatus.FINALIZING, finalizing_at=now)

    learn_refusal(with_tokens(900), UNTOLD)

    assert (queue().allowance, queue().refused_tokens) == (900, 1700)
    assert queue().came_early_at is not None


def test_a_batch_that_ended_since_a_job_was_sent_may_have_been_in_its_way():
    beside = with_tokens(400, JobStatus.IN_PROGRESS)
    job = with_tokens(500)
    BatchJob.objects.filter(pk=beside.pk).update(
        status=JobStatus.COMPLETED, completed_at=timezone.now()
    )

    learn_refusal(job, UNTOLD)

    assert queue().refused_tokens == 900


def test_jobs_that_search_fall_in_size_whatever_is_being_validated():
    limit = Limit(kept_to=500, too_much=1000)

    first = limit.probe(0, None)
    second = limit.probe(first, first)
    third = limit.probe(first + second, second)

    assert (first, second, third) == (500, 125, 31)


def test_no_job_searches_where_the_limit_is_about_found_or_known():
    assert Limit(kept_to=800, too_much=1000, held=800).probe(800, None) == 0
    assert Limit(kept_to=600, too_much=1000, held=600).probe(600, None) == 200
    assert Limit(kept_to=600).probe(0, None) == 0


def accepted(tokens: int, **row) -> int:
    TokenQueue.objects.update_or_create(provider="sandbox", model=MODEL, defaults=row)
    learn_accepted(with_tokens(tokens, JobStatus.IN_PROGRESS))
    return queue().allowance


def test_a_full_queue_that_holds_is_tried_half_way_to_what_was_refused():
    fresh = {"refused_tokens": 1000, "refused_at": timezone.now()}

    assert accepted(800, allowance=800, **fresh) == 900
    BatchJob.objects.all().delete()
    assert accepted(960, allowance=960, **fresh) == 960  # near enough


def test_a_queue_that_is_half_empty_teaches_nothing():
    fresh = {"refused_tokens": 1000, "refused_at": timezone.now()}

    assert accepted(300, allowance=800, **fresh) == 800


def test_an_old_refusal_is_forgotten_and_more_is_tried():
    old = timezone.now() - timedelta(hours=2)

    row = {"refused_tokens": 1000, "refused_at": old}
    assert accepted(800, allowance=800, **row) == 1000


def test_a_limit_that_was_told_is_not_passed_within_a_day():
    now = timezone.now()
    told = {"told_limit": 1000, "refused_tokens": None, "refused_at": now}

    assert accepted(800, allowance=800, told_at=now, **told) == 1000
    BatchJob.objects.all().delete()
    assert accepted(1000, allowance=1000, told_at=now, **told) == 1000
    BatchJob.objects.all().delete()
    long_ago = now - timedelta(days=2)
    assert accepted(1000, allowance=1000, told_at=long_ago, **told) == 1100


def test_a_limit_that_was_passed_is_one_no_longer():
    now = timezone.now()
    accepted(1050, allowance=1100, told_limit=1000, told_at=now)

    assert queue().told_limit is None


def test_tokens_are_converted_by_what_finished_jobs_were_billed(sandbox):
    job = make_job(2)
    work_off()
    job.refresh_from_db()

    row = queue()
    assert row.counted_tokens == job.queued_tokens
    assert row.billed_tokens == job.input_tokens > 0
    row.allowance = row.billed_tokens
    assert limit_of(row, None) == pytest.approx(row.counted_tokens, abs=1)


def test_what_was_learned_by_our_count_stays_where_it_was_once_that_is_compared():
    known = {"allowance": 800, "refused_tokens": 1000, "held_tokens": 600}
    TokenQueue.objects.create(provider="sandbox", model=MODEL, **known)
    job = with_tokens(500, JobStatus.COMPLETED)
    job.items_complete, job.input_tokens = 1, 400

    learn_count(job)

    row = queue()
    assert (row.allowance, row.refused_tokens, row.held_tokens) == (640, 800, 480)
    assert limit_of(row, None) == 800  # in tokens as we count them, as before

    TokenQueue.objects.update(told_limit=1000, allowance=1000)
    job.input_tokens = 100
    learn_count(job)
    assert queue().allowance == 1000  # told in the provider's own tokens


def test_a_job_with_lines_that_failed_is_not_compared():
    job = make_job(2)
    job.items_complete, job.input_tokens = 1, 50

    learn_count(job)

    assert not TokenQueue.objects.exists()


def test_counts_that_are_far_apart_are_a_mistake():
    row = TokenQueue(allowance=1000, counted_tokens=10, billed_tokens=1000)

    assert limit_of(row, None) == 500
