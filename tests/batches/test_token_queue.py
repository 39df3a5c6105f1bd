"""The provider's queue of input tokens: its limit is learned, and jobs fit into it."""

import threading
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from batches.models import BatchItem, BatchJob, Event, JobShare, OpenItem, TokenQueue
from batches.services.bundling import bundle
from batches.services.collection import collect_run
from batches.services.cutting import cut_job
from batches.services.ingestion import ingest_jobs
from batches.services.lifecycle import update_job
from batches.services.pipeline import is_idle
from batches.services.polling import poll_jobs
from batches.services.reconciliation import clean_up
from batches.services.recount import recount
from batches.services.submission import submit_jobs
from batches.services.token_queue import (
    Limit,
    Room,
    learn_accepted,
    learn_count,
    learn_refusal,
    limit_of,
    room_for,
    told_limit,
)
from batches.states import EventKind, ItemStatus, JobStatus, Priority, RunStatus
from tests.driving import later, poll_until, work_off
from tests.factories import (
    item_ids,
    make_collected_run,
    make_job,
    make_paintings,
    make_run,
)
from tests.gallery.models import Caption, Painting
from tests.sandbox.fixtures import running_sandbox

pytestmark = pytest.mark.django_db

MODEL = "gpt-4o-mini"
TOLD = (
    "Enqueued token limit reached for gpt-4o-mini in organization org-x. Limit: 1,000 "
    "enqueued tokens. Please try again once some in_progress batches have been "
    "completed."
)
UNTOLD = "Enqueued token limit reached for gpt-4o-mini in organization org-x."


def queue() -> TokenQueue:
    return TokenQueue.objects.get(provider="sandbox", model=MODEL)


def with_tokens(tokens: int, status=JobStatus.VALIDATING, **given) -> BatchJob:
    """A job of one item that counts as so many tokens."""
    return make_job(1, status=status, queued_tokens=tokens, **given)


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


# --- room -----------------------------------------------------------------------------


@pytest.fixture
def limited():
    """A queue of the tokens of four items; how many these are."""
    make_collected_run(items=1)
    tokens = OpenItem.objects.get().input_tokens * 4
    OpenItem.objects.all().delete()
    BatchItem.objects.all().delete()
    Painting.objects.all().delete()
    TokenQueue.objects.create(provider="sandbox", model=MODEL, allowance=tokens)
    return tokens


def fitting_job(items: int) -> BatchJob:
    """A job of so many items, made before anything was known of the queue."""
    rows = list(TokenQueue.objects.values())
    TokenQueue.objects.all().delete()
    job = make_job(items)
    TokenQueue.objects.bulk_create(TokenQueue(**row) for row in rows)
    return job


def test_a_job_that_fits_goes(limited):
    assert room_for(fitting_job(4)) == Room()


def test_a_job_waits_for_room_and_says_how_much_is_taken(limited):
    with_tokens(limited - 1, JobStatus.IN_PROGRESS)
    job = fitting_job(2)

    room = room_for(job)

    assert room.cut_to is None
    assert room.reason == (
        f"room in the queue of sandbox for gpt-4o-mini: {limited - 1} of {limited} "
        "input tokens are taken"
    )


