"""What bundling asks: how many more jobs, how large, and how much of the queue."""

import pytest
from django.utils import timezone

from batches.config import OVERRIDABLE
from batches.models import BatchJob, ConfigOverride, JobSize, TokenQueue
from batches.services.bundling import bundle
from batches.services.governor import Governor
from batches.services.job_sizes import learn_size, planned_size
from batches.states import JOB_FINAL, JOB_UNFINISHED, JobStatus
from batches.workloads import get_workload, registered
from tests.driving import work_off
from tests.factories import make_collected_run, make_job
from tests.gallery.models import Caption
from tests.gallery.workloads import CaptionWorkload

pytestmark = pytest.mark.django_db

MODEL = "gpt-4o-mini"
CAPTIONS = {
    "provider": "sandbox",
    "account": "",
    "endpoint": "/v1/chat/completions",
    "model": MODEL,
    "workload": "captions",
}


def governor() -> Governor:
    return Governor(now=timezone.now())


def make_jobs(count, status=JobStatus.IN_PROGRESS, **given):
    """Jobs without items, which are enough to take slots and tokens."""
    given = {**CAPTIONS, **given}
    given.setdefault("create_sent_at", timezone.now())
    given.setdefault("finished_at", timezone.now() if status in JOB_FINAL else None)
    for _ in range(count):
        job = BatchJob(status=status, **given)
        job.provider_batch_id = f"batch_{job.token}"
        job.save()


# --- slots ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", JobStatus)
def test_every_unfinished_job_takes_a_slot(status):
    make_jobs(3, status)

    reason = governor().slot_reason(CAPTIONS)

    expected = "one of 3 captions jobs to end" if status in JOB_UNFINISHED else ""
    assert reason == expected


def test_a_kind_of_work_has_slots_of_its_own():
    make_jobs(3)
    make_jobs(4, workload="dictionary")

    assert governor().slot_reason({**CAPTIONS, "workload": "translation"}) == ""
    assert governor().slot_reason({**CAPTIONS, "workload": "dictionary"}) == ""


def test_ten_jobs_in_all_leave_no_slot():
    for workload in ("one", "two", "three", "four", "five"):
        make_jobs(2, workload=workload)

    assert governor().slot_reason(CAPTIONS) == "one of 10 jobs to end"


def test_jobs_made_since_it_looked_count():
    looked = governor()
    for _ in range(3):
        assert looked.slot_reason(CAPTIONS) == ""
        looked.took_job(CAPTIONS, items=1, tokens=10)

    assert looked.slot_reason(CAPTIONS) == "one of 3 captions jobs to end"


def test_slots_are_settings(settings):
    settings.BATCH_MAX_JOBS_PER_WORKLOAD = "captions=1, *=2"
    make_jobs(1)
    make_jobs(1, workload="other")

    assert governor().slot_reason(CAPTIONS) != ""
    assert governor().slot_reason({**CAPTIONS, "workload": "other"}) == ""

    ConfigOverride.objects.create(
        name="BATCH_MAX_JOBS_PER_WORKLOAD", value={"captions": 2}
    )
    assert governor().slot_reason(CAPTIONS) == ""


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("", {}),
        ("dictionary=5", {"dictionary": 5}),
        (" *=3 , dictionary=5", {"*": 3, "dictionary": 5}),
        (["*=3"], {"*": 3}),
        ({"*": 3}, {"*": 3}),
    ],
)
def test_figures_by_name_are_read_as_they_are_written(typed, value):
    assert OVERRIDABLE["BATCH_MAX_JOBS_PER_WORKLOAD"].check(typed) == value


@pytest.mark.parametrize(
    "typed", ["5", "dictionary", "a=0", "a=-1", "a=1.5", "=3", "a=1,a=2", {"a": "1"}, 3]
)
def test_figures_that_are_none_are_refused(typed):
    with pytest.raises(ValueError):
        OVERRIDABLE["BATCH_MAX_JOBS_PER_WORKLOAD"].check(typed)


