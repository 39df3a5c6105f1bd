"""Codes that change every half minute (TOTP, RFC 6238), and recovery codes.

A code is taken once: the step that it stands for is written down, and no earlier one is
taken after it. Recovery codes are kept as digests, and each works once.
"""

import hmac
import secrets
from base64 import b32encode
from datetime import datetime
from hashlib import sha256

import pyotp
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from batches.models.second_factor import SecondFactor
from batches.services.events import audit
from batches.services.roles import is_platform_admin

ISSUER = "Batchsite"
STEP_SECONDS = 30  # pyotp's, and every app's, as are the six digits
STEPS_OFF = 1  # that a telephone's clock may be before or behind ours
RECOVERY_CODES = 10


def is_required_of(user: User) -> bool:
    """Whether this person gets nowhere without one."""
    return settings.SECOND_FACTOR_REQUIRED and is_platform_admin(user)


def factor_of(user: User) -> SecondFactor | None:
    """The one that is in force."""
    return SecondFactor.objects.filter(user=user, confirmed_at__isnull=False).first()


def begin(user: User) -> SecondFactor:
    """A secret to put into an app; the same one until a code of it is given."""
    factor, _ = SecondFactor.objects.get_or_create(
        user=user, defaults={"secret": pyotp.random_base32()}
    )
    return factor


def confirm(user: User, code: str, *, now: datetime) -> list[str] | None:
    """Put it in force, if the code is its own; returns the recovery codes, which nobody
    can have again. None for a wrong code, or where it is in force already."""
    with transaction.atomic():
        waiting = SecondFactor.objects.select_for_update()
        factor = waiting.filter(user=user, confirmed_at__isnull=True).first()
        if factor is None or not _take(factor, code, now=now):
            return None
        codes = _new_recovery_codes(factor)
        factor.confirmed_at = now
        factor.save(update_fields=["confirmed_at", "recovery_digests"])
        audit("second_factor.confirm", actor=user.get_username())
    return codes


def check(user: User, code: str, *, now: datetime) -> bool:
    """Whether this is the app's code of now, or a recovery code that is left."""
    with transaction.atomic():
        in_force = SecondFactor.objects.select_for_update()
        factor = in_force.filter(user=user, confirmed_at__isnull=False).first()
        if factor is None:
            return False
        return _take(factor, code, now=now) or _take_recovery_code(factor, code)


def renew_recovery_codes(user: User) -> list[str]:
    """Ten new ones; the old ones work no more."""
    with transaction.atomic():
        factor = SecondFactor.objects.select_for_update().get(user=user)
        codes = _new_recovery_codes(factor)
        factor.save(update_fields=["recovery_digests"])
        audit("second_factor.new_recovery_codes", actor=user.get_username())
    return codes


def remove(user: User, *, by: str) -> bool:
    """Whether there was one; sign-ins ask for none any more."""
    with transaction.atomic():
        removed, _ = SecondFactor.objects.filter(user=user).delete()
        if removed:
            audit("second_factor.remove", actor=by, target=user.get_username())
    return bool(removed)


def address_for_app(factor: SecondFactor) -> str:
    """`otpauth://…`, what a QR code tells an app; it holds the secret."""
    name = factor.user.get_username()
    return pyotp.TOTP(factor.secret).provisioning_uri(name=name, issuer_name=ISSUER)


def code_at(secret: str, step: int) -> str:
    """The six digits of one half minute; `step` counts them from 1970."""
    return pyotp.TOTP(secret).generate_otp(step)


def step_of(now: datetime) -> int:
    return int(now.timestamp()) // STEP_SECONDS


def _take(factor: SecondFactor, code: str, *, now: datetime) -> bool:
    """Whether it is a code of about now that was not taken before; then it is."""
    typed = "".join(code.split()).encode(errors="replace")
    here = step_of(now)
    for step in range(here - STEPS_OFF, here + STEPS_OFF + 1):
        if hmac.compare_digest(code_at(factor.secret, step).encode(), typed):
            newer = SecondFactor.objects.filter(pk=factor.pk, last_step__lt=step)
            return bool(newer.update(last_step=step))
    return False


def _take_recovery_code(factor: SecondFactor, code: str) -> bool:
    digest = _digest(code)
    if digest not in factor.recovery_digests:
        return False
    factor.recovery_digests.remove(digest)
    factor.save(update_fields=["recovery_digests"])
    audit(
        "second_factor.recovery_code",
        actor=factor.user.get_username(),
        message=f"{len(factor.recovery_digests)} recovery codes are left.",
    )
    return True


def _new_recovery_codes(factor: SecondFactor) -> list[str]:
    """80 bits each, in four groups."""
    codes = []
    for _ in range(RECOVERY_CODES):
        text = b32encode(secrets.token_bytes(10)).decode().lower()
        codes.append("-".join(text[start : start + 4] for start in range(0, 16, 4)))
    factor.recovery_digests = [_digest(code) for code in codes]
    return codes


def _digest(code: str) -> str:
    plain = "".join(code.split()).replace("-", "").lower()
    return sha256(plain.encode(errors="backslashreplace")).hexdigest()
