"""What became of items of a job, written once: the last step of every way to end.

Everything here happens in one transaction with the row of the job locked. What the
guard (the open items of this job) gives back is written; the rest was written before.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, QuerySet

from batches.errors import SubjectGone
from batches.models import (
    BatchItem,
    BatchJob,
    ItemAttempt,
    JobError,
    JobShare,
    OpenItem,
    Run,
)
from batches.services.bulk import insert_rows, one_of
from batches.services.items import Destination, NewItem, insert_items
from batches.services.lifecycle import close_open_items, end_items
from batches.services.rendering import render
from batches.signals import announce
from batches.states import AttemptOutcome, FileKind, ItemStatus
from batches.workloads import FollowUp, Target, Verdict, Workload

log = logging.getLogger(__name__)

ATTEMPT_FIELDS = (
    "item",
    "job",
    "outcome",
    "error_code",
    "error_message",
    "http_status",
    "finish_reason",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "cost_nanos",
    "price_version",
    "prompt_version",
    "model_snapshot",
    "file_kind",
    "line",
    "answer",
    "raw_line",
    "created_at",
)

ITEM_STATUS = {
    AttemptOutcome.APPLIED: ItemStatus.COMPLETE,
    AttemptOutcome.FAILED: ItemStatus.FAILED,
    AttemptOutcome.RETURNED: ItemStatus.PENDING,
    AttemptOutcome.CANCELLED: ItemStatus.CANCELLED,
}


class OpenHere(NamedTuple):
    """What is known of an item that is open in a job, before its answer is looked at.

    Tokens and cost are those of its earlier attempts, to add to.
    """

    item_id: int
    content_type_id: int
    object_id: str
    target: str
    prompt_version_id: int | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_nanos: int


def open_here(items: QuerySet[BatchItem]) -> list[OpenHere]:
    """These items, in the order of the queryset."""
    fields = ("pk", *OpenHere._fields[1:])
    return [OpenHere(*row) for row in items.values_list(*fields)]


@dataclass(slots=True)
class Outcome:
    """What an item's attempt in this job came to; `verdict` where it is stored."""

    item_id: int
    outcome: AttemptOutcome
    before: OpenHere
    error_code: str = ""
    error_message: str = ""
    http_status: int | None = None
    finish_reason: str = ""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_nanos: int = 0
    price_version: str = ""
    model_snapshot: str = ""
    file_kind: FileKind | None = None
    line: int | None = None
    answer: str = ""
    raw_line: str = ""
    verdict: Verdict | None = None


def write_outcomes(
    job: BatchJob, workload: Workload, outcomes: Sequence[Outcome], *, now: datetime
) -> Counter[AttemptOutcome]:
    """Apply outcomes for the items that are still open in this job; count them by kind.

    The caller's transaction holds the job. Safe to repeat: what was applied is not
    open.
    """
    runs = _close(job, outcomes, now)
    won = [outcome for outcome in outcomes if outcome.item_id in runs]
    follow_ups = _store(workload, won)
    _write_items(won, now)
    _write_attempts(job, won, now)
    asked_for = _insert_follow_ups(job, workload, follow_ups, runs, now)
    _add_to_shares(job, won, runs, asked_for)
    if asked_for or any(o.outcome == AttemptOutcome.RETURNED for o in won):
        announce("bundle")
    return Counter(outcome.outcome for outcome in won)


def _close(job: BatchJob, outcomes: Sequence[Outcome], now: datetime) -> dict[int, int]:
    """Take the open items: {item id: run id} of those that were open in this job."""
    back = [o.item_id for o in outcomes if o.outcome == AttemptOutcome.RETURNED]
    ended = [o.item_id for o in outcomes if o.outcome != AttemptOutcome.RETURNED]
    runs = close_open_items(job.pk, ended) if ended else {}
    if back:
        runs |= _release_open_items(job.pk, back, now)
    return runs


def _release_open_items(
    job_id: int, item_ids: Sequence[int], now: datetime
) -> dict[int, int]:
    """Put open items of a job back into the pool: {item id: run id} of those moved."""
    sql, param = one_of("item_id", item_ids)
    table = OpenItem._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET job_id = NULL, ready_at = %s "  # noqa: S608
            f"WHERE job_id = %s AND {sql} RETURNING item_id, run_id",
            [connection.ops.adapt_datetimefield_value(now), job_id, param],
        )
        return dict(cursor.fetchall())


def _store(workload: Workload, won: Sequence[Outcome]) -> list[FollowUp]:
    """Let the workload store its results; a row that it cannot store fails alone."""
    applied = [outcome for outcome in won if outcome.verdict is not None]
    if not applied:
        return []
    try:
        with transaction.atomic():
            return workload.store([o.verdict for o in applied if o.verdict])
    except (OperationalError, InterfaceError):
        raise  # the database is away: nothing of the chunk is lost, it comes again
    except SubjectGone as err:
        rest = [outcome for outcome in applied if outcome.item_id not in err.gone]
        if len(rest) == len(applied):
            raise
        for outcome in applied:
            if outcome.item_id in err.gone:
                _fail_without_subject(outcome, err.gone[outcome.item_id])
        return _store(workload, rest)
    except Exception as err:
        if len(applied) > 1:
            half = len(applied) // 2
            return _store(workload, applied[:half]) + _store(workload, applied[half:])
        fail_with_bug(applied[0], workload, err)
        return []


def _fail_without_subject(outcome: Outcome, subject: str) -> None:
    """End an item whose subject was deleted while it was in flight; it is kept."""
    outcome.outcome = AttemptOutcome.FAILED
    outcome.error_code = SubjectGone.code
    outcome.error_message = (
        f"{subject} was deleted while its answer was on the way. The answer is kept: "
        "bring the row back under the same key and apply it again with `manage.py "
        "reapply`, or leave it."
    )
    outcome.verdict = None


