"""A large run shows on a few answers what all of it would be worth."""

from collections import Counter

import pytest

from batches.models import Alert, BatchItem, BatchJob, JobShare, OpenItem, TrackRecord
from batches.monitoring.explain import explain_item, explain_run
from batches.services import canary
from batches.services.bundling import bundle
from batches.services.collection import collect_run
from batches.services.effects import waiting_effect
from batches.services.lifecycle import run_figures
from batches.services.recount import recount
from batches.services.requeue import failed_of_run, requeue
from batches.services.steering import cancel_job, cancel_run, resume_run
from batches.states import CanaryState, EventKind, ItemStatus, RunStatus, Severity
from batches.workloads import registered
from tests.batches.reusing import CaptionsInTongues, CheckedCaptions, lines_billed
from tests.driving import work_off
from tests.factories import make_paintings, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def workloads():
    with registered(CheckedCaptions), registered(CaptionsInTongues):
        yield


def make_large_run(items=120, bad=0, mark="BAD", workload="checked_captions", **given):
    """A collected run; so many of its titles, spread evenly, have bad answers."""
    every = items // bad if bad else items + 1
    make_paintings(
        *[
            f"{mark if number % every == 0 else ''} {'x' * number} {number}"
            for number in range(1, items + 1)
        ]
    )
    return collected(workload, **given)


def collected(workload="checked_captions", **given):
    run = make_run(workload, **{"canary": True, **given})
    collect_run(run)
    return run


def at_rest(run, *, until=None):
    """Work off what can go, until the run waits for a person or is finished."""

    def is_so():
        run.refresh_from_db()
        return bool(run.paused_at or run.finished_at)

    work_off(until=until or is_so, seconds=60)
    run.refresh_from_db()


def test_a_sample_of_a_large_run_goes_first_and_the_rest_waits_for_it():
    run = make_large_run()

    (job,) = bundle()

    assert job.items_total == 20
    run.refresh_from_db()
    assert run.canary_state == CanaryState.SAMPLING
    assert run.waiting_reason.startswith(
        "100 items wait for the answers to a sample of 20"
    )
    assert bundle() == []
    assert run.events.filter(kind=EventKind.RUN_SAMPLE).count() == 1


def test_the_sample_is_spread_over_length():
    run = make_large_run()
    (job,) = bundle()

    places = [int(item.object_id) for item in job.items.order_by("pk")]
    first = min(int(item.object_id) for item in run.items.all())
    places = sorted(place - first for place in places)

    assert (places[0], places[-1]) == (0, 119)
    gaps = [b - a for a, b in zip(places, places[1:], strict=False)]
    assert max(gaps) <= 7


def test_the_sample_is_spread_over_what_the_workload_sets_apart():
    titles = [
        f"{number}|ar en" if number % 10 else f"{number}|so" for number in range(120)
    ]
    make_paintings(*titles)
    run = collected("captions_in_tongues")

    (job,) = bundle()

    targets = Counter(job.items.values_list("target", flat=True))
    assert targets == {"ar": 7, "en": 7, "so": 6}
    assert run.items_collected > 200


def test_when_the_sample_passes_the_rest_goes(sandbox):
    run = make_large_run(bad=6)

    at_rest(run)

    assert (run.status, run.canary_state) == (RunStatus.COMPLETED, CanaryState.PASSED)
    first, *_ = BatchJob.objects.order_by("pk")
    assert first.items_total == 20
    assert lines_billed(sandbox) == 120
    assert recount(repair=False) == []


def test_when_the_sample_does_not_pass_the_run_stops_and_asks(sandbox):
    run = make_large_run(bad=60)

    at_rest(run)

    assert run.canary_state == CanaryState.BRAKED
    assert run.is_braked
    waits = waiting_effect(run)
    assert waits.items == 100
    assert (run.brake["judged"], run.brake["items"]) == (20, 100)
    failed = 20 - run.brake["passed"]
    assert 8 <= failed <= 12
    assert run.brake["checks"] == {"dull": failed, "too_long": failed}
    assert run.brake["nanos"] == waits.nanos > 0
    assert lines_billed(sandbox) == 20
    alert = Alert.objects.open().get()
    assert (alert.code, alert.severity) == ("low_pass_ratio", Severity.CRITICAL)
    assert f"only {20 - failed} of 20 answers of its sample passed" in alert.message
    assert f"{failed} × dull" in alert.message
    assert "100 items wait, and at most $" in alert.message
    assert "Resume the run to go on anyway" in explain_run(run).next_step
    waiting = OpenItem.objects.filter(run=run).first()
    assert "Its run is paused: only" in explain_item(waiting.item).next_step
    assert recount(repair=False) == []


