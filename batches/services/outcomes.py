"""What became of items of a job, written once: the last step of every way to end.

Everything here happens in one transaction with the row of the job locked. What the
guard (the open items of this job) gives back is written; the rest was written before.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F

from batches import config
from batches.errors import SubjectGone
from batches.models import (
    BatchJob,
    ItemAttempt,
    ItemRequest,
    JobShare,
    JobTally,
    OpenItem,
    Run,
)
from batches.providers.result_lines import ResultLine
from batches.services.alerts import raise_alert
from batches.services.bulk import add_to_rows, in_keys, insert_rows, update_rows
from batches.services.failures import MOST_RETURNS, Failure
from batches.services.items import (
    Destination,
    NewItem,
    insert_items,
    not_under_way,
)
from batches.services.lifecycle import (
    SUMMED_FIELDS,
    ClosedItem,
    close_open_items,
    move_tried_items,
)
from batches.services.rendering import render
from batches.signals import announce
from batches.states import BACK, AttemptOutcome, FileKind, Intent
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
    "system_fingerprint",
    "raised_limit",
    "file_kind",
    "line",
    "answer",
    "raw_line",
    "created_at",
)

TALLY_KEY = ("job", "run", "outcome", "error_code")

# Looked up once: what is done for each line must cost next to nothing.
APPLIED = AttemptOutcome.APPLIED


def _no_line() -> ResultLine:
    return ResultLine("")


class Outcome(msgspec.Struct, gc=False):
    """What an item's attempt in this job came to.

    With `failure`, whether the item ends or goes out again is settled when it is
    written, from what it has been through; `outcome` is then what holds if it ends.
    """

    item_id: int
    outcome: AttemptOutcome
    failure: Failure | None = None
    error_code: str = ""
    error_message: str = ""
    read: ResultLine = msgspec.field(default_factory=_no_line)
    cost_nanos: int = 0
    price_version: str = ""
    file_kind: FileKind | None = None
    raw_line: str = ""
    verdict: Verdict | None = None


class Past(NamedTuple):
    """What an open item has been through: for the question what comes next of it."""

    item_id: int
    run_id: int
    content_type_id: int
    object_id: str
    target: str
    prompt_version_id: int | None
    output_limit: int
    tries: int
    returns: int
    raised_limit: int | None


def write_outcomes(
    job: BatchJob, workload: Workload, outcomes: Sequence[Outcome], *, now: datetime
) -> Collection[int]:
    """Apply outcomes for the items that are still open in this job: the keys of those.

    The caller's transaction holds the job. Safe to repeat: what was applied is not
    open.
    """
    follow_ups, closed = _settle_failures(job, workload, outcomes, now)
    closed |= close_open_items(
        job.pk, [o.item_id for o in outcomes if o.outcome not in BACK]
    )
    won = [outcome for outcome in outcomes if outcome.item_id in closed]
    follow_ups += store_outcomes(workload, won, closed)
    _write_attempts(job, won, closed, now)
    move_tried_items(job, [outcome.item_id for outcome in won], now=now)
    asked_for = _insert_follow_ups(job, follow_ups, closed, now)
    _add_to_figures(job, won, closed, asked_for)
    if asked_for or any(outcome.outcome in BACK for outcome in won):
        announce("bundle")
    return closed.keys()


def _settle_failures(
    job: BatchJob, workload: Workload, outcomes: Sequence[Outcome], now: datetime
) -> tuple[list[FollowUp], dict[int, ClosedItem]]:
    """Settle what comes of each failure, and put back into the pool what goes again.

    Returns the parts of what was split, and the items that were put back.
    """
    failed = {o.item_id: o for o in outcomes if o.failure is not None}
    if not failed:
        return [], {}
    here = in_keys(OpenItem.objects.filter(job=job), "item_id", failed)
    follow_ups: list[FollowUp] = []
    again: dict[int, ClosedItem] = {}
    rows = []
    most_tries = config.get("BATCH_MAX_ATTEMPTS")
    for past in map(Past._make, here.values_list(*Past._fields)):
        outcome = failed[past.item_id]
        follow_ups += _settle_failure(job, workload, outcome, past, most_tries)
        if outcome.outcome not in BACK:
            continue
        is_retry = outcome.outcome == AttemptOutcome.RETRIED
        limit = past.raised_limit
        if is_retry and outcome.failure is Failure.TRUNCATED:
            limit = 2 * past.output_limit
        again[past.item_id] = ClosedItem(*past[:6], past.raised_limit)
        rows.append(
            (
                past.item_id,
                None,
                now,
                limit or past.output_limit,
                limit,
                past.tries + is_retry,
                past.returns + (not is_retry),
            )
        )
    fields = ("job", "ready_at", "output_limit", "raised_limit", "tries", "returns")
    update_rows(OpenItem, fields, rows)
    return follow_ups, again


def _settle_failure(
    job: BatchJob, workload: Workload, outcome: Outcome, past: Past, most_tries: int
) -> list[FollowUp]:
    """Decide between its end and another attempt; returns its parts where it is split.

    An answer cut off goes out again once with a doubled limit, then in parts.
    """
    failure = outcome.failure
    if job.intent == Intent.CANCEL:
        return []  # what a person cancelled does not go out again by itself
    if failure in (Failure.NOT_EXECUTED, Failure.ACCOUNT):
        outcome.outcome = AttemptOutcome.RETURNED
        if past.returns + 1 >= MOST_RETURNS:
            _give_up_returning(job, outcome)
        return []
    may_try = past.tries + 1 < most_tries
    if failure is Failure.TRUNCATED and past.raised_limit is not None:
        parts = _parts(workload, outcome, past)
        if parts:
            outcome.outcome = AttemptOutcome.SPLIT
            outcome.error_code = outcome.error_message = ""
        return parts
    if failure is not Failure.PERMANENT and may_try:
        outcome.outcome = AttemptOutcome.RETRIED
    return []


def _give_up_returning(job: BatchJob, outcome: Outcome) -> None:
    outcome.outcome = AttemptOutcome.FAILED
    outcome.error_message = (
        f"It came back {MOST_RETURNS} times without being executed, the last time as "
        f"{outcome.error_code}: {outcome.error_message} Retry it by hand."
    )
    outcome.error_code = "returned_too_often"
    raise_alert(
        "returned_too_often",
        f"Items of job {job.pk} came back {MOST_RETURNS} times without being executed "
        "and have failed. Look at the reason on them, and retry them by hand.",
        key=f"job {job.pk}",
        job=job,
    )


def _parts(workload: Workload, outcome: Outcome, past: Past) -> list[FollowUp]:
    """The same work in smaller requests, as the workload cuts it; none if it cannot."""
    if outcome.verdict is None:
        return []
    answer = outcome.verdict.answer
    _place(outcome.verdict, past)
    if not answer.body:
        request = ItemRequest.objects.get(pk=past.item_id)
        answer.body, answer.context = request.body, request.context
    try:
        return workload.split(answer)
    except Exception as err:
        fail_with_bug(outcome, workload, err)
        return []


def _place(verdict: Verdict, item: Past | ClosedItem) -> None:
    """Tell an answer what it is about, which its workload may need to store it."""
    answer = verdict.answer
    answer.content_type_id = item.content_type_id
    answer.object_id = item.object_id
    answer.target = item.target
    answer.prompt_version_id = item.prompt_version_id


def store_outcomes(
    workload: Workload, won: Sequence[Outcome], closed: dict[int, ClosedItem]
) -> list[FollowUp]:
    """Let the workload store its results; a row that it cannot store fails alone."""
    applied = [outcome for outcome in won if outcome.outcome is APPLIED]
    for outcome in applied:
        assert outcome.verdict  # noqa: S101  # what is applied was judged
        _place(outcome.verdict, closed[outcome.item_id])
    return _store(workload, applied)


def _store(workload: Workload, applied: Sequence[Outcome]) -> list[FollowUp]:
    if not applied:
        return []
    try:
        with transaction.atomic():
            return workload.store([o.verdict for o in applied if o.verdict])
    except (OperationalError, InterfaceError):
        raise  # the database is away: nothing of the chunk is lost, it comes again
    except Exception as err:
        gone = err.gone if isinstance(err, SubjectGone) else {}
        rest = [outcome for outcome in applied if outcome.item_id not in gone]
        if len(rest) < len(applied):
            for outcome in applied:
                if outcome.item_id in gone:
                    _fail_without_subject(outcome, gone[outcome.item_id])
            return _store(workload, rest)
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
    outcome.failure = None
    outcome.error_code = "apply_error"
    outcome.error_message = (
        f"The workload {workload.key} raised {err!r}. The answer is kept; "
        "mend the workload and apply it again."
    )
    outcome.verdict = None


def _by_kind(won: Sequence[Outcome]) -> dict[AttemptOutcome, list[Outcome]]:
    applied: list[Outcome] = []
    kinds = {APPLIED: applied}
    for outcome in won:
        if outcome.outcome is APPLIED:  # nearly all: they cost no lookup
            applied.append(outcome)
        else:
            kinds.setdefault(outcome.outcome, []).append(outcome)
    return kinds


def _write_attempts(
    job: BatchJob,
    won: Sequence[Outcome],
    closed: dict[int, ClosedItem],
    now: datetime,
) -> None:
    rows: list[tuple[Any, ...]] = []
    for kind, outcomes in _by_kind(won).items():
        rows += _attempt_rows(job.pk, kind.value, outcomes, closed, now)
    rows.sort(key=itemgetter(0))  # neighbours in the table's index
    insert_rows(ItemAttempt, ATTEMPT_FIELDS, rows)


def _attempt_rows(
    job_id: int,
    kind: str,
    outcomes: list[Outcome],
    closed: dict[int, ClosedItem],
    now: datetime,
) -> Iterator[tuple[Any, ...]]:
    for o in outcomes:
        read, item = o.read, closed[o.item_id]
        yield (
            o.item_id,
            job_id,
            kind,
            o.error_code,
            o.error_message,
            read.http_status,
            read.finish_reason[:32],
            read.input_tokens,
            read.cached_tokens,
            read.output_tokens,
            o.cost_nanos,
            o.price_version,
            item.prompt_version_id,
            read.model[:100],
            read.fingerprint[:100],
            item.raised_limit,
            o.file_kind,
            read.number,
            read.text or read.refusal,
            o.raw_line,
            now,
        )


def _insert_follow_ups(
    job: BatchJob,
    follow_ups: Sequence[FollowUp],
    closed: dict[int, ClosedItem],
    now: datetime,
) -> Counter[int]:
    """Write the items that answers asked for; counts them by run."""
    by_run: defaultdict[int, list[FollowUp]] = defaultdict(list)
    for follow_up in not_under_way(job.workload, follow_ups):
        by_run[closed[follow_up.parent_item_id].run_id].append(follow_up)
    for run in Run.objects.filter(pk__in=by_run):
        by_prompt: defaultdict[int | None, list[FollowUp]] = defaultdict(list)
        for follow_up in by_run[run.pk]:
            prompt_id = closed[follow_up.parent_item_id].prompt_version_id
            by_prompt[prompt_id].append(follow_up)
        for prompt_id, asked in by_prompt.items():
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
            ]
            destination = Destination(job.provider, job.endpoint, job.model, prompt_id)
            insert_items(run, destination, new, now=now)
    return Counter({run_id: len(asked) for run_id, asked in by_run.items()})


SHARE_COLUMN = {
    AttemptOutcome.APPLIED: "complete",
    AttemptOutcome.SPLIT: "complete",
    AttemptOutcome.FAILED: "failed",
    AttemptOutcome.RETURNED: "returned",
    AttemptOutcome.RETRIED: "returned",
    AttemptOutcome.CANCELLED: "cancelled",
}


def _add_to_figures(
    job: BatchJob,
    won: Sequence[Outcome],
    closed: dict[int, ClosedItem],
    asked_for: Counter[int],
) -> None:
    """Add to this job's shares, tallies and own counters; in key order."""
    total: Counter[str] = Counter()
    tallies = []
    for run_id, outcomes in sorted(_by_run(won, closed).items()):
        share: Counter[str] = Counter()
        for (kind, code), some in sorted(_by_ending(outcomes).items()):
            sums = _sums(some)
            tallies.append((job.pk, run_id, kind.value, code, len(some), *sums))
            share[SHARE_COLUMN[kind]] += len(some)
            share.update(dict(zip(SUMMED_FIELDS, sums, strict=True)))
        total += share
        share["follow_ups"] = asked_for[run_id]
        JobShare.objects.filter(job=job, run_id=run_id).update(
            **{name: F(name) + n for name, n in share.items() if n}
        )
    add_to_rows(JobTally, TALLY_KEY, ("attempts", *SUMMED_FIELDS), tallies)
    columns = {name: f"items_{name}" for name in SHARE_COLUMN.values()}
    added = {
        columns.get(name, name): F(columns.get(name, name)) + n
        for name, n in total.items()
    }
    if added:
        BatchJob.objects.filter(pk=job.pk).update(**added)


