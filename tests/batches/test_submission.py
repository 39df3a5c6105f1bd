"""Every way in which a submission can go wrong, against a provider that does it."""

import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from batches.errors import LostLease
from batches.models import Alert, BatchItem, BatchJob, Hold, ItemAttempt
from batches.providers.errors import ProviderError, ProviderUnreachable
from batches.providers.registry import get_provider
from batches.services.account import file_name
from batches.services.holds import lift_hold, raise_hold
from batches.services.leases import claim, held, holder_name
from batches.services.lifecycle import update_job
from batches.services.reconciliation import reconcile
from batches.services.recount import recount
from batches.services.steering import cancel_job
from batches.services.submission import submit_jobs
from batches.states import (
    JOB_FINAL,
    HoldScope,
    Intent,
    ItemStatus,
    JobStatus,
)
from tests.driving import work_off
from tests.factories import make_job
from tests.gallery.models import Caption
from tests.sandbox.fixtures import SandboxProcess, running_sandbox, wait_for

pytestmark = pytest.mark.django_db


def submit(at=None) -> list[str]:
    """One pass of the stage; what the provider had to say."""
    try:
        submit_jobs(now=at or timezone.now() + timedelta(hours=1))
    except ProviderError as err:
        return [str(err)]
    return []


def our_lines(sandbox: SandboxProcess) -> dict[str, list[dict]]:
    """What the provider billed for our items, in any batch: {custom id: lines}."""
    ours = {batch.id for job in BatchJob.objects.all() for batch in batches_of(job)}
    billed = sandbox.ledger()["by_custom_id"]
    return {
        str(key): [line for line in billed.get(str(key), []) if line["batch"] in ours]
        for key in BatchItem.objects.values_list("pk", flat=True)
    }


def batches_of(job: BatchJob) -> list:
    """All batches at the provider that carry this job's token."""
    since = int((job.created_at - timedelta(minutes=10)).timestamp())
    return [
        batch
        for batch in get_provider("sandbox").batches_since(since)
        if batch.metadata.get("token") == job.token
    ]


def files_of(job: BatchJob) -> list[str]:
    files = get_provider("sandbox").input_files()
    return [file.id for file in files if job.token in file.filename]


def ends_well(job: BatchJob) -> None:
    """Work off what is left; every item has one answer and the figures agree."""
    work_off()
    job.refresh_from_db()
    assert job.status == JobStatus.PROCESSED
    assert Caption.objects.count() == job.items_total == job.items_complete
    assert recount(repair=False) == []


def paid_once(sandbox: SandboxProcess) -> None:
    """Nothing was billed twice or lost, and nothing is left at the provider.

    Every batch that ran belongs to a job, every billed line to an attempt.
    """
    reconcile(apply=True, now=timezone.now())
    lines = our_lines(sandbox)
    assert {len(found) for found in lines.values()} <= {0, 1}
    billed = Counter(key for key, found in lines.items() for _ in found)
    read = ItemAttempt.objects.filter(input_tokens__gt=0)
    assert Counter(str(key) for key in read.values_list("item_id", flat=True)) == billed
    adopted = set(BatchJob.objects.values_list("provider_batch_id", flat=True))
    for job in BatchJob.objects.all():
        assert {batch.id for batch in batches_of(job) if batch.has_run} <= adopted
        assert files_of(job) == []


def meanwhile(monkeypatch, call: str, act: Callable[[], object]) -> None:
    """Suspend whoever makes this call next just before it; `act` happens meanwhile.

    Then the call goes out as if nothing had been: as with a process that was stopped.
    """
    provider = get_provider("sandbox")
    real = getattr(provider, call)

    def suspended(*args, **kwargs):
        monkeypatch.setattr(provider, call, real)
        act()
        return real(*args, **kwargs)

    monkeypatch.setattr(provider, call, suspended)


def take_over(*, passes: int, after: int = 0) -> None:
    """Another worker's passes, two minutes apart: wait, look and delete, look again
    and send. `after` is how many of them were before."""
    for number in range(after + 1, after + passes + 1):
        at = timezone.now() + timedelta(minutes=2 * number)
        with time_machine.travel(at):
            submit(at)


def test_a_job_is_sent_once_with_its_token_in_file_name_and_metadata(sandbox):
    job = make_job()

    submit()

    job.refresh_from_db()
    (batch,) = batches_of(job)
    assert (job.status, job.provider_batch_id) == (JobStatus.VALIDATING, batch.id)
    assert batch.metadata["number"] == "1"
    assert batch.input_file_id == job.input_file_id
    assert files_of(job) == [job.input_file_id]


def test_a_job_goes_the_whole_way(sandbox):
    job = make_job()

    ends_well(job)

    assert all(len(lines) == 1 for lines in our_lines(sandbox).values())


