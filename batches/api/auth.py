"""Who calls: a program with a key, or a person with a session.

A key is looked at first, and one that is wrong ends the call whatever else is sent with
it. A session needs the CSRF token for everything but reading; a key does not.
"""

from dataclasses import dataclass
from enum import Enum

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja.security import APIKeyCookie, APIKeyHeader, HttpBearer
from ninja.utils import check_csrf

from batches.errors import BatchError
from batches.models.api_key import Scope, granted
from batches.services.api_keys import find_api_key
from batches.services.asking import name_actor
from batches.services.roles import PLATFORM_ADMIN, is_platform_admin, scopes_of

KEY_HEADER = "X-API-Key"
SEES_AUDIT_LOG = "batches.view_auditentry"


class NotSignedIn(BatchError):
    """Nobody we know, or nobody who may come in here."""

    code = "not_authenticated"

    def __init__(self) -> None:
        super().__init__(
            "Not signed in as staff. Log in at /admin/ first; if you did, your session "
            "may have expired; your account may lack staff status; and if that was "
            "given just now, log out and in again. A program sends its key as "
            "X-API-Key."
        )


class NobodySignedIn(BatchError):
    code = "not_authenticated"

    def __init__(self) -> None:
        super().__init__(
            "Not signed in, or the session has expired. Log in first; a program sends "
            "its key as X-API-Key."
        )


class NotAllowed(BatchError):
    """Somebody we know, who may not come in here."""

    code = "forbidden"


class WrongKey(BatchError):
    code = "invalid_key"

    def __init__(self) -> None:
        super().__init__(
            "This API key is not known, was revoked, or has expired. Make a new one "
            "with manage.py create_api_key."
        )


class LacksScope(BatchError):
    code = "missing_scope"


class SecondFactorMissing(BatchError):
    code = "second_factor_required"

    def __init__(self) -> None:
        super().__init__(
            "This session has not given its second factor. Do that at "
            f"/second-factor/ first, or send an API key as {KEY_HEADER}."
        )


class CsrfFailed(BatchError):
    code = "csrf_failed"

    def __init__(self) -> None:
        super().__init__(
            "The CSRF token is missing or wrong: send the value of the cookie "
            f"{settings.CSRF_COOKIE_NAME} as the header X-CSRFToken, or use an API key."
        )


class Circle(Enum):
    """Whom a family of addresses lets in, whatever the scope."""

    # As the academy's system had it: strangers are not told from users.
    ACADEMY = "staff, and 401 for everybody else"
    USERS = "whoever is signed in"
    STAFF = "staff, and 403 for other users"
    PLATFORM = "platform admins, and 403 for other users"
    AUDITORS = "whoever may see the audit log, and 403 for other users"


@dataclass(frozen=True)
class Caller:
    """Who asks; `actor` is how the audit log names them."""

    actor: str
    user: User | None
    scopes: frozenset[Scope]


class ApiRequest(HttpRequest):
    """A request that passed authentication."""

    auth: Caller


def _holder_of(text: str, needed: Scope, circle: Circle) -> Caller:
    """Who comes with a key. Raises WrongKey, LacksScope, and as `_admit` does."""
    key = find_api_key(text)
    if key is None:
        raise WrongKey
    actor = f"key:{key.name}"
    name_actor(actor)
    scopes = granted(key.scopes)
    if key.owner:
        _admit(key.owner, circle)
        # A key opens no more than its owner may.
        scopes &= _reach_of(key.owner, needed, circle)
    elif circle is Circle.USERS:
        raise NotAllowed(
            "Here is each user's own work, and this key has no owner. Make one with "
            "manage.py create_api_key NAME --owner USERNAME."
        )
    if needed not in scopes:
        held = ", ".join(scope for scope in Scope if scope in scopes)
        raise LacksScope(
            f"This needs a key with the scope {needed.value}; yours has "
            f"{held or 'none'}."
        )
    return Caller(actor, key.owner, scopes)


