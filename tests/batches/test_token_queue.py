"""The provider's queue of input tokens: jobs are made to fit into its limit."""

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
    Room,
    room_for,
)
from batches.states import EventKind, ItemStatus, JobStatus, Priority, RunStatus
from tests.batches.queueing import MODEL, queue, with_tokens
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