def test_what_waits_for_a_slot_says_so_and_goes_out_when_one_is_free(sandbox, settings):
    settings.BATCH_MAX_JOBS_PER_WORKLOAD = "*=1"
    with registered(Bounded):
        run = make_collected_run(items=5, workload="bounded")

        assert [job.items_total for job in bundle()] == [2]
        run.refresh_from_db()
        assert run.waiting_reason == (
            "2 of 5 go now, 3 wait for one of 1 bounded jobs to end"
        )
        assert bundle() == []

        work_off()
    assert Caption.objects.count() == 5
    assert BatchJob.objects.count() == 3


# --- sizes ----------------------------------------------------------------------------


class Bounded(CaptionWorkload):
    key = "bounded"
    job_size_bounds = (2, 2)


@pytest.fixture
def dictionary():
    workload = get_workload("dictionary")
    assert workload.job_size_bounds == (500, 2000)
    return workload


@pytest.mark.parametrize(
    ("waiting", "size"),
    [(10, 1000), (3000, 1000), (3001, 1001), (9000, 3000), (1_000_000, 50_000)],
)
def test_jobs_grow_when_more_waits_than_fits_into_all_slots(waiting, size):
    assert governor().job_size(CAPTIONS, waiting) == size


def test_jobs_that_grow_take_all_that_waits_into_the_slots_that_are_free():
    looked, waiting = governor(), 9000
    sizes = []
    while waiting and not looked.slot_reason(CAPTIONS):
        sizes.append(min(looked.job_size(CAPTIONS, waiting), waiting))
        looked.took_job(CAPTIONS, items=sizes[-1], tokens=1)
        waiting -= sizes[-1]

    assert sizes == [3000, 3000, 3000]


def test_the_bounds_of_a_kind_of_work_hold_however_much_waits(dictionary):
    size = governor().job_size({**CAPTIONS, "workload": "dictionary"}, 1_000_000)

    assert size == 1250  # in the middle, to begin with


def test_without_scaling_the_plan_counts_within_the_bounds(dictionary, settings):
    settings.BATCH_AUTO_SCALING = False

    sizes = []
    for plan in (100, 1000, 5000):
        settings.BATCH_MAX_REQUESTS = plan
        sizes.append(planned_size("dictionary"))

    assert sizes == [500, 1000, 2000]


def learned(total, complete, failed, *, before=None) -> int:
    if before:
        JobSize.objects.update_or_create(pk="dictionary", defaults={"size": before})
    job = BatchJob(
        workload="dictionary",
        items_total=total,
        items_complete=complete,
        items_failed=failed,
    )
    learn_size(job, now=timezone.now())
    return planned_size("dictionary")


@pytest.mark.parametrize(
    ("before", "complete", "failed", "after"),
    [
        (1000, 900, 100, 1200),  # more than twice as many
        (1000, 600, 300, 1000),  # twice as many is not more
        (1000, 500, 500, 1000),
        (1000, 400, 600, 800),
        (1900, 1900, 0, 2000),
        (550, 100, 450, 500),
    ],
)
def test_the_size_follows_the_items_of_the_last_job(
    dictionary, before, complete, failed, after
):
    assert learned(before, complete, failed, before=before) == after


def test_a_job_of_a_few_items_does_not_make_the_next_larger(dictionary):
    assert learned(40, 40, 0, before=1000) == 1000
    assert learned(40, 0, 40, before=1000) == 800


def test_what_ended_neither_well_nor_badly_teaches_nothing(dictionary):
    assert learned(1000, 0, 0, before=1000) == 1000


def test_a_finished_job_draws_the_lesson_by_itself(sandbox):
    with registered(Bounded):
        make_collected_run(items=2, workload="bounded")
        work_off()

        size = JobSize.objects.get(pk="bounded")
        assert (size.size, size.items_complete, size.items_failed) == (2, 2, 0)


