"""Runs, jobs, shares, tallies and the hourly rollup of a seeded stream."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from batches.benchmark.load import COST_NANOS, JobPlan, Stream
from batches.benchmark.writing import as_kept, insert_whole
from batches.models import BatchJob, Event, HourlyUsage, JobShare, JobTally, Run
from batches.services.bulk import Row, add_to_rows
from batches.services.recount import USAGE_KEY
from batches.states import (
    AT_PROVIDER,
    BACK,
    RUN_FINAL,
    AttemptOutcome,
    EventKind,
    JobStatus,
    RunStatus,
    Trigger,
    run_status,
)
from batches.workloads import CHAT

SUMS = ("input_tokens", "cached_tokens", "output_tokens", "cost_nanos")
TALLIED = ("attempts", *SUMS)
ENDED = {
    AttemptOutcome.APPLIED: "complete",
    AttemptOutcome.FAILED: "failed",
    AttemptOutcome.CANCELLED: "cancelled",
    **dict.fromkeys(BACK, "returned"),
}
SHARED = ("sent", "complete", "failed", "flagged", "cancelled", "returned", *SUMS)
RESERVED_PER_ITEM = 2 * COST_NANOS
BYTES_PER_ITEM = 400
# How long a finished job was in each status, from its creation: a sixth each.
STAMPS = ("uploading_at", "validating_at", "in_progress_at", "finalizing_at")
Owners = Mapping[int, int | None]
UsageSums = defaultdict[tuple[Any, ...], Counter[str]]


@dataclass(frozen=True, slots=True)
class Share:
    run: int
    figures: "Counter[str]"


Shares = Mapping[int, Sequence[Share]]


def shares(plan: JobPlan) -> list[Share]:
    """What each run has in a job, added up from what its items came to."""
    found: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for (run, outcome, _), sums in plan.sums.items():
        figures = found[run]
        figures["sent"] += sums["attempts"]
        if outcome is not None:
            figures[ENDED[outcome]] += sums["attempts"]
        figures["flagged"] += sums["flagged"]
        for name in SUMS:
            figures[name] += sums[name]
    return [Share(run, figures) for run, figures in sorted(found.items())]


def write_runs(
    stream: Stream,
    runs: Sequence[int],
    plans: Sequence[JobPlan],
    of_jobs: Shares,
    owner_of: Owners,
    *,
    now: datetime,
) -> None:
    """The runs, each with the status that its figures mean, and their first events."""
    figures: defaultdict[int, Counter[str]] = defaultdict(Counter)
    span: dict[int, tuple[datetime, datetime]] = {}
    for plan in plans:
        for share in of_jobs[plan.key]:
            figures[share.run].update(share.figures)
            begun = span.get(share.run, (plan.created_at, now))[0]
            span[share.run] = (begun, plan.ended_at)
    rows, events = [], []
    for number, run in enumerate(runs):
        items = len(stream.run_positions(number))
        begun, ended = span.get(run, (now, now))
        status = _status(items, figures[run])
        created = begun - timedelta(minutes=10)
        finished = ended if status in RUN_FINAL else None
        rows.append(_run_row(stream, run, items, status, created, finished, owner_of))
        events.append((run, EventKind.RUN_CREATED.value, created))
        if finished:
            events.append((run, EventKind.RUN_COMPLETED.value, finished))
    insert_whole(
        Run,
        (
            "id",
            "public_id",
            "status",
            "owner",
            "trigger",
            "items_collected",
            "subjects_collected",
            "estimate_nanos",
            "expected_nanos",
            "high_nanos",
            "counted_tokens",
            "created_at",
            "collected_at",
            "started_at",
            "finished_at",
        ),
        rows,
        workload=stream.content.workload,
    )
    insert_whole(Event, ("run", "kind", "created_at"), events)


def _status(items: int, figures: "Counter[str]") -> RunStatus:
    ended = figures["complete"] + figures["failed"] + figures["cancelled"]
    return run_status(
        is_collected=True,
        is_cancelled=False,
        items=items,
        open_=items - ended,
        complete=figures["complete"],
        sent=figures["sent"],
    )


def _run_row(
    stream: Stream,
    run: int,
    items: int,
    status: RunStatus,
    created: datetime,
    finished: datetime | None,
    owner_of: Owners,
) -> Row:
    worst = items * RESERVED_PER_ITEM
    return (
        run,
        as_kept(uuid.uuid4()),
        status.value,
        owner_of[run],
        (Trigger.SCHEDULE if owner_of[run] is None else Trigger.ADMIN).value,
        items,
        items,
        worst,
        worst // 2,
        worst * 3 // 4,
        items * 300,
        created,
        created,
        created + timedelta(minutes=10),
        finished,
    )


def write_jobs(stream: Stream, plans: Sequence[JobPlan], of_jobs: Shares) -> None:
    """The jobs, their shares, tallies and history."""
    rows, share_rows, tallies, events = [], [], [], []
    for plan in plans:
        whole: Counter[str] = Counter()
        for share in of_jobs[plan.key]:
            whole.update(share.figures)
            reserved = share.figures["sent"] * RESERVED_PER_ITEM
            share_rows.append(
                (
                    plan.key,
                    share.run,
                    *(share.figures[name] for name in SHARED),
                    reserved,
                )
            )
        rows.append(_job_row(plan, whole))
        tallies += [
            (plan.key, run, outcome.value, code, *(sums[name] for name in TALLIED))
            for (run, outcome, code), sums in plan.sums.items()
            if outcome is not None
        ]
        events += _job_events(plan)
    insert_whole(
        BatchJob,
        JOB_FIELDS,
        rows,
        workload=stream.content.workload,
        provider=stream.provider,
        model=stream.content.model,
        endpoint=CHAT,
    )
    insert_whole(JobShare, ("job", "run", *SHARED, "reserved_nanos"), share_rows)
    insert_whole(JobTally, ("job", "run", "outcome", "error_code", *TALLIED), tallies)
    insert_whole(Event, ("job", "kind", "message", "created_at"), events)


JOB_FIELDS = (
    "id",
    "public_id",
    "token",
    "status",
    "provider_status",
    "provider_batch_id",
    "input_file_id",
    "output_file_id",
    "create_sent_at",
    "next_poll_at",
    "provider_total",
    "provider_completed",
    "provider_failed",
    "lines_read",
    "file_bytes",
    "queued_tokens",
    "items_total",
    "items_complete",
    "items_failed",
    "items_cancelled",
    "items_returned",
    *SUMS,
    "created_at",
    *STAMPS,
    "completed_at",
    "processed_at",
    "expired_at",
    "cancelled_at",
    "failed_at",
    "finished_at",
    "provider_files_deleted_at",
)


def _job_row(plan: JobPlan, whole: "Counter[str]") -> Row:
    token = uuid.uuid4().hex
    is_sent = plan.finished_at or plan.status not in (
        JobStatus.PENDING,
        JobStatus.UPLOADING,
    )
    is_asked_after = plan.status in AT_PROVIDER
    answered = whole["complete"] + whole["failed"]
    return (
        plan.key,
        as_kept(uuid.uuid4()),
        token,
        plan.status.value,
        _provider_status(plan) if is_sent else "",
        f"batch_{token}" if is_sent else None,
        f"file-in-{token}" if is_sent else "",
        f"file-out-{token}" if answered else "",
        plan.created_at if is_sent else None,
        plan.created_at if is_asked_after else None,
        whole["sent"] if is_sent else 0,
        whole["complete"],
        whole["failed"],
        answered,
        whole["sent"] * BYTES_PER_ITEM,
        whole["sent"] * 300,
        *(whole[name] for name in ("sent", "complete", "failed")),
        *(whole[name] for name in ("cancelled", "returned", *SUMS)),
        plan.created_at,
        *_stamps(plan, bool(is_sent)),
    )


def _provider_status(plan: JobPlan) -> str:
    if plan.status == JobStatus.PROCESSED:
        return JobStatus.COMPLETED.value
    return plan.status.value


def _stamps(plan: JobPlan, is_sent: bool) -> list[datetime | None]:
    """When it came into each status, and when its files were seen to be gone."""
    step = (plan.ended_at - plan.created_at) / (len(STAMPS) + 2)
    begun: list[Any] = [
        plan.created_at + step * place if is_sent else None
        for place in range(1, len(STAMPS) + 1)
    ]
    is_read = plan.status in (JobStatus.PROCESSED, JobStatus.COMPLETED)
    begun.append(plan.ended_at - step if is_read else None)
    for status in (
        JobStatus.PROCESSED,
        JobStatus.EXPIRED,
        JobStatus.CANCELLED,
        JobStatus.FAILED,
    ):
        begun.append(plan.finished_at if plan.status == status else None)
    return [*begun, plan.finished_at, plan.finished_at]


def _job_events(plan: JobPlan) -> list[Row]:
    found: list[Row] = [(plan.key, EventKind.BATCH_CREATED.value, "", plan.created_at)]
    if plan.finished_at:
        said = f"from completed to {plan.status.value}"
        found += [
            (plan.key, EventKind.BATCH_MOVED.value, "from pending", plan.created_at),
            (plan.key, EventKind.BATCH_MOVED.value, said, plan.finished_at),
        ]
    return found


def add_usage(
    used: UsageSums, stream: Stream, plans: Sequence[JobPlan], owner_of: Owners
) -> None:
    """Add what finished jobs came to, by the key of the hourly rollup."""
    kind = (stream.provider, stream.content.workload, stream.content.model)
    for plan in plans:
        if plan.finished_at is None:
            continue
        hour = plan.finished_at.replace(minute=0, second=0, microsecond=0)
        for (run, outcome, code), sums in plan.sums.items():
            ended = outcome.value if outcome else ""
            used[(hour, *kind, owner_of[run] or 0, "", ended, code)].update(sums)


def write_usage(used: UsageSums) -> None:
    """Add it to the rollup hour by hour, so that hours lie together as they would."""
    add_to_rows(
        HourlyUsage,
        USAGE_KEY,
        TALLIED,
        [
            (*key, *(sums[name] for name in TALLIED))
            for key, sums in sorted(used.items())
        ],
    )
