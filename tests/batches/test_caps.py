"""Caps: what is over one of them waits and says so; raising it lets the rest go."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone

from batches.models import Alert, BatchJob, Cap, CapNotice, JobShare, Run
from batches.models.money import to_usd
from batches.services.budget import Budget, Payer, next_period
from batches.services.bundling import bundle
from batches.services.pipeline import only_held_work_is_left
from batches.states import CapPeriod, CapScope, EventKind, JobStatus
from tests.factories import make_collected_run, make_paintings

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    return User.objects.create_user("amina")


def run_command(*arguments, **options) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def sent(run: Run) -> int:
    return sum(JobShare.objects.filter(run=run).values_list("sent", flat=True))


def make_cap(scope=CapScope.ALL, period=CapPeriod.MONTH, **given) -> Cap:
    return Cap.objects.create(scope=scope, period=period, **given)


def each(run: Run) -> int:
    """The worst case of one of its items, which are all alike but for a digit."""
    return run.estimate_nanos // run.items_collected


def test_a_runs_own_budget_cuts_it_and_says_what_the_rest_would_cost():
    run = make_collected_run(items=10)
    Run.objects.filter(pk=run.pk).update(budget_nanos=each(run) * 4)

    (job,) = bundle()

    assert job.items_total == 4
    run.refresh_from_db()
    rest, budget = (f"${to_usd(each(run) * n):.4f}" for n in (6, 4))
    assert run.waiting_reason.startswith(
        f"4 of 10 go now, 6 wait for {rest}: the cap of {budget} for this run in the "
        "sandbox, of which $0.00 can still go"
    )
    assert "Raise the run's budget" in run.waiting_reason


def test_one_runs_empty_budget_does_not_keep_another_run():
    poor = make_collected_run(items=3, priority=2)
    Run.objects.filter(pk=poor.pk).update(budget_nanos=1)
    other = make_collected_run(items=2)

    (job,) = bundle()

    assert (sent(poor), sent(other), job.items_total) == (0, 2, 2)


@pytest.mark.parametrize(
    ("scope", "key"),
    [
        (CapScope.ALL, ""),
        (CapScope.WORKLOAD, "captions"),
        (CapScope.WORKLOAD, ""),
        (CapScope.OWNER, "amina"),
        (CapScope.OWNER, ""),
        (CapScope.ACCOUNT, "school"),
        (CapScope.ACCOUNT, ""),
        (CapScope.RUN, ""),
    ],
)
@pytest.mark.parametrize("period", CapPeriod)
@pytest.mark.parametrize("unit", ["dollars", "items"])
@pytest.mark.slow
def test_every_cap_cuts_a_job_to_what_it_has_left(owner, scope, key, period, unit):
    run = make_collected_run(items=5, owner=owner, account="school")
    most = {"most_nanos": each(run) * 3} if unit == "dollars" else {"most_items": 3}
    cap = make_cap(scope, period, key=key, **most)

    bundle()
    bundle()

    assert sent(run) == 3
    run.refresh_from_db()
    assert "2 items wait for" in run.waiting_reason
    cap.delete()
    bundle()
    run.refresh_from_db()
    assert (sent(run), run.waiting_reason) == (5, "")


@pytest.mark.parametrize(
    ("scope", "key"),
    [
        (CapScope.WORKLOAD, "another"),
        (CapScope.OWNER, "somebody else"),
        (CapScope.ACCOUNT, "another"),
    ],
)
def test_a_cap_binds_only_those_whom_it_names(owner, scope, key):
    run = make_collected_run(items=2, owner=owner, account="school")
    make_cap(scope, key=key, most_nanos=0)

    bundle()

    assert sent(run) == 2


def test_a_cap_without_a_name_holds_for_each_by_itself(owner):
    mine = make_collected_run(items=3, owner=owner)
    other = make_collected_run(items=3, owner=User.objects.create_user("bashir"))
    make_cap(CapScope.OWNER, most_items=2)

    bundle()

    assert (sent(mine), sent(other)) == (2, 2)


def test_of_several_caps_the_tightest_binds_and_is_named(settings):
    run = make_collected_run(items=4)
    settings.DAILY_CAP_USD = str(to_usd(each(run) * 2))
    make_cap(most_nanos=each(run) * 3)

    bundle()

    run.refresh_from_db()
    assert sent(run) == 2
    assert "the daily cap" in run.waiting_reason
    assert "Raise DAILY_CAP_USD, or wait for the next day" in run.waiting_reason


@pytest.mark.parametrize(
    ("period", "ago"),
    [(CapPeriod.DAY, timedelta(days=2)), (CapPeriod.MONTH, timedelta(days=40))],
)
def test_what_went_out_before_the_period_does_not_count(period, ago):
    run = make_collected_run(items=4)
    make_cap(period=period, most_items=2)
    bundle()
    BatchJob.objects.update(created_at=timezone.now() - ago)

    bundle()

    assert sent(run) == 4


def test_returned_items_do_not_use_up_a_cap_in_items():
    run = make_collected_run(items=3)
    make_cap(most_items=2)
    (job,) = bundle()
    JobShare.objects.filter(job=job).update(returned=2)

    assert bundle()[0].items_total == 1
    assert sent(run) == 3


def test_real_money_and_the_sandboxes_are_counted_apart(settings):
    make_cap(most_items=2)
    make_collected_run(items=2)
    bundle()
    settings.BATCH_PROVIDER, settings.OPENAI_API_KEY = "openai", "sk-x"
    run = make_collected_run(items=2)

    bundle()

    assert sent(run) == 2


def test_half_four_fifths_and_all_of_a_cap_are_told_once_each(settings):
    settings.BATCH_MAX_JOBS_PER_WORKLOAD = "*=9"
    run = make_collected_run(items=10)
    make_cap(most_items=10)

    def send_up_to(most):
        Cap.objects.filter(scope=CapScope.RUN).delete()
        make_cap(CapScope.RUN, CapPeriod.EVER, most_items=most)
        bundle()
        CapNotice.objects.filter(cap__startswith="run").delete()

    told = run.events.filter(
        kind=EventKind.RUN_SPENT, message__contains="the monthly cap"
    )
    seen = []
    for most in (4, 5, 7, 8, 9, 10):
        send_up_to(most)
        seen.append((sent(run), [event.data["percent"] for event in told.all()]))

    assert seen == [
        (4, []),
        (5, [50]),
        (7, [50]),
        (8, [50, 80]),
        (9, [50, 80]),
        (10, [50, 80, 100]),
    ]
    alert = Alert.objects.get(code="cap_reached", key__startswith="all:")
    assert "Used up: the monthly cap of 10 items in the sandbox" in alert.message


def test_a_finished_job_counts_with_what_it_cost_and_an_abandoned_one_as_reserved():
    run = make_collected_run(items=4)
    make_cap(most_nanos=each(run) * 2)
    (job,) = bundle()
    ended = {"status": JobStatus.PROCESSED, "finished_at": timezone.now()}
    BatchJob.objects.filter(pk=job.pk).update(**ended, abandoned_at=timezone.now())
    assert bundle() == []

    BatchJob.objects.filter(pk=job.pk).update(abandoned_at=None)
    assert bundle()[0].items_total == 2


def test_the_tightest_cap_is_known_before_anything_goes_out(owner, settings):
    settings.DAILY_CAP_USD, settings.MONTHLY_CAP_USD = "3", "2.5"
    make_cap(CapScope.OWNER, key="amina", most_nanos=4_000_000_000)
    budget = Budget("sandbox", now=timezone.now())

    purse = budget.tightest(Payer("captions", owner_id=owner.pk, owner_name="amina"))

    assert purse.label == "the monthly cap of $2.50 in the sandbox"
    assert purse.left_words == "$2.50"


def test_days_and_months_end_where_those_of_utc_do():
    now = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)

    assert next_period(CapPeriod.DAY, now) == datetime(2027, 1, 1, tzinfo=UTC)
    assert next_period(CapPeriod.MONTH, now) == datetime(2027, 1, 1, tzinfo=UTC)
    assert next_period(CapPeriod.EVER, now) is None


def test_a_dry_run_says_what_the_tightest_cap_leaves(settings):
    settings.MONTHLY_CAP_USD = "0.0001"
    make_paintings(*"abcdef")

    said = run_command("run_workload", "captions", dry_run=True)
    as_json = json.loads(
        run_command("run_workload", "captions", dry_run=True, json=True)
    )

    assert "Left of the monthly cap of $0.0001 in the sandbox: $0.0001." in said
    assert "Not all of it can go now" in said
    assert as_json["cap_left_usd"] == "0.000100000"
    assert as_json["cap"] == "the monthly cap of $0.0001 in the sandbox"


def test_a_command_ends_when_only_money_lets_the_rest_go(settings):
    """Not by waiting for a person: nothing is under way."""
    run = make_collected_run(items=2)
    make_cap(CapScope.RUN, CapPeriod.EVER, most_items=0)

    assert bundle() == []
    assert only_held_work_is_left()
    run.refresh_from_db()
    assert run.waiting_until is None


@pytest.mark.parametrize("period", [CapPeriod.DAY, CapPeriod.MONTH])
def test_a_run_says_until_when_it_waits_for_a_new_period(period):
    run = make_collected_run(items=2)
    make_cap(period=period, most_items=0)
    now = timezone.now()

    bundle(now=now)

    run.refresh_from_db()
    assert run.waiting_until == next_period(period, now)