# --- the provider's queue -------------------------------------------------------------


@pytest.fixture
def queue():
    """A queue of 900 tokens; the slots are three, and one of them is for the job
    ahead."""
    return TokenQueue.objects.create(provider="sandbox", model=MODEL, allowance=900)


def test_without_a_limit_that_is_known_there_is_none():
    assert governor().queue_left(CAPTIONS) is None
    assert governor().queue_reason(CAPTIONS) == ""


def test_jobs_are_parts_of_the_queue(queue):
    looked = governor()

    assert looked.queue_left(CAPTIONS) == 450
    looked.took_job(CAPTIONS, items=1, tokens=450)
    assert looked.queue_left(CAPTIONS) == 450
    looked.took_job(CAPTIONS, items=1, tokens=450)
    assert looked.queue_left(CAPTIONS) == 0
    assert looked.queue_reason(CAPTIONS) == (
        "room in the queue of sandbox for gpt-4o-mini: 900 of 900 input tokens are "
        "taken"
    )


def test_one_job_is_made_ahead_of_a_full_queue(queue):
    make_jobs(2, queued_tokens=450)

    assert governor().queue_left(CAPTIONS) == 450
    assert governor().queue_reason(CAPTIONS) == ""

    make_jobs(1, JobStatus.PENDING, queued_tokens=450, create_sent_at=timezone.now())
    assert governor().queue_left(CAPTIONS) == 0


def test_one_free_slot_takes_all_the_room(queue):
    make_jobs(1, JobStatus.COMPLETED, queued_tokens=450)  # left the queue already
    make_jobs(1, queued_tokens=100)

    assert governor().queue_left(CAPTIONS) == 800


def test_a_little_room_is_left_until_there_is_more(queue):
    make_jobs(1, queued_tokens=800)

    assert governor().queue_left(CAPTIONS) == 450  # the job ahead


def test_queues_are_those_of_a_model_at_a_provider(queue):
    make_jobs(3, queued_tokens=900, model="gpt-4.1")
    make_jobs(3, queued_tokens=900, provider="openai", workload="other")

    assert governor().queue_left({**CAPTIONS, "workload": "x"}) == 450
    assert governor().queue_left({**CAPTIONS, "model": "gpt-4.1"}) is None


def test_a_limit_set_by_hand_holds_before_anything_is_learned(settings):
    settings.TOKEN_QUEUE_LIMITS = f"{MODEL}=600"

    assert governor().queue_left(CAPTIONS) == 300

    TokenQueue.objects.create(provider="sandbox", model=MODEL, allowance=200)
    assert governor().queue_left(CAPTIONS) == 100


def test_tokens_that_the_provider_counts_differently_are_converted(queue):
    TokenQueue.objects.update(counted_tokens=1000, billed_tokens=500)

    assert governor().queue_left(CAPTIONS) == 900  # half of 1,800 of ours


def test_bundling_cuts_jobs_to_what_the_queue_has_room_for(settings):
    run = make_collected_run(items=6)
    each = run.items.first().open.input_tokens
    settings.TOKEN_QUEUE_LIMITS = f"{MODEL}={each * 4}"

    jobs = bundle()

    assert [job.items_total for job in jobs] == [2, 2]
    run.refresh_from_db()
    assert (
        "4 of 6 go now, 2 wait for room in the queue of sandbox" in run.waiting_reason
    )


def test_an_item_that_is_larger_than_the_queue_goes_alone(settings):
    settings.TOKEN_QUEUE_LIMITS = f"{MODEL}=1"
    make_collected_run(items=2)

    assert [job.items_total for job in bundle()] == [1]


def test_bundling_asks_in_as_many_queries_however_many_jobs_there_are(
    django_assert_num_queries,
):
    make_job(1)
    make_jobs(2, workload="other")
    with django_assert_num_queries(6):
        governor()
    make_jobs(200, workload="more")

    with django_assert_num_queries(6):
        governor()
