"""What became of items of a job, written once: the last step of every way to end.

Everything here happens in one transaction with the row of the job locked. What the
guard (the open items of this job) gives back is written; the rest was written before.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from batches import config
from batches.errors import SubjectGone
from batches.models import (
    BatchJob,
    ItemRequest,
    JobShare,
    OpenItem,
    Run,
)
from batches.services.alerts import raise_alert
from batches.services.attempts import APPLIED, Outcome, write_attempts
from batches.services.bulk import in_keys, update_rows
from batches.services.failures import MOST_RETURNS, Failure
from batches.services.figures import add_to_figures
from batches.services.items import (
    Destination,
    asked_for,
    insert_items,
    not_under_way,
)
from batches.services.lifecycle import (
    ClosedItem,
    close_open_items,
    move_tried_items,
)
from batches.services.workload_calls import bug_in_words, store_verdicts, tell_stored
from batches.signals import announce
from batches.states import BACK, AttemptOutcome, Intent
from batches.workloads import FollowUp, Verdict, Workload

log = logging.getLogger(__name__)


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
    unwanted = _cancelled_runs(job)
    follow_ups, closed = _settle_failures(job, workload, outcomes, unwanted, now)
    closed |= close_open_items(
        job.pk, [o.item_id for o in outcomes if o.outcome not in BACK]
    )
    won = [outcome for outcome in outcomes if outcome.item_id in closed]
    if unwanted:
        _only_keep([o for o in won if closed[o.item_id].run_id in unwanted])
    follow_ups += store_outcomes(workload, won, closed)
    write_attempts(job, won, closed, now)
    move_tried_items(job, [outcome.item_id for outcome in won], now=now)
    asked_for = insert_follow_ups(job, workload, follow_ups, closed, now=now)
    add_to_figures(job, won, closed, asked_for)
    if asked_for or any(outcome.outcome in BACK for outcome in won):
        announce("bundle")
    return closed.keys()


def _cancelled_runs(job: BatchJob) -> Collection[int]:
    """Runs that were cancelled while a job went on for the sake of others.

    What a job of one run alone had finished when it was cancelled is wanted all the
    same; in a shared one most was executed after a person had said that it is not.
    """
    shares = JobShare.objects.filter(job=job)
    cancelled = set(
        shares.filter(run__cancelled_at__isnull=False).values_list("run_id", flat=True)
    )
    return cancelled if cancelled and shares.count() > 1 else ()


def _only_keep(outcomes: Iterable[Outcome]) -> None:
    """End items as cancelled, whatever they came to; answer and cost are kept."""
    for outcome in outcomes:
        if not outcome.error_code:
            outcome.error_code = "cancelled"
            outcome.error_message = (
                "Its run was cancelled while it was in a job with other runs: the "
                "answer is kept, and not applied."
            )
        outcome.outcome = AttemptOutcome.CANCELLED
        outcome.failure = outcome.verdict = None


def _settle_failures(
    job: BatchJob,
    workload: Workload,
    outcomes: Sequence[Outcome],
    unwanted: Collection[int],
    now: datetime,
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
    most_tries = _most_tries(job)
    for past in map(Past._make, here.values_list(*Past._fields)):
        if past.run_id in unwanted:
            continue
        outcome = failed[past.item_id]
        follow_ups += _settle_failure(
            job, workload, outcome, past, most_tries[past.run_id]
        )
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
                past.returns + (not is_retry and not _is_recalled(job, outcome)),
            )
        )
    fields = ("job", "ready_at", "output_limit", "raised_limit", "tries", "returns")
    update_rows(OpenItem, fields, rows)
    return follow_ups, again


def _most_tries(job: BatchJob) -> dict[int, int]:
    """{run: how often each of its items may be tried}, the first time included."""
    usual = config.get("BATCH_MAX_ATTEMPTS")
    runs = Run.objects.filter(shares__job=job).values_list("pk", "max_attempts")
    return {run_id: own or usual for run_id, own in runs}


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
        if past.returns + 1 >= MOST_RETURNS and not _is_recalled(job, outcome):
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


def _is_recalled(job: BatchJob, outcome: Outcome) -> bool:
    """Whether a person called it back: that may be done as often as they like."""
    return job.intent == Intent.RECALL and outcome.failure is Failure.NOT_EXECUTED


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
    found = store_verdicts(
        workload.store, [outcome.verdict for outcome in applied if outcome.verdict]
    )
    if found.bugs or found.gone:
        by_item = {outcome.item_id: outcome for outcome in applied}
        for item_id, err in found.bugs.items():
            fail_with_bug(by_item[item_id], workload, err)
        for item_id, subject in found.gone.items():
            _fail_without_subject(by_item[item_id], subject)
    tell_stored(workload, (outcome.verdict for outcome in applied))
    return found.follow_ups


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
    outcome.error_message = bug_in_words(workload, err)
    outcome.verdict = None


def insert_follow_ups(
    to: BatchJob | OpenItem,
    workload: Workload,
    follow_ups: Sequence[FollowUp],
    closed: dict[int, ClosedItem],
    *,
    now: datetime,
) -> Counter[int]:
    """Write the items that answers asked for; counts them by run.

    They go where `to` goes: to its provider, endpoint and model.
    """
    if not follow_ups:
        return Counter()
    by_run: defaultdict[int, list[FollowUp]] = defaultdict(list)
    for follow_up in not_under_way(
        workload, follow_ups, lambda parent: closed[parent].run_id
    ):
        by_run[closed[follow_up.parent_item_id].run_id].append(follow_up)
    for run in Run.objects.filter(pk__in=by_run):
        destination = Destination(to.provider, to.endpoint, to.model)
        new = [
            asked_for(
                follow_up,
                destination,
                closed[follow_up.parent_item_id].prompt_version_id,
            )
            for follow_up in by_run[run.pk]
        ]
        insert_items(run, destination, new, now=now)
    return Counter({run_id: len(asked) for run_id, asked in by_run.items()})