def test_a_person_may_go_on_anyway_and_is_not_asked_again(sandbox, settings):
    settings.BATCH_MAX_REQUESTS = 50
    run = make_large_run(bad=60)
    at_rest(run)

    resume_run(run, by="amina")
    at_rest(run)

    assert run.status == RunStatus.COMPLETED
    assert run.brake["resumed_by"] == "amina"
    assert not run.is_braked
    assert not Alert.objects.open().exists()
    assert run.events.filter(kind=EventKind.RUN_BRAKED).count() == 1


def test_cancelling_a_braked_run_answers_its_question(sandbox):
    run = make_large_run(bad=120)
    at_rest(run)

    cancel_run(run, by="amina")

    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED
    assert run_figures(run).cancelled == 100
    assert not Alert.objects.open().exists()
    assert lines_billed(sandbox) == 20


def test_a_later_job_brakes_a_run_too(sandbox):
    make_paintings(*[f"BAD {number}" for number in range(40)])
    run = collected(follow_ups=1)

    at_rest(run)

    job = BatchJob.objects.get()
    assert run.is_braked
    assert run.canary_state == CanaryState.NOT_NEEDED
    assert run.brake["job"] == job.pk
    assert (run.brake["judged"], run.brake["passed"], run.brake["items"]) == (40, 0, 40)
    assert run.brake["checks"] == {"dull": 40, "too_long": 40}

    resume_run(run, by="amina")
    at_rest(run)
    assert run.status == RunStatus.COMPLETED
    assert lines_billed(sandbox) == 80


def test_of_few_answers_no_ratio_is_made(sandbox):
    make_paintings(*[f"BAD {number}" for number in range(19)])
    run = collected(follow_ups=1)

    at_rest(run)

    assert (run.status, run.brake) == (RunStatus.COMPLETED, None)


def test_a_run_of_which_all_is_sent_is_not_stopped(sandbox):
    make_paintings(*[f"BAD {number}" for number in range(40)])
    run = collected()

    at_rest(run)

    assert (run.status, run.brake) == (RunStatus.COMPLETED, None)


def test_a_run_of_one_hundred_is_not_held():
    run = make_large_run(items=100)

    (job,) = bundle()

    assert job.items_total == 100
    run.refresh_from_db()
    assert run.canary_state == CanaryState.NOT_NEEDED


def test_a_run_without_canary_goes_at_once_and_is_never_braked(sandbox):
    run = make_large_run(bad=120, canary=False)

    at_rest(run)

    assert run.status == RunStatus.COMPLETED
    assert BatchJob.objects.count() == 1
    assert run.brake is None
    assert JobShare.objects.get().flagged == 120


def test_what_is_known_needs_no_sample(sandbox):
    known = make_large_run(items=60, canary=False)
    at_rest(known)
    (record,) = TrackRecord.objects.all()
    assert record.judged == 60

    run = make_large_run(items=120, force_refresh=True)
    (job,) = bundle()

    assert job.items_total == 180
    run.refresh_from_db()
    assert run.canary_state == CanaryState.NOT_NEEDED


def test_only_what_is_new_is_in_the_sample(sandbox):
    make_paintings(*[f"{number}|ar" for number in range(60)])
    at_rest(collected("captions_in_tongues", canary=False))
    make_paintings(*[f"{number}|ar en" for number in range(100, 170)])
    run = collected("captions_in_tongues")

    (job,) = bundle()

    targets = Counter(job.items.values_list("target", flat=True))
    assert targets == {"en": 20}
    run.refresh_from_db()
    assert run.canary_state == CanaryState.SAMPLING


