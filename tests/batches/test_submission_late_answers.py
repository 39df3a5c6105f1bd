"""Submission against a provider that is slow, or forgets what it was sent."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from batches.models import Alert, BatchJob, Hold
from batches.services.reconciliation import reconcile
from batches.states import (
    JobStatus,
)
from tests.batches.submitting import (
    batches_of,
    ends_well,
    meanwhile,
    paid_once,
    submit,
    take_over,
)
from tests.driving import work_off
from tests.factories import make_job
from tests.gallery.models import Caption
from tests.sandbox.fixtures import wait_for

pytestmark = pytest.mark.django_db


def test_a_batch_that_is_listed_late_is_adopted_after_its_file_was_deleted(sandbox):
    sandbox.faults(lost_create_answer=1, list_delay={"seconds": 1.0, "times": 1})
    job = make_job()
    submit()

    take_over(passes=1)  # sees nothing yet: the file is deleted
    job.refresh_from_db()
    assert job.file_deleted_at is not None
    wait_for(lambda: batches_of(job))
    take_over(passes=1, after=1)

    ends_well(job)
    assert len(batches_of(job)) == 1
    paid_once(sandbox)


def test_a_file_that_is_read_after_its_deletion_is_waited_for(sandbox, monkeypatch):
    sandbox.faults(late_delete={"seconds": 60})
    job = make_job()
    meanwhile(monkeypatch, "create", lambda: take_over(passes=2))

    submit()  # runs all the same

    wait_for(lambda: [b.status for b in batches_of(job)] == ["completed"])
    take_over(passes=1, after=2)
    ends_well(job)
    assert len(batches_of(job)) == 1
    paid_once(sandbox)


def test_a_late_validation_fails_for_the_deleted_file_and_settles_it(sandbox):
    sandbox.faults(
        lost_create_answer=1,
        list_delay={"seconds": 0.6, "times": 1},
        late_validation={"seconds": 0.8, "times": 1},
    )
    job = make_job()
    submit()

    take_over(passes=1)
    wait_for(lambda: [b.status for b in batches_of(job)] == ["failed"])
    take_over(passes=1, after=1)

    ends_well(job)
    assert [b.has_run for b in batches_of(job)] == [True, False]
    paid_once(sandbox)


def test_a_batch_that_our_delete_kills_is_read_as_far_as_it_came(sandbox):
    """By a provider that needs the file to the end: what it finished is billed."""
    sandbox.faults(
        lost_create_answer=1,
        list_delay={"seconds": 1.0, "times": 1},
        file_needed=True,
        never_ending=True,
    )
    job = make_job(4)
    submit()

    take_over(passes=1)
    wait_for(lambda: [b.status for b in batches_of(job)] == ["failed"])
    sandbox.clear_faults()
    take_over(passes=1, after=1)
    work_off()

    job.refresh_from_db()
    assert job.status == JobStatus.FAILED
    assert job.items_complete + job.items_returned == 4
    assert Caption.objects.count() == 4
    paid_once(sandbox)


@pytest.mark.parametrize(
    "lost", [{"times": 1}, {"times": 1, "status": 502}, {"times": 1, "hold": 1.5}]
)
def test_a_create_that_was_accepted_without_saying_so_is_paid_once(
    sandbox, settings, lost
):
    settings.PROVIDER_TIMEOUT_SECONDS = 1
    sandbox.faults(lost_create_answer=lost)
    job = make_job()
    assert submit()
    job.refresh_from_db()
    assert job.create_sent_at is not None

    take_over(passes=1)

    ends_well(job)
    assert len(batches_of(job)) == 1
    paid_once(sandbox)


def test_the_first_wait_is_counted_from_the_claim_that_finds_the_create(sandbox):
    sandbox.faults(lost_create_answer=1)
    job = make_job()
    submit()
    # As a process leaves it that is killed while it sends.
    BatchJob.objects.filter(pk=job.pk).update(status=JobStatus.UPLOADING)
    at = timezone.now() + timedelta(days=1)

    with time_machine.travel(at, tick=False):
        submit(at)

    job.refresh_from_db()
    assert (job.status, job.provider_batch_id) == (JobStatus.PENDING, None)
    assert job.not_before == at + timedelta(seconds=60 + 30)


def test_a_create_made_twice_by_somebody_between_us_alerts(sandbox):
    sandbox.faults(repeated_create=1)
    job = make_job()

    ends_well(job)
    found = reconcile(apply=True, now=timezone.now())

    other = {batch.id for batch in batches_of(job)} - {job.provider_batch_id}
    assert {told["batch"] for told in found.duplicates} == other
    alert = Alert.objects.get(code="duplicate_batch")
    assert (alert.key, alert.job) == (other.pop(), job)
    assert not Hold.objects.exists()


def test_a_provider_that_refuses_to_list_delays_and_refuses_nothing(sandbox):
    job = make_job()
    sandbox.faults(http_429={"on": ["batches.list"], "retry_after": 0})

    assert submit()

    job.refresh_from_db()
    assert (job.status, job.create_sent_at) == (JobStatus.PENDING, None)
    sandbox.clear_faults()
    ends_well(job)
