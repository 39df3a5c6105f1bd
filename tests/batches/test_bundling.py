from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from batches.models import BatchItem, BatchJob, OpenItem
from batches.models.money import to_usd
from batches.services import bundling
from batches.services.bundling import bundle
from batches.services.pool import WAIT_FOR_A_STEP
from batches.states import EventKind, ItemStatus, JobStatus, Priority, RunStatus
from tests.factories import item_ids, make_collected_run

pytestmark = pytest.mark.django_db


def test_a_job_is_written_with_its_items_and_what_they_may_cost():
    run = make_collected_run(items=3)

    (job,) = bundle()

    share = job.shares.get()
    assert (share.run_id, share.sent) == (run.pk, 3)
    assert share.reserved_nanos == run.estimate_nanos
    assert (job.items_total, job.status) == (3, JobStatus.PENDING)
    assert set(BatchItem.objects.values_list("status", "job", "attempts")) == {
        (ItemStatus.IN_JOB, job.pk, 1)
    }
    run.refresh_from_db()
    assert run.status == RunStatus.PROCESSING


def test_a_job_holds_no_more_than_the_setting_says(settings):
    settings.BATCH_MAX_REQUESTS = 2
    make_collected_run(items=5)

    jobs = bundle()

    assert [job.items_total for job in jobs] == [2, 2, 1]


def test_a_job_holds_no_more_bytes_than_the_provider_takes(monkeypatch):
    make_collected_run(items=4)
    size = OpenItem.objects.first().body_bytes
    monkeypatch.setattr(bundling, "MAX_FILE_BYTES", int(size * 2.5))

    jobs = bundle()

    assert [job.items_total for job in jobs] == [2, 2]


@pytest.mark.parametrize(
    "apart", [{"model": "gpt-4.1-mini"}, {"account": "another tenant"}]
)
def test_models_and_accounts_do_not_share_a_job(apart):
    make_collected_run(items=2)
    make_collected_run(items=2, **apart)

    jobs = bundle()

    assert [job.items_total for job in jobs] == [2, 2]
    assert len({(job.model, job.account) for job in jobs}) == 2


def test_runs_of_one_kind_share_a_job():
    make_collected_run(items=2)
    make_collected_run(items=2)

    (job,) = bundle()

    assert [share.sent for share in job.shares.all()] == [2, 2]


def test_the_most_wanted_go_first(settings):
    settings.BATCH_MAX_REQUESTS = 2
    make_collected_run(items=2, priority=Priority.LOW)
    urgent = make_collected_run(items=2, priority=Priority.HIGH)

    first, _ = bundle()

    assert first.shares.get().run == urgent


def test_a_run_that_may_wait_does_so_below_the_minimum_but_not_for_ever(settings):
    settings.BATCH_MIN_SIZE, settings.BATCH_MAX_WAIT_MINUTES = 10, 30
    run = make_collected_run(items=2, may_wait=True)

    assert bundle() == []
    run.refresh_from_db()
    assert "2 items wait for a job of 10 (2 are there), until" in run.waiting_reason
    assert len(bundle(now=timezone.now() + timedelta(minutes=31))) == 1


def test_an_impatient_run_takes_the_waiting_along(settings):
    settings.BATCH_MIN_SIZE = 10
    make_collected_run(items=2, may_wait=True)
    make_collected_run(items=1)

    (job,) = bundle()

    assert job.items_total == 3


def test_a_paused_run_stays_in_the_pool():
    run = make_collected_run(items=2)
    run.paused_at = timezone.now()
    run.save()

    assert bundle() == []


def test_bundling_twice_makes_one_job():
    make_collected_run(items=2)
    bundle()

    assert bundle() == []
    assert BatchJob.objects.count() == 1


def test_the_lines_of_a_job_are_its_items_in_key_order():
    make_collected_run(items=3)
    (job,) = bundle()

    keys = list(BatchItem.objects.order_by("pk").values_list("pk", flat=True))

    assert item_ids(job) == keys


@pytest.fixture
def real_provider(settings):
    settings.BATCH_PROVIDER, settings.OPENAI_API_KEY = "openai", "sk-x"


def test_the_monthly_cap_cuts_a_job_to_what_is_left(real_provider, settings):
    run = make_collected_run(items=10)
    each = run.estimate_nanos // 10
    settings.MONTHLY_CAP_USD = str(to_usd(each * 4))

    (job,) = bundle()

    assert job.items_total == 4
    run.refresh_from_db()
    assert run.waiting_reason.startswith("4 of 10 go now, 6 wait for $")
    assert ": the monthly cap of $" in run.waiting_reason
    assert bundle() == []
    run.refresh_from_db()
    assert run.waiting_reason.startswith("6 items wait for $")
    assert bundle() == []
    assert run.events.filter(kind=EventKind.RUN_WAITS).count() == 2

    settings.MONTHLY_CAP_USD = "5"
    (rest,) = bundle()
    run.refresh_from_db()
    assert (rest.items_total, run.waiting_reason) == (6, "")


def test_a_finished_job_counts_with_what_it_cost(real_provider, settings):
    run = make_collected_run(items=4)
    settings.MONTHLY_CAP_USD = str(to_usd(run.estimate_nanos // 2))
    (job,) = bundle()
    BatchJob.objects.filter(pk=job.pk).update(
        status=JobStatus.PROCESSED, finished_at=timezone.now()
    )

    assert bundle()[0].items_total == 2


def test_last_months_jobs_do_not_count(real_provider, settings):
    run = make_collected_run(items=2)
    settings.MONTHLY_CAP_USD = str(to_usd(run.estimate_nanos // 2))
    (job,) = bundle()
    BatchJob.objects.filter(pk=job.pk).update(
        created_at=timezone.now() - timedelta(days=40)
    )

    assert bundle()[0].items_total == 1


def test_an_owner_with_less_in_flight_goes_first_and_nobody_takes_all(settings):
    settings.BATCH_MAX_REQUESTS = 4
    busy = make_collected_run(items=6, owner=User.objects.create_user("busy"))
    other = make_collected_run(items=2, owner=User.objects.create_user("other"))

    first, second = bundle()

    assert dict(first.shares.values_list("run", "sent")) == {busy.pk: 2, other.pk: 2}
    assert dict(second.shares.values_list("run", "sent")) == {busy.pk: 4}


def test_waiting_raises_what_is_wanted_less(settings):
    settings.BATCH_MAX_REQUESTS = 2
    old = make_collected_run(items=2, priority=Priority.LOW)
    OpenItem.objects.filter(run=old).update(
        ready_at=timezone.now() - 3 * WAIT_FOR_A_STEP
    )
    make_collected_run(items=2, priority=Priority.HIGH)

    first, _ = bundle()

    assert first.shares.get().run == old


def test_the_group_that_is_wanted_most_gets_its_job_first():
    make_collected_run(items=2)
    urgent = make_collected_run(items=2, priority=Priority.HIGH, model="gpt-4.1-mini")

    first, _ = bundle()

    assert first.shares.get().run == urgent
