"""What there is before a request of the contract; each scene gives the ids to ask for.

A scene is a function of the caller, of its user and of the sandbox, and returns what
stands in `{…}` of an address or a body.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone

from batches.models import BatchItem, BatchJob, JobTally, Run
from batches.services.alerts import raise_alert
from batches.services.submission import submit_jobs
from batches.states import JobStatus, Severity
from tests.api.conftest import Caller
from tests.driving import poll_until, work_off
from tests.factories import make_collected_run, make_job
from tests.sandbox.fixtures import SandboxProcess
from translations.lessons.content.make_segments import CONTENT

NOBODYS = "00000000-0000-4000-8000-000000000000"
BATCH = "/api/v1/ai/batch"


@dataclass(frozen=True)
class Stage:
    caller: Caller
    user: User
    sandbox: SandboxProcess


Scene = Callable[[Stage], dict[str, str]]


def nothing(stage: Stage) -> dict[str, str]:
    return {"nobodys": NOBODYS}


def lessons(stage: Stage) -> dict[str, str]:
    """The academy's sample lessons and quizzes."""
    for kind in ("lessons", "quizzes"):
        call_command("import_content", kind, str(CONTENT / f"{kind}.jsonl"))
    return {}


def waiting(stage: Stage) -> dict[str, str]:
    """A job of two requests that was not sent, and its run."""
    job = make_job(2)
    return {"job": str(job.public_id), "run": str(Run.objects.get().public_id)}


def paused(stage: Stage) -> dict[str, str]:
    ids = waiting(stage)
    BatchJob.objects.update(intent="pause")
    return ids


def sent(stage: Stage) -> dict[str, str]:
    """A job at the provider."""
    ids = waiting(stage)
    submit_jobs(now=timezone.now())
    return ids


def answered(stage: Stage) -> dict[str, str]:
    """A job whose answers lie at the provider, not read."""
    ids = sent(stage)
    poll_until(lambda: BatchJob.objects.get().status == JobStatus.COMPLETED)
    return ids


def done(stage: Stage) -> dict[str, str]:
    """A job that came to its end, with all its answers."""
    ids = waiting(stage)
    work_off()
    return ids


def failed(stage: Stage) -> dict[str, str]:
    """A job whose two requests failed at the provider."""
    stage.sandbox.faults(failed_lines={"rate": 1.0, "status": 400})
    ids = waiting(stage)
    work_off()
    stage.sandbox.clear_faults()
    one, other = BatchItem.objects.order_by("pk").values_list("pk", flat=True)
    return {**ids, "one": str(one), "other": str(other)}


def pooled(stage: Stage) -> dict[str, str]:
    """A run whose requests are in no job yet."""
    return {"run": str(make_collected_run(2).public_id)}


def example_job(stage: Stage) -> dict[str, str]:
    """The job of the document's example: 98 of 100 came back, after half an hour."""
    now = timezone.now()
    job = BatchJob.objects.create(
        workload="ai_analysis",
        provider="openai",
        provider_batch_id="batch_abc",
        model="gpt-4o-mini",
        status=JobStatus.PROCESSED,
        items_total=100,
        items_complete=98,
        items_failed=2,
        cost_nanos=12_500_000_000,
        create_sent_at=now - timedelta(minutes=40),
        finished_at=now - timedelta(minutes=10),
    )
    run = Run.objects.create(workload="ai_analysis", trigger="api")
    JobTally.objects.create(
        job=job,
        run=run,
        outcome="failed",
        error_code="token_limit_exceeded",
        attempts=2,
    )
    return {"job": str(job.public_id)}


def alert(stage: Stage) -> dict[str, str]:
    raise_alert(
        "high_error_rate", "12 % of the requests failed.", severity=Severity.HIGH
    )
    return {}


def ordered(stage: Stage) -> dict[str, str]:
    """An order of the caller's that waits."""
    order = {"words": ["patience", "calm"], "features": {"smart_summary": True}}
    return {"job": stage.caller.post(BATCH, order).json()["jobId"]}


def delivered(stage: Stage) -> dict[str, str]:
    """An order of the caller's with one answer, and one request that failed."""
    stage.sandbox.faults(failed_lines={"containing": "calm", "status": 400})
    ids = ordered(stage)
    work_off()
    stage.sandbox.clear_faults()
    return ids


def others(stage: Stage) -> dict[str, str]:
    """A run of somebody else's."""
    owner = User.objects.create_user("somebody-else")
    run = Run.objects.create(workload="word_features", owner=owner)
    return {"job": str(run.public_id)}


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        nothing,
        lessons,
        waiting,
        paused,
        sent,
        answered,
        done,
        failed,
        pooled,
        example_job,
        alert,
        ordered,
        delivered,
        others,
    )
}