def _admit(user: User, circle: Circle) -> None:
    """Raises NotSignedIn or NotAllowed for users that are not of the circle."""
    if circle is Circle.ACADEMY and not user.is_staff:
        raise NotSignedIn
    if circle is Circle.STAFF and not user.is_staff:
        raise NotAllowed(
            "This is for staff, and your account is not. Ask an administrator for "
            "staff status."
        )
    if circle is Circle.PLATFORM and not is_platform_admin(user):
        raise NotAllowed(
            "This is for platform admins. Ask a superuser for the permission "
            f"{PLATFORM_ADMIN}."
        )
    if circle is Circle.AUDITORS and not user.has_perm(SEES_AUDIT_LOG):
        raise NotAllowed(
            "This is for auditors. Ask a superuser for the group auditor, or for the "
            f"permission {SEES_AUDIT_LOG}."
        )


def _reach_of(user: User, needed: Scope, circle: Circle) -> frozenset[Scope]:
    """What somebody of the circle may do in it: with work of one's own, and as an
    auditor, everything that there is to do.

    Raises LacksScope where that is not what is needed.
    """
    is_enough = circle in (Circle.USERS, Circle.AUDITORS)
    scopes = frozenset(Scope) if is_enough else scopes_of(user)
    if needed not in scopes:
        held = ", ".join(scope for scope in Scope if scope in scopes)
        raise LacksScope(
            f"This needs the scope {needed.value}; your groups come to {held}. Ask an "
            "administrator for a group that may do this, such as operator."
        )
    return scopes


class KeyInHeader(APIKeyHeader):
    """`X-API-Key: KEY`."""

    param_name = KEY_HEADER

    def __init__(self, needed: Scope, circle: Circle) -> None:
        self.needed = needed
        self.circle = circle
        super().__init__()

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        if key is None:
            return None
        return _holder_of(key, self.needed, self.circle)


class KeyAsBearer(HttpBearer):
    """`Authorization: Bearer KEY`; other schemes are not ours, and are passed over."""

    def __init__(self, needed: Scope, circle: Circle) -> None:
        self.needed = needed
        self.circle = circle
        super().__init__()

    # Not ninja's own: with DEBUG it logs the header of any other scheme.
    def __call__(self, request: HttpRequest) -> Caller | None:
        scheme, _, token = request.headers.get(self.header, "").partition(" ")
        if scheme.lower() != self.openapi_scheme:
            return None
        return self.authenticate(request, token.strip())

    def authenticate(self, request: HttpRequest, token: str) -> Caller | None:
        return _holder_of(token, self.needed, self.circle)


class Session(APIKeyCookie):
    """A session of somebody of the circle, who may do what their groups come to.

    Not ninja's order: it asks for the CSRF token first, and so answers 403 where nobody
    is signed in.
    """

    param_name: str = settings.SESSION_COOKIE_NAME

    def __init__(self, needed: Scope, circle: Circle) -> None:
        self.needed = needed
        self.circle = circle
        super().__init__()

    def _get_key(self, request: HttpRequest) -> str | None:
        return request.COOKIES.get(self.param_name)

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        user = request.user
        if not isinstance(user, User):
            raise NotSignedIn if self.circle is Circle.ACADEMY else NobodySignedIn
        if getattr(request, "lacks_second_factor", False):
            raise SecondFactorMissing
        _admit(user, self.circle)
        scopes = _reach_of(user, self.needed, self.circle)
        if check_csrf(request):
            raise CsrfFailed
        return Caller(user.get_username(), user, scopes)


def callers(
    needed: Scope, circle: Circle = Circle.ACADEMY
) -> list[KeyInHeader | KeyAsBearer | Session]:
    """Who may call an operation, in the order in which they are asked for."""
    return [
        KeyInHeader(needed, circle),
        KeyAsBearer(needed, circle),
        Session(needed, circle),
    ]
