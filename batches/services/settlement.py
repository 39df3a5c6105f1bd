"""Settle: what happens to items and figures when a job ends, or a run is cancelled."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from batches.models import (
    BatchItem,
    BatchJob,
    HourlyUsage,
    ItemAttempt,
    JobShare,
    JobTally,
    OpenItem,
    Run,
)
from batches.services.actuals import account_for
from batches.services.attempts import Outcome
from batches.services.canary import count_judged, watch_job
from batches.services.estimates import learn_lengths
from batches.services.events import record_event
from batches.services.failures import Failure
from batches.services.job_sizes import learn_size
from batches.services.lifecycle import (
    move_items,
    move_job,
    refresh_run,
    run_figures,
    update_job,
)
from batches.services.outcomes import write_outcomes
from batches.services.spool import remove_job_dir
from batches.services.token_queue import learn_count
from batches.signals import announce
from batches.states import AttemptOutcome, EventKind, Intent, ItemStatus, JobStatus
from batches.workloads import get_workload

log = logging.getLogger(__name__)

PAGE = 5_000
LEARNED_FROM = ["items_complete", "items_failed", "input_tokens"]
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
        learn_lengths(job)
        account_for(job, now=now)
        count_judged(job)
        shares = JobShare.objects.filter(job=job)
        runs = Run.objects.filter(pk__in=shares.values("run")).order_by("pk")
        # Locked before their events are written: whoever follows a run reads on from
        # the last id, and would miss a smaller one that is committed later.
        for run in runs.select_for_update(no_key=True):
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
        job.refresh_from_db(fields=LEARNED_FROM)
        learn_size(job, now=now)
        learn_count(job)
        watch_job(job, now=now)
        announce("clean")
        announce("bundle")  # a slot is free
    remove_job_dir(job)


def settle_unanswered(job: BatchJob) -> int:
    """Settle the items that no line of either file spoke of; returns how many.

    In a batch that completed they are missing, and fail: whether they were billed is
    not known, so only a person sends them again. In one that ended early they were not
    executed: they go back to the pool, or end with a job that a person cancelled.
    """
    if job.provider_status == "completed":
        ending = Ending(
            "missing_output",
            "The batch completed, but neither file has a line for this request. "
            "Retry it by hand: it may have been billed.",
        )
    else:
        ending = _not_executed(
            job,
            f"batch_{job.provider_status}"[:64],
            f"The batch ended as {job.provider_status} before this request ran.",
        )
    return _settle(job, lambda _: ending)


class Ending(NamedTuple):
    """What becomes of an item of which no line speaks; see `Outcome`."""

    code: str
    message: str
    outcome: AttemptOutcome = AttemptOutcome.FAILED
    failure: Failure | None = None


def _not_executed(job: BatchJob, code: str, message: str) -> Ending:
    """For items that never ran: back to the pool, or the end of a cancelled job's."""
    if job.intent == Intent.CANCEL:
        return Ending(code, message, AttemptOutcome.CANCELLED)
    return Ending(code, message, failure=Failure.NOT_EXECUTED)


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
    rest = _not_executed(job, "batch_failed", "Another line spoilt the batch.")

    def ending(line: int) -> Ending:
        if not named:
            return Ending(code[:64], message)
        if errors := named.get(line):
            words = "; ".join(str(error["message"]) for error in errors)
            return Ending(str(errors[0]["code"])[:64], words)
        return rest

    with transaction.atomic():
        _settle(job, ending)
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
    ending = Ending(ABANDONED, message)
    with transaction.atomic():
        _settle(job, lambda _: ending)
        update_job(job, abandoned_at=now)
        end_job(job, JobStatus.FAILED, reason=f"abandoned by {by}", now=now)


def end_unsent(job: BatchJob) -> None:
    """End a job that was never sent: with its items, or, if recalled, without them."""
    ending = Ending(
        "cancelled", "Cancelled before it was sent.", AttemptOutcome.CANCELLED
    )
    reason = "cancelled before sending"
    if job.intent == Intent.RECALL:
        ending = _not_executed(job, "recalled", "Taken back before it was sent.")
        reason = "taken back before sending"
    with transaction.atomic():
        _settle(job, lambda _: ending)
        end_job(job, JobStatus.CANCELLED, reason=reason, now=timezone.now())


def cancel_waiting(run: Run, *, now: datetime) -> int:
    """End the items of a run that are in no job; each keeps an attempt that says so.

    The caller's transaction holds the bundling lock. Results that are read meanwhile
    may put further items into the pool: only those taken out here are ended.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {OpenItem._meta.db_table} "  # noqa: S608
            "WHERE run_id = %s AND job_id IS NULL RETURNING item_id",
            [run.pk],
        )
        taken = [item_id for (item_id,) in cursor.fetchall()]
    for start in range(0, len(taken), PAGE):
        page = taken[start : start + PAGE]
        move_items(
            BatchItem.objects.filter(pk__in=page),
            ItemStatus.PENDING,
            ItemStatus.CANCELLED,
            now=now,
            error_code="cancelled",
        )
        ItemAttempt.objects.bulk_create(
            ItemAttempt(
                item_id=item_id,
                outcome=AttemptOutcome.CANCELLED,
                error_code="cancelled",
                error_message="Cancelled before it was sent.",
                created_at=now,
            )
            for item_id in page
        )
    Run.objects.filter(pk=run.pk).update(
        unsent_cancelled=F("unsent_cancelled") + len(taken)
    )
    return len(taken)


def _settle(job: BatchJob, ending: Callable[[int], Ending]) -> int:
    """End every open item of a job, in key order; returns how many there were.

    `ending` is asked with an item's place, which is its line in the input file.
    """
    workload = get_workload(job.workload)
    here = OpenItem.objects.filter(job=job).order_by("item_id")
    settled = 0
    while page := list(here.values_list("item_id", flat=True)[:PAGE]):
        outcomes = []
        for line, item_id in enumerate(page, start=settled + 1):
            code, message, outcome, failure = ending(line)
            outcomes.append(Outcome(item_id, outcome, failure, code, message))
        with transaction.atomic():
            update_job(job, waiting_reason="")  # locks the row, or finds the lease lost
            write_outcomes(job, workload, outcomes, now=timezone.now())
        settled += len(page)
    return settled


def _add_usage(job: BatchJob, now: datetime) -> None:
    """Add a job's tallies to the hourly rollup; in key order: nothing deadlocks."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    usage, tally = HourlyUsage._meta.db_table, JobTally._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO {usage} (hour, provider, workload, model, owner_key, account,
                outcome, error_code, attempts, input_tokens, cached_tokens,
                output_tokens, cost_nanos)
            SELECT %s, %s, %s, %s, COALESCE(r.owner_id, 0), %s, t.outcome, t.error_code,
                SUM(t.attempts), SUM(t.input_tokens), SUM(t.cached_tokens),
                SUM(t.output_tokens), SUM(t.cost_nanos)
            FROM {tally} t
            JOIN {Run._meta.db_table} r ON r.id = t.run_id
            WHERE t.job_id = %s
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
