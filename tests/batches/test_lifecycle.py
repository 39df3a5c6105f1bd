import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from batches.errors import IllegalMove, LostLease
from batches.models import BatchItem, BatchJob, Event, OpenItem
from batches.services.lifecycle import (
    move_items,
    move_job,
    refresh_run,
    run_figures,
    update_job,
)
from batches.states import (
    ITEM_FINAL,
    ITEM_TRANSITIONS,
    JOB_FINAL,
    JOB_TRANSITIONS,
    EventKind,
    ItemStatus,
    JobStatus,
    RunStatus,
)
from tests.factories import make_collected_run, make_job

pytestmark = pytest.mark.django_db


def fitting(job, to):
    """What the database asks of a job in a status."""
    needs_batch = to not in (JobStatus.PENDING, JobStatus.UPLOADING, *JOB_FINAL)
    if needs_batch and not job.provider_batch_id:
        return {"provider_batch_id": "batch_x", "create_sent_at": timezone.now()}
    return {}


@pytest.mark.parametrize("to", JobStatus)
@pytest.mark.parametrize("start", JobStatus)
def test_move_job_allows_exactly_the_arrows_in_the_table(start, to):
    job = make_job(items=1, status=start)

    if to in JOB_TRANSITIONS[start]:
        assert move_job(job, to, **fitting(job, to)).status == to
        assert BatchJob.objects.get(pk=job.pk).status == to
    else:
        with pytest.raises(IllegalMove, match=f"from {start} to {to}"):
            move_job(job, to)


@pytest.mark.parametrize("to", ItemStatus)
@pytest.mark.parametrize("start", ItemStatus)
def test_move_items_allows_exactly_the_arrows_in_the_table(start, to):
    make_collected_run(items=2)
    now = timezone.now()
    finished = now if start in ITEM_FINAL else None
    BatchItem.objects.update(status=start, finished_at=finished)

    if to in ITEM_TRANSITIONS[start]:
        assert move_items(BatchItem.objects.all(), start, to, now=now) == 2
        assert set(BatchItem.objects.values_list("status", flat=True)) == {to}
    else:
        with pytest.raises(IllegalMove, match=f"from {start} to {to}"):
            move_items(BatchItem.objects.all(), start, to, now=now)


def test_move_items_leaves_alone_what_is_in_another_status():
    make_collected_run(items=2)
    first = BatchItem.objects.order_by("pk").first()
    now = timezone.now()
    BatchItem.objects.filter(pk=first.pk).update(
        status=ItemStatus.CANCELLED, finished_at=now
    )

    moved = move_items(
        BatchItem.objects.all(), ItemStatus.PENDING, ItemStatus.IN_JOB, now=now
    )

    assert moved == 1
    first.refresh_from_db()
    assert first.status == ItemStatus.CANCELLED


def test_a_move_writes_its_event_with_it():
    job = make_job()

    move_job(job, JobStatus.UPLOADING, reason="claimed")

    event = Event.objects.get(job=job, kind=EventKind.BATCH_MOVED)
    assert event.data == {"start": "pending", "to": "uploading"}
    assert event.message == "claimed"


def test_a_move_sets_the_time_of_its_status():
    job = make_job()

    move_job(job, JobStatus.CANCELLED)

    job.refresh_from_db()
    assert job.cancelled_at is not None
    assert job.finished_at is not None


def test_a_move_from_a_status_that_was_left_changes_nothing():
    job = make_job()
    stale = BatchJob.objects.get(pk=job.pk)
    move_job(job, JobStatus.UPLOADING)

    with pytest.raises(LostLease):
        move_job(stale, JobStatus.CANCELLED)

    assert BatchJob.objects.get(pk=job.pk).status == JobStatus.UPLOADING
    assert Event.objects.filter(job=job, kind=EventKind.BATCH_MOVED).count() == 1


def test_a_write_under_an_old_epoch_changes_nothing():
    job = make_job()
    BatchJob.objects.filter(pk=job.pk).update(lease_epoch=job.lease_epoch + 1)

    with pytest.raises(LostLease):
        update_job(job, input_file_id="file-late")

    assert BatchJob.objects.get(pk=job.pk).input_file_id == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"status": JobStatus.PROCESSED},  # final without a finish
        {"finished_at": timezone.now()},  # a finish without being final
        {"status": JobStatus.VALIDATING},  # at the provider without a batch
        {"provider_batch_id": "batch_1"},  # a batch that no create was sent for
        {"file_doomed_at": timezone.now()},  # dooms a file that is not there
    ],
)
def test_the_database_refuses_what_must_never_be_true_of_a_job(changes):
    job = make_job()

    with pytest.raises(IntegrityError), transaction.atomic():
        BatchJob.objects.filter(pk=job.pk).update(**changes)


def test_the_database_refuses_an_item_that_is_final_without_a_finish():
    make_collected_run(items=1)

    with pytest.raises(IntegrityError), transaction.atomic():
        BatchItem.objects.update(status=ItemStatus.COMPLETE)


def test_the_same_work_cannot_be_under_way_twice():
    make_collected_run(items=1)
    opened = OpenItem.objects.get()
    opened.pk += 1

    with pytest.raises(IntegrityError), transaction.atomic():
        opened.save(force_insert=True)


def test_a_run_is_pending_until_something_of_it_is_sent():
    run = make_collected_run(items=2)

    assert run.status == RunStatus.PENDING
    assert run_figures(run).open == 2


def test_refreshing_a_run_twice_writes_one_event():
    job = make_job()
    run = job.shares.get().run
    refresh_run(run.pk, now=timezone.now())
    refresh_run(run.pk, now=timezone.now())

    run.refresh_from_db()
    assert run.status == RunStatus.PROCESSING
    assert run.events.filter(kind=EventKind.RUN_STARTED).count() == 1
