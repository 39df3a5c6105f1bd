"""A provider that does not answer is left alone; one call finds out when it does."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from batches.errors import BatchError, ProviderRests
from batches.models import BatchJob, OpenItem, ProviderState, Run
from batches.providers.errors import ProviderError
from batches.providers.registry import get_provider
from batches.services import breaker
from batches.services.breaker import calls_to, jittered, rest_seconds
from batches.services.bundling import bundle
from batches.services.ingestion import ingest_jobs
from batches.services.polling import poll_jobs, retry_time
from batches.services.submission import submit_jobs
from batches.states import JobStatus
from tests.driving import later, poll_until, work_off
from tests.factories import make_collected_run, make_job
from tests.gallery.models import Caption

pytestmark = pytest.mark.django_db


def ask(now=None) -> str:
    """Ask the sandbox for nothing of importance; what came of it."""
    try:
        with calls_to("sandbox", now=now or timezone.now()):
            get_provider("sandbox").check()
    except BatchError as err:
        return err.code
    return "answered"


def state() -> ProviderState:
    return ProviderState.objects.get(pk="sandbox")


def fail(times: int) -> None:
    for _ in range(times):
        assert ask() == "provider_error"


@pytest.fixture
def broken(sandbox):
    sandbox.faults(http_500=True)
    return sandbox


def test_five_failures_in_a_row_open_it_for_all_calls(broken):
    fail(5)

    assert ask() == "provider_rests"
    assert state().open_until > timezone.now()
    assert "500" in state().last_error


def test_an_answer_between_begins_the_count_anew(broken):
    fail(4)
    broken.clear_faults()
    assert ask() == "answered"
    broken.faults(http_500=True)

    fail(4)

    assert state().failures == 4
    assert state().open_until is None


def test_failures_that_lie_far_apart_do_not_open_it(broken):
    fail(4)
    ProviderState.objects.update(failing_since=timezone.now() - timedelta(minutes=6))

    fail(1)

    assert (state().failures, state().open_until) == (1, None)


@pytest.mark.parametrize(
    "fault", [{"wrong_key": True}, {"http_409": True}], ids=["wrong key", "conflict"]
)
def test_a_refusal_in_words_is_an_answer(sandbox, fault):
    sandbox.faults(**fault)

    for _ in range(6):
        assert ask() == "provider_error"

    assert not ProviderState.objects.filter(open_until__isnull=False).exists()


@pytest.mark.parametrize(
    "fault",
    [{"http_429": True}, {"http_502": True}, {"http_503": True}, {"reset": True}],
    ids=["too many requests", "gateway", "unavailable", "cut"],
)
def test_a_bad_hour_in_any_form_opens_it(sandbox, fault):
    sandbox.faults(**fault)

    fail(5)

    assert ask() == "provider_rests"


def test_when_the_rest_is_over_one_call_goes_through_and_an_answer_ends_it(broken):
    fail(5)
    over = state().open_until + timedelta(seconds=1)
    broken.clear_faults()
    asked = []

    with calls_to("sandbox", now=over):  # half-open: this is the one
        with pytest.raises(ProviderRests), calls_to("sandbox", now=over):
            asked.append("a second one")
        get_provider("sandbox").check()

    assert asked == []
    assert (state().failures, state().open_until, state().last_error) == (0, None, "")
    assert ask() == "answered"


def test_a_probe_that_fails_makes_the_next_rest_longer(broken):
    fail(5)
    rests = []
    for _ in range(4):
        began = timezone.now()
        rests.append((state().open_until - began).total_seconds())
        assert ask(now=state().open_until) == "provider_error"

    assert rests[0] <= 3
    assert rests == sorted(rests)
    assert rests[3] > 12
    assert state().times_opened == 5


def test_a_probe_that_asks_nothing_leaves_its_turn_to_the_next(broken):
    fail(5)
    over = state().open_until
    broken.clear_faults()

    with calls_to("sandbox", now=over):
        pass  # its job waits for something else

    assert state().open_until is not None
    assert ask(now=over) == "answered"


def test_a_probe_whose_process_died_is_followed_by_another(broken):
    fail(5)
    broken.clear_faults()
    over = state().open_until
    ProviderState.objects.update(probe_until=over + timedelta(minutes=1))

    assert ask(now=over) == "provider_rests"
    assert ask(now=over + timedelta(minutes=2)) == "answered"


def test_rests_grow_from_a_minute_to_a_quarter_of_an_hour():
    minutes = [rest_seconds("openai", times) / 60 for times in range(6)]

    assert minutes == [1, 2, 4, 8, 15, 15]


def test_waits_are_spread():
    waits = {jittered(60) for _ in range(20)}

    assert len(waits) > 10
    assert all(timedelta(seconds=60) <= wait <= timedelta(seconds=90) for wait in waits)
    soonest = timezone.now() + timedelta(seconds=60)
    assert retry_time(BatchJob(provider="openai")) >= soonest


def stage(run, now=None) -> str:
    try:
        run(now=now or timezone.now())
    except BatchError as err:
        return str(err)
    return ""


def test_while_it_rests_no_stage_asks_and_each_job_says_until_when(sandbox):
    sandbox.faults(never_ending=True)
    polled = make_job(1)
    submit_jobs(now=later())
    poll_until(lambda: BatchJob.objects.get().status == JobStatus.IN_PROGRESS)
    sandbox.clear_faults()
    read = make_job(1, status=JobStatus.COMPLETED, output_file_id="file-x")
    unsent = make_job(1)
    BatchJob.objects.filter(pk=polled.pk).update(next_poll_at=None)
    until = timezone.now() + timedelta(minutes=1)
    ProviderState.objects.update_or_create(
        pk="sandbox",
        defaults={"failures": 5, "open_until": until, "last_error": "it is ill"},
    )

    for run in (submit_jobs, poll_jobs, ingest_jobs):
        assert "sandbox to answer again; it is asked at" in stage(run)

    for job in (polled, read, unsent):
        job.refresh_from_db()
        assert "it is ill" in job.waiting_reason
        assert (job.next_poll_at if job == polled else job.not_before) == until
    assert unsent.status == JobStatus.PENDING


def test_while_it_rests_items_stay_in_the_pool_and_say_until_when():
    run = make_collected_run(items=2)
    until = timezone.now() + timedelta(minutes=1)
    ProviderState.objects.create(pk="sandbox", failures=5, open_until=until)

    assert bundle() == []

    run.refresh_from_db()
    assert f"it is asked at {until:%H:%M:%S} UTC" in run.waiting_reason
    assert len(bundle(now=until)) == 1
    assert Run.objects.get().waiting_reason == ""


def test_after_an_outage_all_ends_well(sandbox):
    make_collected_run(items=4)
    sandbox.faults(http_503={"times": 12, "retry_after": 0})

    trouble = work_off()

    assert len(trouble) >= 2
    assert Caption.objects.count() == 4
    assert not OpenItem.objects.exists()
    assert state().open_until is None


def test_the_rate_limits_that_answers_tell_are_kept(sandbox):
    ask()

    told = state().rate_limits
    assert told["limit-requests"] == "5000"
    assert 0 < int(told["remaining-requests"]) < 5000
    assert told["reset-requests"].endswith("s")
    assert state().rate_limits_at is not None


def test_rate_limits_are_not_written_with_every_call(sandbox):
    ask()
    seen_at = state().rate_limits_at

    ask()

    assert state().rate_limits_at == seen_at


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_many_who_come_when_the_rest_is_over_one_gets_through(sandbox):
    over = timezone.now()
    ProviderState.objects.create(pk="sandbox", failures=5, open_until=over)
    start = threading.Barrier(6)
    came: list[str] = []

    def come() -> None:
        start.wait()
        try:
            with calls_to("sandbox", now=over + timedelta(seconds=1)):
                came.append("through")
                start.wait(timeout=20)
                get_provider("sandbox").check()
        except ProviderRests:
            came.append("waits")
            start.wait(timeout=20)
        finally:
            connection.close()

    threads = [threading.Thread(target=come) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(came) == ["through"] + ["waits"] * 5
    assert ProviderState.objects.get().open_until is None


def test_the_limit_of_failures_is_five_in_five_minutes():
    assert (5, timedelta(minutes=5)) == (breaker.FAILURES, breaker.WINDOW)
    assert ProviderError("no answer").is_bad_hour