def test_a_job_is_cut_to_the_room_where_that_is_worth_it(limited):
    with_tokens(limited // 2, JobStatus.IN_PROGRESS)

    assert room_for(fitting_job(3)).cut_to == limited // 2


def test_a_job_alone_goes_out_however_large_one_item_is(limited):
    TokenQueue.objects.update(allowance=1)

    assert room_for(fitting_job(3)) == Room(cut_to=1)
    assert room_for(fitting_job(1)) == Room()


def test_a_batch_that_is_finishing_makes_room_unless_that_was_refused(limited):
    now = timezone.now()
    with_tokens(limited, JobStatus.FINALIZING, finalizing_at=now)
    job = fitting_job(4)

    assert room_for(job) == Room()

    TokenQueue.objects.update(came_early_at=now + timedelta(seconds=1))
    assert room_for(job).reason != ""


def test_a_job_whose_answer_was_lost_may_be_in_the_queue(limited):
    with_tokens(limited, JobStatus.PENDING, create_sent_at=timezone.now())

    assert room_for(fitting_job(1)).reason != ""


# --- cutting --------------------------------------------------------------------------


def test_what_is_cut_off_waits_as_if_it_had_never_been_taken(sandbox):
    first = make_collected_run(items=3, priority=Priority.HIGH)
    second = make_collected_run(items=2)
    (job,) = bundle()
    each = job.queued_tokens // 5
    reserved = dict(job.shares.values_list("run", "reserved_nanos"))

    given_back = cut_job(job, each * 2, reason="for the test")

    job.refresh_from_db()
    assert given_back == 3
    assert (job.items_total, job.queued_tokens) == (2, each * 2)
    assert job.file_bytes == sum(
        OpenItem.objects.filter(job=job).values_list("body_bytes", flat=True)
    )
    share = job.shares.get()
    assert (share.run_id, share.sent) == (first.pk, 2)
    assert share.reserved_nanos == reserved[first.pk] * 2 // 3
    left = BatchItem.objects.filter(job=None)
    assert set(left.values_list("status", "attempts")) == {(ItemStatus.PENDING, 0)}
    assert OpenItem.objects.filter(job=None).count() == 3
    second.refresh_from_db()
    assert second.status == RunStatus.PENDING
    assert recount(repair=False) == []
    note = Event.objects.get(job=job, kind=EventKind.BATCH_NOTE)
    assert note.message == "cut to 2 of 5 requests: for the test"

    work_off()
    assert Caption.objects.count() == 5
    assert recount(repair=False) == []


def test_a_file_that_was_uploaded_is_given_up_for_the_shorter_one(sandbox):
    job = make_job(3)
    update_job(job, input_file_id="file-too-long")

    cut_job(job, job.queued_tokens // 2, reason="for the test")

    assert (job.input_file_id, job.submission_number) == ("", 2)


def test_nothing_is_cut_where_all_fits_or_not_even_one_does():
    job = make_job(3)

    assert cut_job(job, job.queued_tokens, reason="x") == 0
    assert cut_job(job, 1, reason="x", at_least_one=False) == 0
    assert len(item_ids(job)) == 3


@pytest.mark.parametrize("status", [JobStatus.VALIDATING, JobStatus.IN_PROGRESS])
def test_a_job_that_was_sent_is_not_cut(status):
    job = make_job(3, status=status)

    with pytest.raises(ValueError, match="was sent"):
        cut_job(job, 1, reason="x")


# --- against the provider -------------------------------------------------------------


def test_a_job_too_large_for_the_queue_goes_out_in_pieces_that_fit(sandbox):
    job = make_job(6)
    sandbox.faults(token_limit=job.queued_tokens // 3)

    work_off(seconds=60)

    assert Caption.objects.count() == 6
    assert set(BatchJob.objects.values_list("status", flat=True)) == {
        JobStatus.PROCESSED
    }
    assert BatchJob.objects.count() >= 3
    assert set(BatchItem.objects.values_list("attempts", flat=True)) == {1}
    assert queue().refusals == 1
    assert JobShare.objects.filter(sent=0).count() == 0
    assert recount(repair=False) == []


def test_a_refused_job_goes_out_as_soon_as_there_is_room(sandbox):
    """Not after a wait: the clock does not move here."""
    sandbox.faults(never_ending=True)
    first = make_job(4)
    submit_jobs(now=timezone.now())
    poll_until(lambda: status_of(first) == JobStatus.IN_PROGRESS)
    sandbox.faults(token_limit={"tokens": first.queued_tokens + 30})
    second = make_job(4)
    submit_jobs(now=timezone.now())
    poll_until(lambda: status_of(second) == JobStatus.PENDING)

    submit_jobs(now=timezone.now())
    second.refresh_from_db()
    assert second.status == JobStatus.PENDING
    assert "input tokens are taken" in second.waiting_reason
    assert second.not_before is None

    sandbox.faults(never_ending=None)
    poll_until(lambda: status_of(first) == JobStatus.COMPLETED)
    submit_jobs(now=timezone.now())
    assert status_of(second) == JobStatus.VALIDATING
    sandbox.clear_faults()
    work_off()


def status_of(job: BatchJob) -> str:
    return BatchJob.objects.values_list("status", flat=True).get(pk=job.pk)


# How long the provider's time runs between two rounds of ours, in its seconds: the
# fiftieth of a batch's, as if batches took a day and we looked every half hour.
BATCH_SECONDS = 10.0
STEP_SECONDS = BATCH_SECONDS / 50
# Of hours that a batch takes, validation takes seconds or some minutes.
VALIDATION_SECONDS = BATCH_SECONDS / 50


@pytest.fixture
def slow_sandbox(sandbox, settings):
    """A provider of its own, whose batches take some seconds: only then is there a
    queue."""
    flags = (f"--latency={BATCH_SECONDS}", f"--validation={VALIDATION_SECONDS}")
    with running_sandbox(*flags) as process:
        settings.SANDBOX_URL = process.url
        yield process


def make_long_run(items: int) -> int:
    """A collected run of texts of some length; all its tokens, as we count them."""
    make_paintings(*[f"{n} " + "a garden wall in snow " * 8 for n in range(items)])
    collect_run(make_run())
    return sum(OpenItem.objects.values_list("input_tokens", flat=True))


def mean_while_items_wait(process, *, seconds: float) -> float:
    """All stages to the end. The mean of the queue as a share of its limit, as the
    provider saw it: from the first refusal until the pool was empty for good.

    Its time stands still while we work: how fast this machine is makes no difference.
    """
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    emptied_at = 0.0
    while not is_idle():
        now = process.run_clock(False)
        # In the order in which one asks for the next where a worker runs.
        for stage in (poll_jobs, ingest_jobs, bundle, submit_jobs, clean_up):
            stage(now=later())
        if OpenItem.objects.filter(job=None).exists():
            emptied_at = 0.0
        emptied_at = emptied_at or now
        assert time.monotonic() < deadline
        process.run_clock(True)
        pause.wait(STEP_SECONDS)
    path = f"/_sandbox/ledger?by_custom_id=false&until={emptied_at}"
    found = process.call("GET", path)["enqueued"][MODEL]
    assert found["peak"] <= found["limit"]
    return float(found["mean"] / found["limit"])


@pytest.mark.slow
@pytest.mark.parametrize("untold", [False, True], ids=["told", "not told"])
def test_a_queue_of_unknown_length_is_kept_full_and_no_job_fails(slow_sandbox, untold):
    tokens = make_long_run(480)
    # So many times the queue wait: a search weighs what it does on a morning's work.
    times = 12 if untold else 6
    slow_sandbox.faults(token_limit={"tokens": tokens // times, "untold": untold})

    mean = mean_while_items_wait(slow_sandbox, seconds=600)

    assert set(BatchJob.objects.values_list("status", flat=True)) == {
        JobStatus.PROCESSED
    }
    assert Caption.objects.count() == 480
    assert set(BatchItem.objects.values_list("attempts", flat=True)) == {1}
    assert recount(repair=False) == []
    assert mean >= 0.85, mean