def _by_run(
    won: Sequence[Outcome], closed: dict[int, ClosedItem]
) -> Mapping[int, Sequence[Outcome]]:
    runs = {item.run_id for item in closed.values()}
    if len(runs) == 1:  # most jobs are of one run
        return dict.fromkeys(runs, won)
    by_run: defaultdict[int, list[Outcome]] = defaultdict(list)
    for outcome in won:
        by_run[closed[outcome.item_id].run_id].append(outcome)
    return by_run


def _by_ending(
    outcomes: Sequence[Outcome],
) -> dict[tuple[AttemptOutcome, str], list[Outcome]]:
    endings: dict[tuple[AttemptOutcome, str], list[Outcome]] = {}
    for kind, some in _by_kind(outcomes).items():
        if kind is APPLIED and some:
            endings[kind, ""] = some
            continue
        for outcome in some:
            endings.setdefault((kind, outcome.error_code), []).append(outcome)
    return endings


def _sums(outcomes: Sequence[Outcome]) -> tuple[int, int, int, int]:
    """Of tokens and cost, in the order of SUMMED_FIELDS."""
    return (
        sum([o.read.input_tokens for o in outcomes]),
        sum([o.read.cached_tokens for o in outcomes]),
        sum([o.read.output_tokens for o in outcomes]),
        sum([o.cost_nanos for o in outcomes]),
    )
