"""A job is one holder's: who was overtaken sends nothing, and all is paid once."""

import socket
import subprocess
import sys
from datetime import timedelta

import pytest
from django.utils import timezone

from batches.errors import LostLease
from batches.models import BatchJob
from batches.providers.errors import ProviderError
from batches.providers.registry import get_provider
from batches.services.account import file_name
from batches.services.leases import claim, held, holder_name
from batches.services.lifecycle import update_job
from batches.services.reconciliation import reconcile
from batches.states import (
    JobStatus,
)
from tests.batches.submitting import (
    batches_of,
    ends_well,
    files_of,
    meanwhile,
    paid_once,
    submit,
    take_over,
)
from tests.driving import work_off
from tests.factories import make_job
from tests.sandbox.fixtures import wait_for

pytestmark = pytest.mark.django_db


def overtake(job: BatchJob) -> None:
    BatchJob.objects.filter(pk=job.pk).update(lease_epoch=99)


def test_a_holder_that_was_overtaken_deletes_the_file_it_uploaded(sandbox, monkeypatch):
    job = make_job()
    meanwhile(monkeypatch, "upload", lambda: overtake(job))

    submit()

    assert files_of(job) == []
    assert batches_of(job) == []
    assert BatchJob.objects.get(pk=job.pk).input_file_id == ""


def test_a_holder_overtaken_before_sending_does_not_send(sandbox, monkeypatch):
    job = make_job()
    meanwhile(monkeypatch, "batches_since", lambda: overtake(job))

    submit()

    assert batches_of(job) == []


# --- one is suspended before it sends, another takes over, the first wakes up ---------


def test_suspended_before_sending_and_resumed_before_the_delete(sandbox, monkeypatch):
    job = make_job()
    meanwhile(monkeypatch, "create", lambda: take_over(passes=1))
    submit()
    job.refresh_from_db()
    assert (job.status, job.provider_batch_id) == (JobStatus.PENDING, None)

    take_over(passes=1, after=1)  # finds what the first one sent

    job.refresh_from_db()
    assert [batch.id for batch in batches_of(job)] == [job.provider_batch_id]
    ends_well(job)
    paid_once(sandbox)


def test_suspended_before_sending_and_resumed_after_the_delete(sandbox, monkeypatch):
    job = make_job()
    meanwhile(monkeypatch, "create", lambda: take_over(passes=2))
    submit()
    wait_for(lambda: [b.status for b in batches_of(job)] == ["failed"])

    take_over(passes=1, after=2)  # adopts the failed one: it settles the attempt

    job.refresh_from_db()
    assert job.provider_batch_id == batches_of(job)[0].id
    ends_well(job)
    paid_once(sandbox)


def test_suspended_before_sending_and_resumed_after_the_new_create(
    sandbox, monkeypatch
):
    job = make_job()
    meanwhile(monkeypatch, "create", lambda: take_over(passes=3))

    submit()

    wait_for(lambda: len(batches_of(job)) == 2)
    ends_well(job)
    ran = {b.metadata["number"]: b.has_run for b in batches_of(job)}
    assert ran == {"1": False, "2": True}
    paid_once(sandbox)


def test_two_workers_suspended_before_sending_pay_once(sandbox, monkeypatch):
    """The failed batch of an older number must not settle the newer submission."""
    job = make_job()
    sent: list[dict] = []
    provider = get_provider("sandbox")
    real = provider.create

    def first(**given):
        """Suspended until the second is, too; its answer comes to nobody."""
        sent.append(given)
        monkeypatch.setattr(provider, "create", second)
        take_over(passes=3)
        raise ProviderError("the first worker was killed")

    def second(**given):
        monkeypatch.setattr(provider, "create", real)
        real(**sent[0])  # what the first sent arrives, and fails for its file
        wait_for(lambda: [b.status for b in batches_of(job)] == ["failed"])
        take_over(passes=1, after=3)  # a third worker claims and waits
        take_over(passes=1, after=4)  # looks: that is not the batch of number 2
        assert BatchJob.objects.get(pk=job.pk).submission_number == 2
        return real(**given)  # fails for its file as well

    monkeypatch.setattr(provider, "create", first)
    submit()
    wait_for(lambda: [b.status for b in batches_of(job)] == ["failed", "failed"])

    take_over(passes=1, after=10)

    ends_well(job)
    assert sorted(b.metadata["number"] for b in batches_of(job)) == ["1", "2", "3"]
    paid_once(sandbox)


def test_an_upload_that_arrives_after_the_end_is_swept(sandbox, tmp_path):
    job = make_job()
    ends_well(job)
    # What a process had on its way when it was killed.
    (tmp_path / "late").write_text("{}\n")
    late = get_provider("sandbox").upload(
        tmp_path / "late", file_name(job), on_block=lambda: None
    )
    assert files_of(job) == [late]

    found = reconcile(apply=True, now=timezone.now())

    assert found.files_deleted == [{"job": job.pk, "file": late}]
    assert files_of(job) == []


def test_a_holder_that_was_overtaken_until_its_file_is_gone_stops(sandbox, monkeypatch):
    job = make_job()

    def another_does_it_all() -> None:
        take_over(passes=1)
        work_off()

    meanwhile(monkeypatch, "upload", another_does_it_all)

    submit()

    job.refresh_from_db()
    assert job.status == JobStatus.PROCESSED
    paid_once(sandbox)


# --- holds and switches ---------------------------------------------------------------


def test_a_job_that_another_holds_is_left_to_it(sandbox):
    job = make_job()
    BatchJob.objects.filter(pk=job.pk).update(
        lease_owner="elsewhere:1:1",
        lease_until=timezone.now() + timedelta(hours=1, seconds=50),
        lease_epoch=1,
    )

    submit()

    assert BatchJob.objects.get(pk=job.pk).status == JobStatus.PENDING


def test_a_claim_raises_the_epoch_so_that_the_earlier_holder_can_write_no_more():
    job = make_job()
    earlier = BatchJob.objects.get(pk=job.pk)
    assert claim(earlier, now=timezone.now())
    later = BatchJob.objects.get(pk=job.pk)
    assert claim(later, now=timezone.now() + timedelta(hours=1))

    with pytest.raises(LostLease):
        update_job(earlier, input_file_id="file-x")


def test_a_lease_that_is_lost_on_the_way_ends_the_work_quietly():
    job = make_job()

    with held(job, now=timezone.now()) as is_ours:
        assert is_ours
        raise LostLease("another has it")

    assert BatchJob.objects.get(pk=job.pk).lease_until is None


def test_the_lease_of_a_process_that_is_gone_does_not_count():
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    job = make_job()
    host = socket.gethostname()
    BatchJob.objects.filter(pk=job.pk).update(
        lease_owner=f"{host}:{ended.pid}:1",
        lease_until=timezone.now() + timedelta(hours=1),
    )
    job.refresh_from_db()

    assert claim(job, now=timezone.now())
    assert job.lease_owner == holder_name()


@pytest.mark.parametrize("holder", ["elsewhere:1:1", "nonsense", ""])
def test_a_lease_of_which_nothing_is_known_counts_until_it_ends(holder):
    job = make_job()
    BatchJob.objects.filter(pk=job.pk).update(
        lease_owner=holder, lease_until=timezone.now() + timedelta(minutes=1)
    )
    job.refresh_from_db()

    assert not claim(job, now=timezone.now())


def test_a_lease_of_this_very_process_counts():
    job = make_job()
    assert claim(job, now=timezone.now())

    assert not claim(BatchJob.objects.get(pk=job.pk), now=timezone.now())
