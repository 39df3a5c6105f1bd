"""Alerts: what a person should know of, told once until it is acknowledged."""

import logging
from functools import partial
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from batches import config
from batches.models import Alert, BatchJob, Run
from batches.services.events import audit
from batches.services.outbox import tell
from batches.states import Severity, WebhookKind

log = logging.getLogger(__name__)


def raise_alert(
    code: str,
    message: str,
    *,
    key: str = "",
    severity: Severity = Severity.MEDIUM,
    job: BatchJob | None = None,
    run: Run | None = None,
) -> None:
    """Tell of something; told again while it is open, it counts and is not repeated."""
    now = timezone.now()
    if _see_again(code, key, message):
        return
    try:
        with transaction.atomic():
            alert = Alert.objects.create(
                code=code,
                key=key,
                severity=severity,
                message=message[:1_000],
                job=job,
                run=run,
                raised_at=now,
                seen_at=now,
            )
            tell(
                WebhookKind.ALERT,
                {"code": code, "severity": severity, "message": alert.message},
            )
    except IntegrityError:  # somebody was faster
        _see_again(code, key, message)
        return
    channels = config.get("ALERT_CHANNELS")
    if "log" in channels:
        level = logging.ERROR if severity == Severity.CRITICAL else logging.WARNING
        log.log(level, "[Batch Worker] Alert %s: %s", code, message)
    if settings.ALERT_EMAILS and "email" in channels:
        transaction.on_commit(partial(_mail, alert), robust=True)


def _mail(alert: Alert) -> None:
    """Tell those in ALERT_EMAILS; where mail does not work, the log says so."""
    severity = Severity(alert.severity).label
    lines = [alert.message, ""]
    lines += [f"About {row}." for row in (alert.run, alert.job) if row]
    lines.append("It stands under Alerts in the admin until somebody acknowledges it.")
    try:
        send_mail(
            f"[Batchsite] {severity}: {alert.code.replace('_', ' ')}",
            "\n".join(lines),
            from_email=None,
            recipient_list=settings.ALERT_EMAILS,
        )
    except (OSError, SMTPException) as err:
        log.error("[Batch Worker] No mail of alert %s: %s", alert.code, err)


def acknowledge(alert: Alert, *, by: str) -> bool:
    """Close an alert; False where it was closed before."""
    closed = Alert.objects.filter(pk=alert.pk, acknowledged_at__isnull=True).update(
        acknowledged_at=timezone.now(), acknowledged_by=by[:150]
    )
    if closed:
        audit("alert.acknowledge", actor=by, target=str(alert))
    return bool(closed)


def close_alerts(*codes: str, key: str, by: str) -> int:
    """Acknowledge what is over: the open alerts with these codes and this key."""
    return Alert.objects.filter(
        code__in=codes, key=key, acknowledged_at__isnull=True
    ).update(acknowledged_at=timezone.now(), acknowledged_by=by[:150])


def _see_again(code: str, key: str, message: str) -> bool:
    still_open = Alert.objects.filter(code=code, key=key, acknowledged_at__isnull=True)
    return bool(
        still_open.update(
            times=F("times") + 1, seen_at=timezone.now(), message=message[:1_000]
        )
    )
