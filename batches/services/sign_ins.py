"""Sign-ins, refused ones and sign-outs, as Django tells of them, in the audit log.

Only those of a request: a program that signs somebody in by itself is not a visit. A
name that nobody has is not written down, since it may be a password in the wrong field.
"""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.contrib.auth.signals import (
    user_logged_in,
    user_logged_out,
    user_login_failed,
)

from batches.services.asking import who_asks
from batches.services.events import audit, audit_counted
from batches.signals import login_throttled
from batches.states import AuditKind, AuditOutcome

SIGN_IN, SIGN_OUT = "session.login", "session.logout"
NOBODY = "an unknown name"


def connect() -> None:
    for signal, receiver in (
        (user_logged_in, note_sign_in),
        (user_logged_out, note_sign_out),
        (user_login_failed, note_failed_sign_in),
        (login_throttled, note_throttled_sign_in),
    ):
        signal.connect(receiver, dispatch_uid=f"batches.{receiver.__name__}")


def note_sign_in(user: AbstractUser, **_: Any) -> None:
    if who_asks():
        audit(SIGN_IN, actor=user.get_username(), kind=AuditKind.SIGN_IN)


def note_sign_out(user: AbstractUser | None, **_: Any) -> None:
    if who_asks() and user:
        audit(SIGN_OUT, actor=user.get_username(), kind=AuditKind.SIGN_IN)


def note_failed_sign_in(credentials: dict[str, Any], **_: Any) -> None:
    name = credentials.get(get_user_model().USERNAME_FIELD)
    _note_refused(str(name or ""), AuditOutcome.FAILURE)


def note_throttled_sign_in(username: str, **_: Any) -> None:
    _note_refused(username, AuditOutcome.RATE_LIMITED)


def _note_refused(typed: str, outcome: AuditOutcome) -> None:
    if not who_asks():
        return
    users = get_user_model()
    name = typed[:150].replace("\0", "")
    is_known = users._default_manager.filter(**{users.USERNAME_FIELD: name}).exists()
    audit_counted(
        SIGN_IN,
        actor=name if is_known else NOBODY,
        kind=AuditKind.SIGN_IN,
        outcome=outcome,
    )