def test_a_lost_answer_to_create_is_found_and_adopted(sandbox, settings):
    sandbox.faults(lost_create_answer=1)
    job = make_job()

    said = submit()

    job.refresh_from_db()
    assert said
    assert (job.status, job.provider_batch_id) == (JobStatus.PENDING, None)
    assert job.create_sent_at is not None

    with time_machine.travel(timezone.now() + timedelta(minutes=5)):
        submit()
    job.refresh_from_db()
    assert job.status == JobStatus.VALIDATING
    assert [batch.id for batch in batches_of(job)] == [job.provider_batch_id]
    ends_well(job)


def test_nobody_sends_again_before_a_late_answer_could_have_shown_itself(sandbox):
    sandbox.faults(lost_create_answer=1)
    job = make_job()
    submit()

    submit()

    job.refresh_from_db()
    assert job.submission_number == 1
    assert len(batches_of(job)) == 1
    assert "looking for it" in job.waiting_reason


def test_a_create_that_never_arrived_is_sent_anew_under_the_next_number(sandbox):
    sandbox.faults(reset={"on": ["batches.create"], "times": 1})
    job = make_job()
    submit()
    job.refresh_from_db()
    first_file = job.input_file_id
    assert batches_of(job) == []

    with time_machine.travel(timezone.now() + timedelta(minutes=5)) as traveller:
        submit()  # looks, finds nothing, dooms and deletes the file
        job.refresh_from_db()
        assert job.file_deleted_at is not None
        assert job.submission_number == 1
        assert files_of(job) == []
        traveller.shift(timedelta(minutes=5))
        submit()  # looks again, and only then begins anew

    job.refresh_from_db()
    assert job.submission_number == 2
    assert job.input_file_id != first_file
    assert [batch.metadata["number"] for batch in batches_of(job)] == ["2"]
    ends_well(job)


def test_a_late_create_fails_for_its_deleted_file_and_nothing_is_paid_twice(sandbox):
    sandbox.faults(late_create={"seconds": 0.5, "times": 1})
    job = make_job()
    submit()
    with time_machine.travel(timezone.now() + timedelta(minutes=5)) as traveller:
        submit()  # too early to see it: the file is deleted
        wait_for(lambda: batches_of(job))
        wait_for(lambda: batches_of(job)[0].status == "failed")
        traveller.shift(timedelta(minutes=5))
        submit()  # finds the failed one: it settles the attempt

    ends_well(job)

    assert all(len(lines) == 1 for lines in our_lines(sandbox).values())
    assert [b.status for b in batches_of(job) if b.has_run] == ["completed"]


def test_a_delete_whose_answer_is_lost_is_repeated_until_it_is_confirmed(sandbox):
    sandbox.faults(reset={"on": ["batches.create"], "times": 1})
    job = make_job()
    submit()
    sandbox.faults(reset={"on": ["files.delete"], "times": 3})
    with time_machine.travel(timezone.now() + timedelta(minutes=5)):
        assert submit()
        job.refresh_from_db()
        assert job.file_doomed_at is not None
        assert job.file_deleted_at is None

        sandbox.faults(lost_delete_answer=1)
        submit()  # deleted, though nobody said so: 404 is a confirmation

    job.refresh_from_db()
    assert job.file_deleted_at is not None


def test_a_lost_answer_to_the_upload_costs_a_file_and_no_money(sandbox):
    sandbox.faults(lost_upload_answer={"times": 3})  # the client itself tries thrice
    job = make_job()

    assert submit()
    job.refresh_from_db()
    assert (job.status, job.create_sent_at) == (JobStatus.PENDING, None)

    ends_well(job)
    assert len([b for b in batches_of(job) if b.has_run]) == 1


@pytest.mark.parametrize("fault", ["wrong_key", "no_quota", "http_429"])
def test_trouble_with_the_account_delays_and_uses_nothing_up(sandbox, fault):
    sandbox.faults(**{fault: True})
    job = make_job()

    submit()

    job.refresh_from_db()
    assert job.status == JobStatus.PENDING
    assert job.create_sent_at is None
    assert job.waiting_reason
    assert set(BatchItem.objects.values_list("status", flat=True)) == {
        ItemStatus.IN_JOB
    }
    sandbox.clear_faults()
    ends_well(job)


def test_a_server_error_at_create_is_ambiguous_and_nothing_is_cleared(sandbox):
    sandbox.faults(http_500={"on": ["batches.create"], "times": 1})
    job = make_job()

    submit()

    job.refresh_from_db()
    assert job.create_sent_at is not None
    assert job.provider_batch_id is None


