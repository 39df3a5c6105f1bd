"""A clock that jumps ahead or back sends nothing twice and holds nothing up."""

import time
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from batches.errors import LostLease
from batches.models import (
    BatchJob,
)
from batches.providers.registry import get_provider
from batches.services import submission
from batches.services.bundling import bundle
from batches.services.leases import claim, held
from batches.services.pipeline import is_idle
from batches.services.submission import submit_jobs
from batches.states import JobStatus
from tests.batches.enduring import STAGES, all_ends_well, is_now
from tests.factories import make_collected_run, make_job

pytestmark = pytest.mark.django_db

JUMPS = [timedelta(hours=1), timedelta(days=1), timedelta(days=4_000)]


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_jumps_ahead_and_back_sends_once_and_holds_up_nothing(
    sandbox, jump
):
    make_collected_run(items=3)
    bundle()

    def pass_over(shift: timedelta) -> None:
        with time_machine.travel(timezone.now() + shift):
            for run in STAGES:
                run(now=timezone.now())

    for shift in (timedelta(), jump, -jump, jump):
        pass_over(shift)
    # Back in its time, and no more than an hour and a bit goes by.
    deadline = time.monotonic() + 20
    while not is_idle():
        pass_over(timedelta(minutes=65))
        assert time.monotonic() < deadline

    all_ends_well(sandbox, captions=3)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_lease_of_a_clock_that_went_back_holds_up_nothing(sandbox, jump):
    job = make_job(2)
    BatchJob.objects.filter(pk=job.pk).update(
        lease_owner="elsewhere:1:1",
        lease_until=timezone.now() + jump + timedelta(seconds=60),
        lease_epoch=1,
    )

    submit_jobs(now=timezone.now())

    assert is_now(job, JobStatus.VALIDATING)
    all_ends_well(sandbox, captions=2)


@pytest.mark.parametrize("jump", [*JUMPS, *(-jump for jump in JUMPS)])
@pytest.mark.slow
def test_no_clock_lets_two_of_them_send(sandbox, jump):
    """One holds the job under its own clock; another's clock says that the lease ended
    long ago, or that it never could have been written. Both go on to the end."""
    job = make_job(2)
    slow = BatchJob.objects.get(pk=job.pk)
    assert claim(slow, now=timezone.now())
    submission.move_job(slow, JobStatus.UPLOADING)
    submission._upload(slow, get_provider("sandbox"))

    with time_machine.travel(timezone.now() + jump):
        quick = BatchJob.objects.get(pk=job.pk)
        with held(quick, now=timezone.now()) as is_ours:
            if is_ours:
                submission.submit_job(quick)
    if is_ours:
        with pytest.raises(LostLease):
            submission._create(slow, get_provider("sandbox"))
    else:
        submission._create(slow, get_provider("sandbox"))

    ours = [
        batch
        for batch in get_provider("sandbox").batches_since(0)
        if batch.metadata.get("token") == job.token
    ]
    assert len(ours) == 1
    BatchJob.objects.update(lease_until=None)
    all_ends_well(sandbox, captions=2)
