"""Who calls: a program with a key, or a member of staff with a session.

A key is looked at first, and one that is wrong ends the call whatever else is sent with
it. A session needs the CSRF token for everything but reading; a key does not.
"""

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja.security import APIKeyCookie, APIKeyHeader, HttpBearer
from ninja.utils import check_csrf

from batches.errors import BatchError
from batches.models import ApiKey
from batches.models.api_key import Scope, granted
from batches.services.api_keys import find_api_key


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


class WrongKey(BatchError):
    code = "invalid_key"

    def __init__(self) -> None:
        super().__init__(
            "This API key is not known, was revoked, or has expired. Make a new one "
            "with manage.py create_api_key."
        )


class LacksScope(BatchError):
    code = "missing_scope"


class CsrfFailed(BatchError):
    code = "csrf_failed"

    def __init__(self) -> None:
        super().__init__(
            "The CSRF token is missing or wrong: send the value of the cookie "
            f"{settings.CSRF_COOKIE_NAME} as the header X-CSRFToken, or use an API key."
        )


@dataclass(frozen=True)
class Caller:
    """Who asks; `actor` is how the audit log names them."""

    actor: str
    user: User | None
    scopes: frozenset[Scope]


class ApiRequest(HttpRequest):
    """A request that passed authentication."""

    auth: Caller


def _holder_of(text: str, needed: Scope) -> Caller:
    """Who comes with a key. Raises WrongKey, NotSignedIn or LacksScope."""
    key = find_api_key(text)
    if key is None:
        raise WrongKey
    if key.owner and not key.owner.is_staff:
        raise NotSignedIn
    return _checked(_caller_with(key), needed)


def _caller_with(key: ApiKey) -> Caller:
    return Caller(f"key:{key.name}", key.owner, granted(key.scopes))


def _checked(caller: Caller, needed: Scope) -> Caller:
    if needed not in caller.scopes:
        held = ", ".join(scope for scope in Scope if scope in caller.scopes)
        raise LacksScope(
            f"This needs a key with the scope {needed.value}; yours has "
            f"{held or 'none'}."
        )
    return caller


class KeyInHeader(APIKeyHeader):
    """`X-API-Key: KEY`."""

    param_name = "X-API-Key"

    def __init__(self, needed: Scope) -> None:
        self.needed = needed
        super().__init__()

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        return None if key is None else _holder_of(key, self.needed)


class KeyAsBearer(HttpBearer):
    """`Authorization: Bearer KEY`; other schemes are not ours, and are passed over."""

    def __init__(self, needed: Scope) -> None:
        self.needed = needed
        super().__init__()

    # Not ninja's own: with DEBUG it logs the header of any other scheme.
    def __call__(self, request: HttpRequest) -> Caller | None:
        scheme, _, token = request.headers.get(self.header, "").partition(" ")
        if scheme.lower() != self.openapi_scheme:
            return None
        return self.authenticate(request, token.strip())

    def authenticate(self, request: HttpRequest, token: str) -> Caller | None:
        return _holder_of(token, self.needed)


class StaffSession(APIKeyCookie):
    """A session of staff, who may do everything here.

    Not ninja's order: it asks for the CSRF token first, and so answers 403 where nobody
    is signed in.
    """

    param_name: str = settings.SESSION_COOKIE_NAME

    def _get_key(self, request: HttpRequest) -> str | None:
        return request.COOKIES.get(self.param_name)

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        user = request.user
        if not isinstance(user, User) or not user.is_staff:
            raise NotSignedIn
        if check_csrf(request):
            raise CsrfFailed
        return Caller(user.get_username(), user, frozenset(Scope))


def callers(needed: Scope) -> list[KeyInHeader | KeyAsBearer | StaffSession]:
    """Who may call an operation, in the order in which they are asked for."""
    return [KeyInHeader(needed), KeyAsBearer(needed), StaffSession()]