def test_a_database_that_went_back_in_time_adopts_what_it_had_sent(sandbox):
    job = make_job()
    submit()
    sent = BatchJob.objects.get(pk=job.pk).provider_batch_id
    BatchJob.objects.filter(pk=job.pk).update(
        status=JobStatus.PENDING,
        provider_batch_id=None,
        create_sent_at=None,
        input_file_id="",
    )

    submit()

    job.refresh_from_db()
    assert job.provider_batch_id == sent
    assert len(batches_of(job)) == 1
    assert "did not know" in Alert.objects.get(code="unexpected_batch").message
    ends_well(job)
    paid_once(sandbox)


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


def test_an_unsent_job_that_is_to_be_cancelled_ends_with_its_items(sandbox):
    job = make_job()
    BatchJob.objects.filter(pk=job.pk).update(intent=Intent.CANCEL)

    submit()

    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED
    assert job.items_cancelled == 3
    assert batches_of(job) == []
    assert recount(repair=False) == []


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


# --- a slow or forgetful provider -----------------------------------------------------


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


# --- cancelled on the way -------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "is_sent"),
    [("upload", False), ("batches_since", False), ("create", True)],
)
def test_a_cancel_while_a_job_is_sent_loses_nothing(
    sandbox, monkeypatch, call, is_sent
):
    job = make_job()
    meanwhile(
        monkeypatch, call, lambda: cancel_job(BatchJob.objects.get(pk=job.pk), by="me")
    )

    submit()
    assert bool(batches_of(job)) == is_sent
    work_off()

    job.refresh_from_db()
    assert job.status in JOB_FINAL
    assert job.items_complete + job.items_cancelled == 3
    assert recount(repair=False) == []
    paid_once(sandbox)


@pytest.mark.parametrize("passes", [0, 1, 2])
@pytest.mark.parametrize("fault", ["lost_create_answer", "reset"])
def test_a_cancel_while_a_create_is_looked_for_loses_nothing(sandbox, fault, passes):
    """Not at once: a batch may run, whose results would be paid for and unread."""
    sandbox.faults(**{fault: {"on": ["batches.create"], "times": 1}})
    job = make_job()
    submit()
    take_over(passes=passes)

    with suppress(ProviderError):
        cancel_job(BatchJob.objects.get(pk=job.pk), by="me")
    take_over(passes=3, after=passes)
    work_off()

    job.refresh_from_db()
    assert job.status in JOB_FINAL
    assert job.items_complete + job.items_cancelled == 3
    assert recount(repair=False) == []
    paid_once(sandbox)


# --- holds and switches ---------------------------------------------------------------


def test_a_held_job_says_what_it_waits_for_and_goes_out_when_it_may(sandbox):
    job = make_job()
    raise_hold(HoldScope.WORKLOAD, "by_hand", "Wait for the editors.", key="captions")

    submit()

    job.refresh_from_db()
    assert job.status == JobStatus.PENDING
    assert "Wait for the editors." in job.waiting_reason
    assert files_of(job) == []
    lift_hold(Hold.objects.get(), by="me")
    ends_well(job)


def test_a_hold_that_is_raised_during_the_upload_keeps_the_job(sandbox, monkeypatch):
    job = make_job()
    meanwhile(
        monkeypatch, "upload", lambda: raise_hold(HoldScope.ALL, "by_hand", "Stop.")
    )

    submit()

    assert batches_of(job) == []
    lift_hold(Hold.objects.get(), by="me")
    ends_well(job)
    paid_once(sandbox)


def test_what_was_sent_is_looked_for_although_nothing_may_be_sent(sandbox, settings):
    sandbox.faults(lost_create_answer=1)
    sent = make_job()
    submit()
    waiting = make_job()
    settings.BATCH_CREATION_ENABLED = False

    take_over(passes=1)

    sent.refresh_from_db()
    waiting.refresh_from_db()
    assert sent.status == JobStatus.VALIDATING
    assert (waiting.status, waiting.lease_epoch) == (JobStatus.PENDING, 0)


def test_a_sandbox_that_is_down_says_how_to_start_it(settings, tmp_path):
    settings.SPOOL_DIR = tmp_path
    settings.SANDBOX_URL = "http://127.0.0.1:9/v1"
    job = make_job()

    with pytest.raises(ProviderUnreachable, match="python manage.py sandbox"):
        submit_jobs(now=timezone.now())

    job.refresh_from_db()
    assert job.status == JobStatus.PENDING
    assert "manage.py sandbox" in job.waiting_reason


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


def test_a_wrong_key_is_told_with_what_to_do_about_it(settings, tmp_path):
    settings.SPOOL_DIR = tmp_path
    with running_sandbox("--api-key=right") as process:
        settings.SANDBOX_URL = process.url
        job = make_job()

        submit()

    job.refresh_from_db()
    assert job.status == JobStatus.PENDING
    assert "401" in job.waiting_reason
    assert "Check the key (OPENAI_API_KEY)" in job.waiting_reason


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
