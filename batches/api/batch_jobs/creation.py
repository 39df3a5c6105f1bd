"""Asking for work within a request: a run, its items, and the jobs that can be made."""

from decimal import Decimal
from typing import Any

from ninja.responses import Status

from batches import config
from batches.api.auth import ApiRequest
from batches.api.batch_jobs.schemas import CreatedOut, MessageOut
from batches.api.batch_jobs.shapes import job_ids
from batches.api.idempotency import start_asked
from batches.models import BatchJob, Run
from batches.services.bundling import bundle
from batches.services.collection import collect_run
from batches.services.events import audit
from batches.services.lifecycle import RunFigures, run_figures

Created = Status[CreatedOut] | Status[MessageOut]


def create_work(
    request: ApiRequest,
    workload: str,
    options: dict[str, Any],
    *,
    limit: int,
    idempotency_key: str = "",
) -> Created:
    """Collect and bundle for a caller; what is left over the worker goes on with.

    With a key that came before, what came of it then. Raises as `start_asked` does.
    """
    run, is_new = start_asked(
        request, workload, options, key=idempotency_key, limit=limit
    )
    if is_new:
        audit_created(request, run)
        collect_run(run)
        if config.creation_enabled():
            bundle()
        run.refresh_from_db()
    return _answer(run, run_figures(run))


def audit_created(request: ApiRequest, run: Run) -> None:
    audit(
        "run.create",
        actor=request.auth.actor,
        target=str(run),
        after={
            "workload": run.workload,
            "options": run.options,
            "limit": run.limit,
        },
    )


def _answer(run: Run, figures: RunFigures) -> Created:
    """200 with what was made, 202 where all of it waits, 200 where there is nothing."""
    if not figures.items:
        under_way = run.skipped.get("under_way", 0)
        also = f" or under way already ({_requests(under_way)})" if under_way else ""
        return Status(
            200,
            MessageOut(message=f"Nothing to do: all of it is current{also}."),
        )
    jobs = job_ids(BatchJob.objects.filter(shares__run=run).order_by("pk"))
    made = CreatedOut(
        job_id=jobs[0] if jobs else None,
        job_ids=jobs,
        run_id=run.public_id,
        message=_message(run, figures),
    )
    return Status(200 if jobs or not figures.open else 202, made)


def _message(run: Run, figures: RunFigures) -> str:
    subjects = run.subjects_collected
    of = f"{_requests(figures.items)} for {subjects} subject{'s' * (subjects != 1)}"
    parts = []
    if figures.jobs:
        parts.append(
            f"Created {figures.jobs} {run.workload} job{'s' * (figures.jobs != 1)}: "
            f"{of}, at most ${_dollars(run.estimate_usd)}. {_estimate(run)}"
        )
    elif figures.open:
        parts.append(
            f"Collected {of}, at most ${_dollars(run.estimate_usd)}. {_estimate(run)} "
            f"No job is made yet: {_why_it_waits(run)}."
        )
    else:
        parts.append(f"Collected {of}; nothing is to be sent.")
    if run.unsent_failed:
        parts.append(f"{_requests(run.unsent_failed)} failed before sending.")
    return " ".join(parts)


def _estimate(run: Run) -> str:
    return (
        f"It has {run.counted_tokens:,} input tokens and will probably cost "
        f"${_dollars(run.expected_usd)}, nine times of ten at most "
        f"${_dollars(run.high_usd)}."
    )


def _why_it_waits(run: Run) -> str:
    if run.waiting_reason:
        return run.waiting_reason.rstrip(".")
    off = [
        name
        for name in ("BATCH_PROCESSING_ENABLED", "BATCH_CREATION_ENABLED")
        if not config.get(name)
    ]
    off += ["STAGING"] if config.get("STAGING") else []
    if off:
        return f"{' and '.join(off)} keeps new jobs from being made"
    return "it goes with the next job"


def _dollars(amount: Decimal) -> str:
    return f"{amount:f}".rstrip("0").rstrip(".")


def _requests(number: int) -> str:
    return f"{number} request{'s' * (number != 1)}"
