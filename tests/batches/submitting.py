"""Submission pass by pass, and what the provider has and billed of it."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import time_machine
from django.utils import timezone

from batches.models import BatchItem, BatchJob, ItemAttempt
from batches.providers.errors import ProviderError
from batches.providers.registry import get_provider
from batches.services.reconciliation import reconcile
from batches.services.recount import recount
from batches.services.submission import submit_jobs
from batches.states import (
    JobStatus,
)
from tests.driving import work_off
from tests.gallery.models import Caption
from tests.sandbox.fixtures import SandboxProcess


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
