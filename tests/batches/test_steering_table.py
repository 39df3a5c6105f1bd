"""Pause, recall, resume and cancel at every status of a job, over the real sandbox.

Two runs with two items each: `mine` is steered, and in half of the cases `other` shares
its job. Each case says whether the act is possible and where the items of `mine` are
right after it. Then the provider goes on: what was held is resumed, everything is
worked off, and the provider's books must have billed each line once.
"""

from collections import Counter
from collections.abc import Callable

import pytest
from django.utils import timezone

from batches.errors import NotPossible
from batches.models import (
    AuditEntry,
    BatchItem,
    BatchJob,
    Installation,
    ItemAttempt,
    OpenItem,
    Run,
)
from batches.providers.errors import ProviderError
from batches.services.bundling import bundle
from batches.services.leases import held
from batches.services.lifecycle import move_job
from batches.services.recount import recount
from batches.services.steering import (
    cancel_job,
    cancel_run,
    pause_job,
    pause_run,
    recall_job,
    recall_run,
    resume_job,
    resume_run,
)
from batches.services.submission import submit_jobs
from batches.states import (
    AttemptOutcome,
    ItemStatus,
    JobStatus,
    RunStatus,
)
from tests.batches.invariants import AcceptedBatch, Books, check_bills, check_results
from tests.driving import later, poll_until, work_off
from tests.factories import make_collected_run
from tests.gallery.models import Caption
from tests.sandbox.fixtures import SandboxProcess, running_sandbox

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

ITEMS = 2  # of each run


@pytest.fixture(scope="module")
def sandbox_process():
    """One that answers half of a file at a time: latency makes it go in two steps."""
    with running_sandbox("--responder=sample", "--latency=0.2") as process:
        yield process


@pytest.fixture(autouse=True)
def short_waits(settings):
    """A lost create is looked for at once; the clock of the stages is an hour on."""
    settings.PROVIDER_TIMEOUT_SECONDS = 1
    settings.PROVIDER_VISIBILITY_SECONDS = 0
    settings.PROVIDER_DELETE_SECONDS = 0
    settings.KEEP_PROVIDER_FILES = True  # for the witness to read


# --- the ways to each status ----------------------------------------------------------


def sent(job: BatchJob) -> BatchJob:
    submit_jobs(now=timezone.now())
    job.refresh_from_db()
    return job


def _is(job: BatchJob, status: JobStatus) -> bool:
    job.refresh_from_db()
    return job.status == status


def pending(sandbox: SandboxProcess, job: BatchJob) -> None:
    """Made, and nothing sent."""


def uploading(sandbox: SandboxProcess, job: BatchJob) -> None:
    """Its sender died before it asked for a batch."""
    with held(job, now=timezone.now()):
        move_job(job, JobStatus.UPLOADING)


def sent_unheard(sandbox: SandboxProcess, job: BatchJob) -> None:
    """A batch was asked for, and made, but the answer was lost; its sender died."""
    sandbox.faults(lost_create_answer={"times": 1}, never_ending=True)
    with pytest.raises(ProviderError):
        sent(job)
    job.refresh_from_db()
    with held(job, now=timezone.now()):
        move_job(job, JobStatus.UPLOADING)


def validating(sandbox: SandboxProcess, job: BatchJob) -> None:
    sandbox.faults(never_ending=True)
    sent(job)


def in_progress(sandbox: SandboxProcess, job: BatchJob) -> None:
    """Half of its requests are answered, and it goes on."""
    sandbox.faults(never_ending=True)
    sent(job)
    poll_until(lambda: _is(job, JobStatus.IN_PROGRESS) and job.provider_completed > 0)


def finalizing(sandbox: SandboxProcess, job: BatchJob) -> None:
    sandbox.faults(stuck_finalizing=True)
    sent(job)
    poll_until(lambda: _is(job, JobStatus.FINALIZING))


def completed(sandbox: SandboxProcess, job: BatchJob) -> None:
    sent(job)
    poll_until(lambda: _is(job, JobStatus.COMPLETED))


def recalled(sandbox: SandboxProcess, job: BatchJob) -> None:
    """It is being cancelled at the provider, and its runs are paused."""
    in_progress(sandbox, job)
    unheard(sandbox, recall_job, job)


def cancelling(sandbox: SandboxProcess, job: BatchJob) -> None:
    in_progress(sandbox, job)
    unheard(sandbox, cancel_job, job)


