"""History and the audit log: one row for each thing that happened."""

from datetime import datetime
from hashlib import sha256
from ipaddress import ip_network
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from batches.models import AuditEntry, BatchJob, Event, Run
from batches.services.asking import who_asks
from batches.states import AuditKind, AuditOutcome, EventKind

MONITORING_ACCESS = "batch_monitoring_access"
DASHBOARD_LOOK = "Admin accessed batch monitoring dashboard"
MOST_ROWS_A_MINUTE = 30
MANY = "many"
FLOOD = "More actors and addresses were refused in this minute than are written down."


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
    kind: AuditKind = AuditKind.ACT,
    message: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write down what a person or a program with rights did, or was kept from doing.

    Within a request the address is that of who asks.
    """
    asking = who_asks()
    AuditEntry.objects.create(
        kind=kind,
        action=_text(action, 64),
        actor=_text(actor, 150),
        target=_text(target, 200),
        outcome=outcome,
        message=_text(message, 500),
        address=asking.address if asking else "",
        before=before,
        after=after,
    )
    if asking:
        asking.entries += 1


def audit_counted(
    action: str,
    *,
    actor: str,
    kind: AuditKind,
    outcome: AuditOutcome,
    target: str = "",
    message: str = "",
    now: datetime | None = None,
) -> None:
    """Write down what may come in floods: one row a minute for each act, actor and
    address, with a count.

    `target` and `message` are those of the first. However many addresses refusals come
    from, a minute has at most MOST_ROWS_A_MINUTE rows of them and one more for each
    outcome, which counts what is beyond.
    """
    asking = who_asks()
    now = now or timezone.now()
    minute = now.replace(second=0, microsecond=0)
    entry = AuditEntry(
        kind=kind,
        action=_text(action, 64),
        actor=_text(actor, 150),
        target=_text(target, 200),
        outcome=outcome,
        message=_text(message, 500),
        address=asking.address if asking else "",
        created_at=now,
    )
    network = _network(entry.address)
    entry.counted_as = _digest(minute, action, entry.actor, outcome, network)
    if asking:
        asking.entries += 1
    if _counted_once_more(entry):
        return
    if outcome != AuditOutcome.SUCCESS and _is_full(minute):
        entry.actor, entry.address, entry.target = MANY, "", ""
        entry.action, entry.message = "flood", FLOOD
        entry.counted_as = _digest(minute, outcome)
        if _counted_once_more(entry):
            return
    try:
        with transaction.atomic():
            entry.save()
    except IntegrityError:  # another process made the row just now
        _counted_once_more(entry)


def note_dashboard_look(*, actor: str, target: str) -> None:
    """Somebody looks at a page of figures; those of one minute are one entry."""
    audit_counted(
        MONITORING_ACCESS,
        kind=AuditKind.PLATFORM_ADMIN,
        outcome=AuditOutcome.SUCCESS,
        actor=actor,
        target=target,
        message=DASHBOARD_LOOK,
    )


def _counted_once_more(entry: AuditEntry) -> bool:
    """Count into the row that is there; False where there is none.

    The one change that an entry knows, which therefore goes around its guard.
    """
    same = AuditEntry._base_manager.filter(counted_as=entry.counted_as)
    return bool(same.update(count=F("count") + 1))


def _is_full(minute: datetime) -> bool:
    counted = AuditEntry.objects.filter(
        created_at__gte=minute, counted_as__isnull=False
    ).exclude(outcome=AuditOutcome.SUCCESS)
    return counted.order_by()[MOST_ROWS_A_MINUTE - 1 :].exists()


def _network(address: str) -> str:
    """What is one household: an IPv6 address stands for its 64 bits of network."""
    if ":" not in address:
        return address
    return str(ip_network(f"{address.partition('%')[0]}/64", strict=False))


def _text(given: str, length: int) -> str:
    """What a column takes of it: no NUL and no half of a character."""
    whole = str(given).encode(errors="replace").decode()
    return whole.replace("\0", "")[:length]


def _digest(*parts: object) -> str:
    return sha256("\0".join(map(str, parts)).encode()).hexdigest()