def test_nothing_goes_before_it_is_known_how_large_a_run_is(monkeypatch):
    from batches.services import collection

    monkeypatch.setattr(collection, "PAGE_SUBJECTS", 30)
    make_paintings(*[f"{number}" for number in range(120)])
    run = make_run("checked_captions", canary=True)
    order = collection.read_order(run.workload, run.options, now=run.created_at)
    pages = collection._collect_pages(run, order)
    next(pages)

    assert bundle() == []
    run.refresh_from_db()
    assert "the rest to be collected" in run.waiting_reason
    list(pages)
    assert [job.items_total for job in bundle()] == [20]


def test_a_sample_item_that_fails_does_not_hold_the_others_for_ever(sandbox, settings):
    settings.BATCH_MAX_ATTEMPTS = 1
    run = make_large_run(bad=12, mark="ODD")

    at_rest(run)

    assert (run.status, run.canary_state) == (RunStatus.COMPLETED, CanaryState.PASSED)
    assert run_figures(run).failed == 12


def test_a_sample_that_was_cancelled_is_drawn_anew():
    run = make_large_run(items=130)
    (job,) = bundle()
    cancel_job(job, by="amina")

    (again,) = bundle()

    run.refresh_from_db()
    assert run.canary_state == CanaryState.SAMPLING
    assert again.items_total == 20
    assert set(run.canary_sample) == set(again.items.values_list("pk", flat=True))


def test_a_sample_item_sent_again_by_hand_goes_with_the_sample(sandbox, settings):
    settings.BATCH_MAX_ATTEMPTS = 1
    settings.BATCH_MIN_PASS_RATIO = 0.0
    run = make_large_run()
    sandbox.faults(non_json_answers={"rate": 1.0})
    at_rest(run, until=lambda: run.items.filter(status=ItemStatus.FAILED).exists())
    sandbox.clear_faults()

    assert requeue(failed_of_run(run), by="amina").requeued == 20
    at_rest(run)

    assert run.status == RunStatus.COMPLETED
    assert run_figures(run).complete == 120


def test_a_sample_answered_from_equal_items_passes(sandbox, monkeypatch):
    monkeypatch.setattr(canary, "KNOWN", 10_000)
    first = make_large_run()
    at_rest(first)

    run = collected()
    bundle()

    run.refresh_from_db()
    assert (run.reused, run.status) == (120, RunStatus.COMPLETED)


def test_equal_requests_are_once_in_a_sample():
    make_paintings(*["the same"] * 60, *[f"{number}" for number in range(60)])
    run = collected()

    (job,) = bundle()

    assert job.items_total == 20
    prints = set(job.items.values_list("fingerprint", flat=True))
    assert len({bytes(one) for one in prints}) == 20
    run.refresh_from_db()
    assert len(run.canary_sample) == 20


def test_a_ratio_of_zero_switches_the_brake_off(sandbox, settings):
    settings.BATCH_MIN_PASS_RATIO = 0.0
    run = make_large_run(bad=120)

    at_rest(run)

    assert (run.status, run.brake) == (RunStatus.COMPLETED, None)


def test_the_track_record_is_counted_by_trait_and_recounted(sandbox):
    make_paintings("a|ar en", "b|ar")
    at_rest(collected("captions_in_tongues"))

    records = dict(TrackRecord.objects.values_list("trait", "judged"))
    assert records == {"ar": 2, "en": 1}
    TrackRecord.objects.filter(trait="ar").update(judged=7)
    (difference,) = recount(repair=True)
    assert (difference.stored, difference.counted) == (7, 2)
    assert recount(repair=False) == []


def test_flagged_answers_are_recounted(sandbox):
    run = make_large_run(items=10, bad=5)
    at_rest(run)
    share = JobShare.objects.get()
    assert (share.complete, share.flagged, share.passed) == (10, 5, 5)

    JobShare.objects.update(flagged=1)
    (difference,) = recount(repair=True)

    assert (difference.column, difference.stored, difference.counted) == (
        "flagged",
        1,
        5,
    )
    assert not BatchItem.objects.exclude(error_code="").exists()