def unheard(sandbox: SandboxProcess, act: Callable[..., object], job: BatchJob) -> None:
    """The provider takes the cancellation, and does not say what came of it."""
    sandbox.faults(
        http_503={"on": ["batches.retrieve"], "times": 3, "retry_after": 0.01}
    )
    with pytest.raises(ProviderError):
        act(job, by="amina")
    assert _is(job, JobStatus.CANCELLING)


def processed(sandbox: SandboxProcess, job: BatchJob) -> None:
    work_off()


def expired(sandbox: SandboxProcess, job: BatchJob) -> None:
    """Half of it came back, and waits."""
    sandbox.faults(expire_partial={"share": 0.5})
    sent(job)
    ended(job)


def cancelled(sandbox: SandboxProcess, job: BatchJob) -> None:
    cancel_job(job, by="amina")


def failed(sandbox: SandboxProcess, job: BatchJob) -> None:
    """Refused as a whole, and for good."""
    BatchJob.objects.filter(pk=job.pk).update(endpoint="/v1/nothing")
    job.refresh_from_db()
    sent(job)
    ended(job)


def ended(job: BatchJob) -> None:
    from batches.services.ingestion import ingest_jobs

    def look() -> bool:
        ingest_jobs(now=later())
        job.refresh_from_db()
        return job.finished_at is not None

    poll_until(look)


Way = Callable[[SandboxProcess, BatchJob], None]
UNSENT: tuple[Way, ...] = (pending, uploading)
UNDER_WAY: tuple[Way, ...] = (sent_unheard, validating, in_progress, finalizing)
FINAL: tuple[Way, ...] = (processed, expired, cancelled, failed)
WAYS: tuple[Way, ...] = (
    *UNSENT,
    *UNDER_WAY,
    recalled,
    cancelling,
    completed,
    *FINAL,
)
JOB_ACTS = {
    "pause": pause_job,
    "recall": recall_job,
    "resume": resume_job,
    "cancel": cancel_job,
}
RUN_ACTS = {
    "pause": pause_run,
    "recall": recall_run,
    "resume": resume_run,
    "cancel": cancel_run,
}


# --- the tables -----------------------------------------------------------------------

# Which ways leave an act on the job possible.
POSSIBLE_FOR_JOB = {
    "pause": UNSENT,
    "recall": (*UNSENT, *UNDER_WAY, recalled),
    "resume": (recalled,),
    "cancel": (*UNSENT, *UNDER_WAY, recalled, cancelling),
}
# Where the two items of `mine` are right after an act on the run, where that is not
# "in the job as before": in the pool, or at their end.
IN_POOL = {
    ("pause", pending),
    ("pause", uploading),
    ("recall", pending),
    ("recall", uploading),
}
ENDED_AT_ONCE = {("cancel", pending), ("cancel", uploading)}


@pytest.fixture
def case(sandbox, settings):
    """Brings a job with two runs, or one, to a status."""

    def make(way: Way, *, is_shared: bool) -> tuple[BatchJob, Run, Run | None]:
        mine = make_collected_run(items=ITEMS)
        other = make_collected_run(items=ITEMS) if is_shared else None
        (job,) = bundle()
        way(sandbox, job)
        job.refresh_from_db()
        mine.refresh_from_db()
        return job, mine, other

    return make


def let_it_end(sandbox: SandboxProcess) -> None:
    """The provider goes on; what is held is seen to stay, is resumed, and all ends."""
    sandbox.clear_faults()
    paused = list(Run.objects.filter(paused_at__isnull=False, finished_at=None))
    jobs_before = set(BatchJob.objects.values_list("pk", flat=True))
    held_jobs = BatchJob.objects.filter(intent="pause")
    if paused or held_jobs:
        work_off(until=nothing_moves)
        new = BatchJob.objects.exclude(pk__in=jobs_before)
        assert not new.filter(shares__run__in=paused).exists()
    for job in held_jobs:
        resume_job(job, by="amina")
    for run in paused:
        run.refresh_from_db()
        if run.finished_at is None:
            resume_run(run, by="amina")
    work_off()
    assert recount(repair=False) == []
    check_results()
    check_bills(batches_of(sandbox))


def batches_of(sandbox: SandboxProcess) -> list[AcceptedBatch]:
    """What the provider's books have of this test, if anything was sent."""
    installation = Installation.objects.first()
    key = installation.public_id.hex if installation else ""
    return Books(sandbox).batches(key)


def nothing_moves() -> bool:
    from batches.services.pipeline import is_idle, only_held_work_is_left

    return is_idle() or only_held_work_is_left()


