"""API keys: made once, shown once, and known again by a digest."""

import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from batches.errors import BadOptions
from batches.models import ApiKey
from batches.models.api_key import Scope
from batches.services.events import audit

# `bs_`, so that a key in a text is recognised as one; 256 bits of secret.
KEY = re.compile(r"(?P<prefix>bs_[0-9a-f]{10})\.(?P<secret>[\w-]{43})", re.ASCII)
NO_DIGEST = "0" * 64
LAST_USED_STEP = timedelta(minutes=1)
MAX_DAYS = 36_500
# What a user may give to programs of theirs; each works on the user's own runs.
OWN_SCOPES = (Scope.READ, Scope.READ_CONTENT, Scope.SUBMIT, Scope.OPERATE)
MOST_OWN_KEYS = 20


def create_api_key(
    name: str,
    scopes: Sequence[str],
    *,
    by: str,
    owner: User | None = None,
    expires_days: int | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; returns its row and its text, which nobody can have again.

    Raises BadOptions for a name that is taken or cannot be used, a scope that there is
    not, an owner who is switched off, or days that are too few or too many.
    """
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise BadOptions(
            f"The name {name[:100]!r} cannot be used; it must have 1 to 100 characters "
            "that can be printed."
        )
    scopes = list(dict.fromkeys(scopes))
    unknown = [scope for scope in scopes if scope not in Scope.values]
    if unknown or not scopes:
        raise BadOptions(
            f"There is no scope {', '.join(map(repr, unknown)) or 'named'}; "
            f"there are {', '.join(Scope.values)}."
        )
    if owner is not None and not owner.is_active:
        raise BadOptions(
            f"The user {owner.get_username()!r} is not active; a key of theirs would "
            "be refused."
        )
    if expires_days is not None and not 1 <= expires_days <= MAX_DAYS:
        raise BadOptions(
            f"A key cannot expire in {expires_days} days; give 1 to {MAX_DAYS:,}."
        )
    now = timezone.now()
    prefix, secret = f"bs_{secrets.token_hex(5)}", secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            key = ApiKey.objects.create(
                name=name,
                prefix=prefix,
                digest=_digest(secret),
                scopes=scopes,
                owner=owner,
                created_at=now,
                expires_at=now + timedelta(days=expires_days) if expires_days else None,
            )
            audit(
                "api_key.create",
                actor=by,
                target=name,
                after={
                    "scopes": scopes,
                    "owner": owner.get_username() if owner else None,
                    "expires_at": key.expires_at and key.expires_at.isoformat(),
                },
            )
    except IntegrityError as err:
        raise BadOptions(
            f"There is a key named {name!r} already; choose another name."
        ) from err
    return key, f"{prefix}.{secret}"


def create_own_key(
    owner: User, name: str, scopes: Sequence[str], *, expires_days: int | None = None
) -> tuple[ApiKey, str]:
    """Make a key that its owner asked for, named `owner/name`; as `create_api_key`.

    Raises BadOptions, also for a scope that is not for everybody and for one key too
    many.
    """
    name = name.strip()
    if not name:
        raise BadOptions("The key has no name; give it the name of what will use it.")
    if others := [scope for scope in scopes if scope not in OWN_SCOPES]:
        raise BadOptions(
            f"The scope {others[0]!r} is not for own keys; there are "
            f"{', '.join(OWN_SCOPES)}."
        )
    if working_keys_of(owner).count() >= MOST_OWN_KEYS:
        raise BadOptions(
            f"You have {MOST_OWN_KEYS} keys that work; revoke one that you do not use."
        )
    return create_api_key(
        f"{owner.get_username()}/{name}",
        scopes,
        by=owner.get_username(),
        owner=owner,
        expires_days=expires_days,
    )


def working_keys_of(owner: User) -> QuerySet[ApiKey]:
    """A user's keys that are neither revoked nor expired."""
    expired = Q(expires_at__lte=timezone.now())
    return ApiKey.objects.filter(owner=owner, revoked_at__isnull=True).exclude(expired)


def revoke_api_key(key: ApiKey, *, by: str) -> None:
    """End a key at once; one that is revoked already stays as it is."""
    with transaction.atomic():
        revoked = ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(
            revoked_at=timezone.now()
        )
        if revoked:
            audit("api_key.revoke", actor=by, target=key.name)
    key.refresh_from_db()


def find_api_key(text: str) -> ApiKey | None:
    """The key that this text is, with its owner; None where it may not act.

    That is: unknown, wrong, revoked, expired, or of a user who is switched off. Whether
    the prefix exists cannot be told from the time that it takes.
    """
    match = KEY.fullmatch(text)
    prefix, secret = match.group("prefix", "secret") if match else ("", text)
    key = ApiKey.objects.filter(prefix=prefix).select_related("owner").first()
    is_it = hmac.compare_digest(_digest(secret), key.digest if key else NO_DIGEST)
    if key is None or not is_it:
        return None
    now = timezone.now()
    if key.revoked_at or (key.expires_at and key.expires_at <= now):
        return None
    if key.owner and not key.owner.is_active:
        return None
    _mark_used(key, now)
    return key


def _mark_used(key: ApiKey, now: datetime) -> None:
    """Note the use, at most once a minute: a busy key would write with every call."""
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - LAST_USED_STEP)
    if key.last_used_at is None or key.last_used_at <= now - LAST_USED_STEP:
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


def _digest(secret: str) -> str:
    return sha256(secret.encode(errors="surrogateescape")).hexdigest()
