"""Rows in the words of this family: what it reads, and how many queries that takes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import cast
from uuid import UUID

import orjson
from django.db.models import Case, Count, F, QuerySet, Sum, When

from batches.api.batch_jobs.schemas import (
    ItemOut,
    JobOut,
    PlainStatus,
    StatsRowOut,
)
from batches.models import (
    BatchItem,
    BatchJob,
    ItemAttempt,
    ItemRequest,
    JobTally,
    Run,
)
from batches.models.money import to_usd
from batches.services.lifecycle import run_figures
from batches.states import (
    JOB_FINAL,
    PLAIN_JOB_STATUS,
    AttemptOutcome,
    ItemStatus,
    JobStatus,
    RunStatus,
)

MAX_ITEMS = 100

PLAIN_RUN_STATUS: dict[RunStatus, PlainStatus] = {
    RunStatus.COLLECTING: "pending",
    RunStatus.PENDING: "pending",
    RunStatus.PROCESSING: "processing",
    RunStatus.COMPLETED: "completed",
    RunStatus.FAILED: "failed",
    RunStatus.CANCELLED: "cancelled",
}
PLAIN_ITEM_STATUS: dict[ItemStatus, PlainStatus] = {
    ItemStatus.PENDING: "pending",
    ItemStatus.IN_JOB: "processing",
    ItemStatus.COMPLETE: "completed",
    ItemStatus.FAILED: "failed",
    ItemStatus.CANCELLED: "cancelled",
}


def shown_jobs(jobs: QuerySet[BatchJob]) -> list[JobOut]:
    """These jobs in their order, in four queries whatever their number."""
    rows = (
        jobs.defer("provider_answer")
        .prefetch_related("tallies")
        .prefetch_related("shares__run")
    )
    return [_job_out(job) for job in rows]


def shown(target: BatchJob | Run) -> JobOut:
    """A job as it is now, or a run in a job's shape."""
    if isinstance(target, Run):
        return _run_out(Run.objects.get(pk=target.pk))
    return shown_jobs(BatchJob.objects.filter(pk=target.pk))[0]


def _job_out(job: BatchJob) -> JobOut:
    is_final = job.status in JOB_FINAL
    errors: Counter[str] = Counter()
    for tally in job.tallies.all():
        if tally.error_code:
            errors[tally.error_code] += tally.attempts
    return JobOut(
        id=job.public_id,
        kind="job",
        type=job.workload,
        status=_plain(job.status),
        state=job.status,
        provider=job.provider,
        model=job.model,
        openai_batch_id=job.provider_batch_id,
        total_requests=job.items_total,
        completed_requests=job.items_complete if is_final else job.provider_completed,
        failed_requests=job.items_failed if is_final else job.provider_failed,
        cancelled_requests=job.items_cancelled,
        errors=dict(errors),
        waits_for=job.waiting_reason or None,
        cost_usd=f"{job.cost_usd:f}",
        run_ids=[share.run.public_id for share in job.shares.all()],
        job_ids=[job.public_id],
        created_at=job.created_at,
        submitted_at=job.create_sent_at,
        completed_at=job.finished_at,
    )


def _run_out(run: Run) -> JobOut:
    figures = run_figures(run)
    jobs = list(
        BatchJob.objects.filter(shares__run=run)
        .order_by("pk")
        .only("public_id", "provider", "model", "create_sent_at")
    )
    failures = JobTally.objects.filter(run=run).exclude(error_code="")
    codes = failures.values_list("error_code")
    return JobOut(
        id=run.public_id,
        kind="run",
        type=run.workload,
        status=PLAIN_RUN_STATUS[RunStatus(run.status)],
        state=run.status,
        provider=jobs[0].provider if jobs else None,
        model=jobs[0].model if jobs else None,
        openai_batch_id=None,
        total_requests=figures.items,
        completed_requests=figures.complete,
        failed_requests=figures.failed,
        cancelled_requests=figures.cancelled,
        errors=dict(codes.annotate(n=Sum("attempts")).order_by("error_code")),
        waits_for=run.waiting_reason or None,
        cost_usd=f"{to_usd(figures.cost_nanos):f}",
        run_ids=[run.public_id],
        job_ids=job_ids(jobs),
        created_at=run.created_at,
        submitted_at=min(
            (job.create_sent_at for job in jobs if job.create_sent_at), default=None
        ),
        completed_at=run.finished_at,
    )


