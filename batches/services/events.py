"""History and the audit log: one row for each thing that happened."""

from datetime import datetime
from typing import Any

from batches.models import AuditEntry, BatchJob, Event, Run
from batches.states import AuditOutcome, EventKind


def record_event(
    kind: EventKind,
    *,
    now: datetime,
    run: Run | int | None = None,
    job: BatchJob | int | None = None,
    message: str = "",
    **data: Any,
) -> None:
    """Tell what happened to a run or a job, in the transaction that made it happen."""
    Event.objects.create(
        run_id=run.pk if isinstance(run, Run) else run,
        job_id=job.pk if isinstance(job, BatchJob) else job,
        kind=kind,
        message=message[:500],
        data=data,
        created_at=now,
    )


def audit(
    action: str,
    *,
    actor: str,
    target: str = "",
    outcome: AuditOutcome = AuditOutcome.SUCCESS,
    message: str = "",
    address: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write down what a person or a program with rights did, or was kept from doing."""
    AuditEntry.objects.create(
        action=action,
        actor=actor[:150],
        target=target[:200],
        outcome=outcome,
        message=message[:500],
        address=address,
        before=before,
        after=after,
    )
