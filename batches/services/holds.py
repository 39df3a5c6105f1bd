"""Holds: what keeps new work from going out, for whom, and why."""

import logging
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from batches.models import Hold
from batches.services.alerts import raise_alert
from batches.services.events import audit
from batches.signals import announce
from batches.states import HoldScope, Severity

log = logging.getLogger(__name__)

ENGINE = "batchsite"  # who raises a hold that no person raised
ACCOUNT_TROUBLE = "account_trouble"
FIRST_PROBE = timedelta(minutes=5)


def active_holds() -> QuerySet[Hold]:
    """Every hold that is in force, oldest first."""
    return Hold.objects.filter(lifted_at__isnull=True).order_by("pk")


def hold_on(*, provider: str, workload: str, account: str) -> Hold | None:
    """The oldest hold that keeps such work from going out; None where it may go."""
    return (
        active_holds()
        .filter(
            Q(scope=HoldScope.ALL)
            | Q(scope=HoldScope.PROVIDER, key=provider)
            | Q(scope=HoldScope.WORKLOAD, key=workload)
            | Q(scope=HoldScope.ACCOUNT, key=account)
        )
        .first()
    )


def raise_hold(
    scope: HoldScope,
    code: str,
    message: str,
    *,
    key: str = "",
    by: str = ENGINE,
    probe_at: datetime | None = None,
) -> bool:
    """Hold all, or what `key` names; False where the same hold is in force already."""
    try:
        with transaction.atomic():
            hold = Hold.objects.create(
                scope=scope,
                key=key,
                code=code,
                message=message[:500],
                raised_by=by[:150],
                probe_at=probe_at,
            )
    except IntegrityError:
        return False
    audit("hold.raise", actor=by, target=str(hold), message=message)
    log.error("[Batch Worker] Hold on %s: %s", hold, message)
    return True


def lift_hold(hold: Hold, *, by: str) -> bool:
    """Let work go out again; False where the hold was lifted before."""
    lifted = Hold.objects.filter(pk=hold.pk, lifted_at__isnull=True).update(
        lifted_at=timezone.now(), lifted_by=by[:150], probe_at=None
    )
    if lifted:
        audit("hold.lift", actor=by, target=str(hold))
        log.info("[Batch Worker] Hold lifted by %s: %s", by, hold)
        announce("bundle")
        announce("submit")
    return bool(lifted)


def report_account_trouble(provider: str, message: str) -> None:
    """A wrong key or an empty account: hold the provider until a probe passes."""
    now = timezone.now()
    raised = raise_hold(
        HoldScope.PROVIDER,
        ACCOUNT_TROUBLE,
        message,
        key=provider,
        probe_at=now + FIRST_PROBE,
    )
    if raised:
        raise_alert(ACCOUNT_TROUBLE, message, key=provider, severity=Severity.CRITICAL)
