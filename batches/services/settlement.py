"""Settle: what happens to a job's items and figures when it ends."""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from batches.models import BatchItem, BatchJob, HourlyUsage, ItemAttempt, Run
from batches.services.events import record_event
from batches.services.lifecycle import (
    move_job,
    refresh_run,
    run_figures,
    update_job,
)
from batches.services.outcomes import (
    OpenHere,
    Outcome,
    open_here,
    write_outcomes,
)
from batches.services.spool import remove_job_dir
from batches.signals import announce
from batches.states import AttemptOutcome, EventKind, Intent, JobStatus
from batches.workloads import get_workload

log = logging.getLogger(__name__)

PAGE = 5_000
ABANDONED = "abandoned"  # an item's error code; never retried without a person
# Validation codes that condemn every line alike, whichever line they name.
JOB_WIDE_CODES = frozenset(
    {
        "model_not_found",
        "invalid_url",
        "mismatched_model",
        "url_mismatch",  # these two are Azure's names
        "model_mismatch",
    }
)


def end_job(job: BatchJob, to: JobStatus, *, reason: str, now: datetime) -> None:
    """Move a job whose items are all settled to its ending, and add up its usage."""
    with transaction.atomic():
        move_job(job, to, reason=reason, now=now, waiting_reason="", next_poll_at=None)
        _add_usage(job, now)
        for run in Run.objects.filter(shares__job=job).order_by("pk"):
            figures = run_figures(run)
            record_event(
                EventKind.RUN_PROGRESS,
                now=now,
                run=run,
                job=job,
                done=figures.items - figures.open,
                items=figures.items,
            )
            refresh_run(run.pk, now=now)
        announce("clean")
    remove_job_dir(job)


def settle_unanswered(job: BatchJob) -> int:
    """Settle the items that no line of either file spoke of; returns how many.

    In a batch that completed they are missing, and fail: whether they were billed is
    not known, so only a person sends them again. In one that ended early they were not
    executed: they go back to the pool, or end with a job that a person cancelled.
    """
    if job.provider_status == "completed":
        code, message = (
            "missing_output",
            "The batch completed, but neither file has a line for this request. "
            "Retry it by hand: it may have been billed.",
        )
        outcome = AttemptOutcome.FAILED
    else:
        code, message = (
            f"batch_{job.provider_status}"[:64],
            f"The batch ended as {job.provider_status} before this request ran.",
        )
        outcome = AttemptOutcome.RETURNED
        if job.intent == Intent.CANCEL:
            outcome = AttemptOutcome.CANCELLED
    return _settle(job, lambda _: (outcome, code, message))


def refuse_job(
    job: BatchJob,
    *,
    code: str,
    message: str,
    bad_lines: dict[int, list[dict[str, Any]]] | None = None,
) -> None:
    """End a job that the provider refused for good, before anything ran.

    Where it named the lines it refuses, {line: its errors}, these items fail, each with
    its own words, and the rest goes back to the pool for another job; else all fail.
    """
    now = timezone.now()
    named = dict(bad_lines or {})
    if code in JOB_WIDE_CODES:
        named = {}
    line = 0

    def verdict(_: int) -> tuple[AttemptOutcome, str, str]:
        nonlocal line
        line += 1
        if not named:
            return AttemptOutcome.FAILED, code[:64], message
        if errors := named.get(line):
            words = "; ".join(str(error["message"]) for error in errors)
            return AttemptOutcome.FAILED, str(errors[0]["code"])[:64], words
        return AttemptOutcome.RETURNED, "batch_failed", "Another line spoilt the batch."

    with transaction.atomic():
        _settle(job, verdict)
        end_job(job, JobStatus.FAILED, reason=message, now=now)
    log.warning("[Batch API] Job %d was refused: %s", job.pk, message)


def abandon(job: BatchJob, *, by: str) -> None:
    """End a job whose results nobody waits for any longer; its items fail.

    What it cost is not known: its reserved money counts as spent for good.
    """
    now = timezone.now()
    message = (
        f"{by} gave up waiting for job {job.pk} at the provider. It may have been "
        "billed, so it is retried by hand only."
    )
    with transaction.atomic():
        _settle(job, lambda _: (AttemptOutcome.FAILED, ABANDONED, message))
        update_job(job, abandoned_at=now)
        end_job(job, JobStatus.FAILED, reason=f"abandoned by {by}", now=now)


def cancel_unsent(job: BatchJob) -> None:
    """End a job that was never sent, with its items."""
    with transaction.atomic():
        _settle(
            job,
            lambda _: (
                AttemptOutcome.CANCELLED,
                "cancelled",
                "Cancelled before it was sent.",
            ),
        )
        end_job(
            job,
            JobStatus.CANCELLED,
            reason="cancelled before sending",
            now=timezone.now(),
        )


def _settle(
    job: BatchJob, verdict: Callable[[int], tuple[AttemptOutcome, str, str]]
) -> int:
    """Give every open item of a job the verdict that is asked for it, in key order."""
    workload = get_workload(job.workload)
    settled = 0
    for page in _open_pages(job):
        outcomes = []
        for item in page:
            outcome, code, message = verdict(item.item_id)
            outcomes.append(
                Outcome(
                    item_id=item.item_id,
                    outcome=outcome,
                    before=item,
                    error_code=code,
                    error_message=message,
                )
            )
        with transaction.atomic():
            update_job(job, waiting_reason="")  # locks the row, or finds the lease lost
            write_outcomes(job, workload, outcomes, now=timezone.now())
        settled += len(outcomes)
    return settled


def _open_pages(job: BatchJob) -> Iterator[list[OpenHere]]:
    while True:
        items = BatchItem.objects.filter(open__job=job)
        page = open_here(items.order_by("open__item_id")[:PAGE])
        if not page:
            return
        yield page


def _add_usage(job: BatchJob, now: datetime) -> None:
    """Add a job's attempts to the hourly rollup; in key order: nothing deadlocks."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    usage, attempt = HourlyUsage._meta.db_table, ItemAttempt._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO {usage} (hour, provider, workload, model, owner_key, account,
                outcome, error_code, attempts, input_tokens, cached_tokens,
                output_tokens, cost_nanos)
            SELECT %s, %s, %s, %s, COALESCE(r.owner_id, 0), %s, a.outcome, a.error_code,
                COUNT(*), SUM(a.input_tokens), SUM(a.cached_tokens),
                SUM(a.output_tokens), SUM(a.cost_nanos)
            FROM {attempt} a
            JOIN {BatchItem._meta.db_table} i ON i.id = a.item_id
            JOIN {Run._meta.db_table} r ON r.id = i.run_id
            WHERE a.job_id = %s
            GROUP BY 5, 7, 8 ORDER BY 5, 7, 8
            ON CONFLICT (hour, provider, workload, model, owner_key, account, outcome,
                error_code)
            DO UPDATE SET attempts = {usage}.attempts + excluded.attempts,
                input_tokens = {usage}.input_tokens + excluded.input_tokens,
                cached_tokens = {usage}.cached_tokens + excluded.cached_tokens,
                output_tokens = {usage}.output_tokens + excluded.output_tokens,
                cost_nanos = {usage}.cost_nanos + excluded.cost_nanos
            """,  # noqa: S608
            [
                connection.ops.adapt_datetimefield_value(hour),
                job.provider,
                job.workload,
                job.model,
                job.account,
                job.pk,
            ],
        )