def job_ids(jobs: Iterable[BatchJob]) -> list[UUID]:
    return [job.public_id for job in jobs]


def _plain(status: str) -> PlainStatus:
    return cast(PlainStatus, PLAIN_JOB_STATUS[JobStatus(status)])


def shown_items(target: BatchJob | Run, *, with_content: bool) -> list[ItemOut]:
    """The first items of a job or a run, in the order of their numbers."""
    # Not `target.items`: with deferred columns it fetches every item's run again.
    whose = {"run" if isinstance(target, Run) else "job": target}
    items = list(
        BatchItem.objects.filter(**whose)
        .select_related("content_type", "job")
        .only(*ITEM_FIELDS)
        .order_by("pk")[:MAX_ITEMS]
    )
    messages = _failures(items)
    requests = _requests(items) if with_content else {}
    answers = _answers(items) if with_content else {}
    return [
        ItemOut(
            id=str(item.pk),
            job_id=item.job.public_id if item.job else None,
            entity_type=item.content_type.model,
            entity_id=item.object_id,
            target=item.target,
            status=PLAIN_ITEM_STATUS[ItemStatus(item.status)],
            attempts=item.attempts,
            error=item.error_code or None,
            error_message=messages.get(item.pk),
            cost_usd=f"{item.cost_usd:f}",
            created_at=item.created_at,
            completed_at=item.finished_at,
            request=requests.get(item.pk),
            response=answers.get(item.pk),
        )
        for item in items
    ]


ITEM_FIELDS = (
    "content_type__app_label",
    "content_type__model",
    "job__public_id",
    "object_id",
    "target",
    "status",
    "attempts",
    "error_code",
    "cost_nanos",
    "created_at",
    "finished_at",
)


def _failures(items: Sequence[BatchItem]) -> dict[int, str]:
    """{item: why its last attempt failed}; no query where none did."""
    failed = [item.pk for item in items if item.status == ItemStatus.FAILED]
    if not failed:
        return {}
    attempts = ItemAttempt.objects.filter(
        item__in=failed, outcome=AttemptOutcome.FAILED
    ).order_by("pk")
    return dict(attempts.values_list("item_id", "error_message"))


def _requests(items: Sequence[BatchItem]) -> dict[int, dict[str, object]]:
    bodies = ItemRequest.objects.filter(pk__in=[item.pk for item in items])
    return {key: orjson.loads(body) for key, body in bodies.values_list("pk", "body")}


def _answers(items: Sequence[BatchItem]) -> dict[int, str]:
    """{item: the last text that a model gave for it}."""
    attempts = ItemAttempt.objects.filter(item__in=[item.pk for item in items])
    texts = attempts.exclude(answer="").order_by("pk")
    return dict(texts.values_list("item_id", "answer"))


def stats() -> list[StatsRowOut]:
    """Jobs counted by plain status and type, in one query."""
    rows = (
        BatchJob.objects.order_by()
        .values("status", "workload")
        .annotate(
            count=Count("pk"),
            total=Sum("items_total"),
            completed=Sum(_ours_when_final("items_complete", "provider_completed")),
            failed=Sum(_ours_when_final("items_failed", "provider_failed")),
        )
    )
    sums: dict[tuple[str, PlainStatus], StatsRowOut] = {}
    for row in rows:
        status = _plain(row["status"])
        known = sums.setdefault(
            (row["workload"], status),
            StatsRowOut(
                status=status,
                type=row["workload"],
                count=0,
                total_requests=0,
                completed_requests=0,
                failed_requests=0,
            ),
        )
        known.count += row["count"]
        known.total_requests += row["total"]
        known.completed_requests += row["completed"]
        known.failed_requests += row["failed"]
    return [sums[key] for key in sorted(sums)]


def _ours_when_final(ours: str, theirs: str) -> Case:
    return Case(When(status__in=JOB_FINAL, then=F(ours)), default=F(theirs))