def billed(sandbox: SandboxProcess) -> Counter[int]:
    """How often each item was answered, and so paid for, by the provider's books."""
    return Counter(
        int(line.custom_id)
        for batch in batches_of(sandbox)
        for line in batch.lines
        if line.http_status == 200
    )


def statuses(run: Run) -> Counter[str]:
    return Counter(run.items.values_list("status", flat=True))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("act", JOB_ACTS)
def test_a_job_at_every_status(case, sandbox, act, way):
    job, mine, other = case(way, is_shared=True)
    audited = AuditEntry.objects.count()

    if way not in POSSIBLE_FOR_JOB[act]:
        with pytest.raises(NotPossible, match=f"Job {job.pk} "):
            JOB_ACTS[act](job, by="amina")
        assert AuditEntry.objects.count() == audited
        let_it_end(sandbox)
        return
    JOB_ACTS[act](job, by="amina")

    entries = AuditEntry.objects.order_by("pk")[audited:]
    assert entries[0].action == f"job.{act}"
    if act == "pause":
        assert (job.status, job.intent) in {
            (JobStatus.PENDING, "pause"),
            (JobStatus.UPLOADING, "pause"),
        }
    if act in ("recall", "cancel") and way in UNSENT:
        assert job.status == JobStatus.CANCELLED
    let_it_end(sandbox)

    once = billed(sandbox)
    assert all(times == 1 for times in once.values())
    for run in (mine, other):
        counts = statuses(run)
        if act == "cancel":
            assert set(counts) <= {ItemStatus.COMPLETE, ItemStatus.CANCELLED}
            if way in UNSENT:
                assert counts == {ItemStatus.CANCELLED: ITEMS}
        else:
            assert counts == {ItemStatus.COMPLETE: ITEMS}
            run.refresh_from_db()
            assert run.status == RunStatus.COMPLETED
    if act != "cancel":
        assert len(once) == 2 * ITEMS
        returned = ItemAttempt.objects.filter(outcome=AttemptOutcome.RETURNED)
        if act == "recall" and way in (*UNSENT, in_progress, recalled):
            assert returned.exists()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("act", RUN_ACTS)
def test_a_run_whose_job_is_at_every_status(case, sandbox, act, is_shared, way):
    job, mine, other = case(way, is_shared=is_shared)
    before = job.status
    in_job = job.open_items.filter(run=mine).count()
    if mine.finished_at is not None:
        with pytest.raises(NotPossible, match=f"Run {mine.pk} is finished"):
            RUN_ACTS[act](mine, by="amina")
        return

    RUN_ACTS[act](mine, by="amina")

    job.refresh_from_db()
    open_here = job.open_items.filter(run=mine).count()
    pool = OpenItem.objects.filter(run=mine, job=None).count()
    if (act, way) in IN_POOL:
        assert (job.status, open_here, pool) == (JobStatus.CANCELLED, 0, ITEMS)
    elif (act, way) in ENDED_AT_ONCE:
        assert (job.status, open_here, pool) == (JobStatus.CANCELLED, 0, 0)
    elif act == "cancel":
        assert (open_here, pool) == (in_job, 0)
    else:
        assert open_here == in_job
    if is_shared and act != "resume" and way in UNDER_WAY:
        assert (job.status, job.intent) == (before, "")
    if is_shared and way in UNSENT and act != "resume":
        assert OpenItem.objects.filter(run=other, job=None).count() == ITEMS

    let_it_end(sandbox)

    once = billed(sandbox)
    assert all(times == 1 for times in once.values())
    mine.refresh_from_db()
    counts = statuses(mine)
    if act == "cancel":
        assert mine.status == RunStatus.CANCELLED
        if is_shared and way in (*UNDER_WAY, recalled, completed):
            assert counts == {ItemStatus.CANCELLED: ITEMS}
            kept = ItemAttempt.objects.filter(item__run=mine, line__isnull=False)
            of_mine = [key for key in once if BatchItem.objects.get(pk=key).run == mine]
            assert kept.filter(answer__gt="").count() == len(of_mine)
            assert mine.shares.get().cost_nanos == sum(
                kept.values_list("cost_nanos", flat=True)
            )
            assert not Caption.objects.filter(item_id__in=of_mine).exists()
    elif way in (cancelling, cancelled):
        assert set(counts) <= {ItemStatus.COMPLETE, ItemStatus.CANCELLED}
    elif way is not failed:
        assert counts == {ItemStatus.COMPLETE: ITEMS}
    if other is not None and way not in (cancelling, cancelled, failed):
        assert statuses(other) == {ItemStatus.COMPLETE: ITEMS}