def fail_with_bug(outcome: Outcome, workload: Workload, err: Exception) -> None:
    """End an item whose answer the workload's code could not take; it is kept."""
    log.error(
        "[Batch API] Failed to apply %s result of item %d: %r",
        workload.key,
        outcome.item_id,
        err,
    )
    outcome.outcome = AttemptOutcome.FAILED
    outcome.error_code = "apply_error"
    outcome.error_message = (
        f"The workload {workload.key} raised {err!r}. The answer is kept; "
        "mend the workload and apply it again."
    )
    outcome.verdict = None


def _write_items(won: Sequence[Outcome], now: datetime) -> None:
    end_items(
        [
            (
                o.item_id,
                ITEM_STATUS[o.outcome].value,
                o.error_code,
                o.before.input_tokens + o.input_tokens,
                o.before.cached_tokens + o.cached_tokens,
                o.before.output_tokens + o.output_tokens,
                o.before.cost_nanos + o.cost_nanos,
                now if o.outcome != AttemptOutcome.RETURNED else None,
            )
            for o in won
        ]
    )
    back = [o.item_id for o in won if o.outcome == AttemptOutcome.RETURNED]
    if back:
        # Rare, and the one case in which an indexed column changes here.
        sql, param = one_of("id", back)
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {BatchItem._meta.db_table} SET job_id = NULL "  # noqa: S608
                f"WHERE {sql}",
                [param],
            )


def _write_attempts(job: BatchJob, won: Sequence[Outcome], now: datetime) -> None:
    insert_rows(
        ItemAttempt,
        ATTEMPT_FIELDS,
        [
            (
                o.item_id,
                job.pk,
                o.outcome.value,
                o.error_code,
                o.error_message,
                o.http_status,
                o.finish_reason,
                o.input_tokens,
                o.cached_tokens,
                o.output_tokens,
                o.cost_nanos,
                o.price_version,
                o.before.prompt_version_id,
                o.model_snapshot,
                o.file_kind,
                o.line,
                o.answer,
                o.raw_line,
                now,
            )
            for o in sorted(won, key=lambda o: o.item_id)
        ],
    )


def _insert_follow_ups(
    job: BatchJob,
    workload: Workload,
    follow_ups: Sequence[FollowUp],
    runs: dict[int, int],
    now: datetime,
) -> Counter[int]:
    """Write the items that answers asked for; counts them by run."""
    by_run: defaultdict[int, list[FollowUp]] = defaultdict(list)
    for follow_up in follow_ups:
        by_run[runs[follow_up.parent_item_id]].append(follow_up)
    for run in Run.objects.filter(pk__in=by_run):
        asked = by_run[run.pk]
        prompts = dict(
            BatchItem.objects.filter(
                pk__in=[follow_up.parent_item_id for follow_up in asked]
            ).values_list("pk", "prompt_version_id")
        )
        for prompt_id in sorted(set(prompts.values()), key=lambda key: key or 0):
            new = [
                NewItem(
                    subject=follow_up.subject,
                    target=Target(follow_up.target),
                    request=follow_up.request,
                    rendered=render(
                        follow_up.request,
                        provider=job.provider,
                        endpoint=job.endpoint,
                        model=job.model,
                    ),
                    parent_id=follow_up.parent_item_id,
                )
                for follow_up in asked
                if prompts[follow_up.parent_item_id] == prompt_id
            ]
            destination = Destination(job.provider, job.endpoint, job.model, prompt_id)
            insert_items(run, destination, new, now=now)
    return Counter({run_id: len(asked) for run_id, asked in by_run.items()})


SHARE_COLUMN = {
    AttemptOutcome.APPLIED: "complete",
    AttemptOutcome.FAILED: "failed",
    AttemptOutcome.RETURNED: "returned",
    AttemptOutcome.CANCELLED: "cancelled",
}
TOKENS_AND_COST = ("input_tokens", "cached_tokens", "output_tokens", "cost_nanos")


def _add_to_shares(
    job: BatchJob, won: Sequence[Outcome], runs: dict[int, int], asked_for: Counter[int]
) -> None:
    """Add to this job's shares, error counts and own counters; in key order."""
    sums: defaultdict[int, Counter[str]] = defaultdict(Counter)
    errors: Counter[tuple[int, str]] = Counter()
    for outcome in won:
        run_id = runs[outcome.item_id]
        sums[run_id][SHARE_COLUMN[outcome.outcome]] += 1
        for name in TOKENS_AND_COST:
            sums[run_id][name] += getattr(outcome, name)
        if outcome.error_code:
            errors[run_id, outcome.error_code] += 1
    for run_id in sorted(sums):
        added: dict[str, Any] = {
            name: F(name) + n for name, n in sums[run_id].items() if n
        }
        if asked_for[run_id]:
            added["follow_ups"] = F("follow_ups") + asked_for[run_id]
        JobShare.objects.filter(job=job, run_id=run_id).update(**added)
    for (run_id, code), count in sorted(errors.items()):
        JobError.objects.get_or_create(job=job, run_id=run_id, code=code)
        JobError.objects.filter(job=job, run_id=run_id, code=code).update(
            count=F("count") + count
        )
    total = sum(sums.values(), Counter())
    counters = {f"items_{name}": total[name] for name in SHARE_COLUMN.values()}
    counters |= {name: total[name] for name in TOKENS_AND_COST}
    added = {name: F(name) + n for name, n in counters.items() if n}
    if added:
        BatchJob.objects.filter(pk=job.pk).update(**added)
