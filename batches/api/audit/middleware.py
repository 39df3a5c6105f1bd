"""What no service writes down: refusals, failures, and acts that would leave no entry.

Services write what they do, in the transaction that does it. This is the net around
them, for each address below ROOTS.
"""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url

from batches.api.audit.addresses import client_address
from batches.services.asking import Asking, asked_by
from batches.services.events import audit, audit_counted
from batches.states import AuditKind, AuditOutcome

log = logging.getLogger(__name__)

API, ADMIN = "api", "admin"
ROOTS = (API, ADMIN, "my")
SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
ANONYMOUS = "anonymous"
DENIED = "denied"
OUTCOMES: dict[int, AuditOutcome] = {
    HTTPStatus.UNAUTHORIZED: AuditOutcome.BLOCKED,
    HTTPStatus.FORBIDDEN: AuditOutcome.BLOCKED,
    HTTPStatus.TOO_MANY_REQUESTS: AuditOutcome.RATE_LIMITED,
}
# Where Django's admin saves rows by itself, from a form or a list.
LIST = "_changelist"
FORMS = ("_add", "_change", "_delete", LIST)
OWN_PASSWORD = "password_change"  # noqa: S105  # a page's name
# Pages that ask, perhaps in several steps: what they then do writes its own entries.
ASKING = (
    *("_add", "_change", "_delete", "_act", "_start"),
    *("_import", "_import_check", "_upload", "_translate", "_translate_row"),
)


class AuditedRequests:
    """Middleware, around those that refuse: says who asks, and what came of it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        root = request.path_info.lstrip("/").partition("/")[0]
        with asked_by(Asking(address=client_address(request))) as asking:
            request.asking = asking  # type: ignore[attr-defined]
            response = self.get_response(request)
            if root in ROOTS:
                try:
                    _write_down(root, request, response, asking)
                except Error:
                    # The act is done, or refused, and its answer is to be given.
                    log.exception("[Audit] No entry for %s", _what(request))
        return response

    def process_view(self, request: HttpRequest, *view: Any) -> None:
        """Say who asks, where a session tells; keys are known later."""
        asking: Asking = request.asking  # type: ignore[attr-defined]
        if request.method in SAFE or not request.path_info.startswith(f"/{ADMIN}/"):
            return
        asking.actor = _user_name(request)
        name = _view_name(request)
        if asking.actor and name.endswith(FORMS):
            asking.form = "auth_user_change" if name == OWN_PASSWORD else name


def _write_down(
    root: str, request: HttpRequest, response: HttpResponse, asking: Asking
) -> None:
    outcome = OUTCOMES.get(response.status_code)
    if asking.is_of_another and response.status_code == HTTPStatus.NOT_FOUND:
        outcome = AuditOutcome.BLOCKED
    if outcome is None and _is_sent_away(request, response):
        outcome = AuditOutcome.BLOCKED
    actor = asking.actor or _user_name(request) or ANONYMOUS
    if outcome:
        audit_counted(
            DENIED,
            actor=actor,
            kind=AuditKind.DENIAL,
            outcome=outcome,
            target=_what(request),
            message=f"{response.status_code} {response.reason_phrase}",
        )
    elif request.method in SAFE:
        return
    elif response.status_code >= HTTPStatus.BAD_REQUEST:
        audit_counted(
            _action(root, request),
            actor=actor,
            kind=AuditKind.ACT,
            outcome=AuditOutcome.FAILURE,
            target=_what(request),
            message=f"{response.status_code} {response.reason_phrase}",
        )
    elif asking.entries or asking.is_trial:
        return
    elif root == API or _has_done(request, response):
        audit(_action(root, request), actor=actor, target=_what(request))


def _is_sent_away(request: HttpRequest, response: HttpResponse) -> bool:
    """Whether somebody who is signed in was told to sign in as somebody else."""
    to = response.get("Location", "").partition("?")[0]
    return (
        response.status_code == HTTPStatus.FOUND
        and to == resolve_url("admin:login")
        and bool(_user_name(request))
    )


def _has_done(request: HttpRequest, response: HttpResponse) -> bool:
    """Whether a form's answer is that of an act: a page again is a form refused."""
    if response.has_header("Content-Disposition"):
        return True
    if response.status_code != HTTPStatus.FOUND:
        return False
    if _view_name(request).endswith(LIST):  # from where an act leads to its question
        return response["Location"].partition("?")[0] in ("", request.path, ".")
    return not _view_name(request).endswith(ASKING)


def _user_name(request: HttpRequest) -> str:
    user = getattr(request, "user", None)
    return user.get_username() if user and user.is_authenticated else ""


def _action(root: str, request: HttpRequest) -> str:
    return f"{root}.{_view_name(request)}"


def _view_name(request: HttpRequest) -> str:
    match = request.resolver_match
    return (match and (match.url_name or match.func.__name__)) or "unknown"


def _what(request: HttpRequest) -> str:
    return f"{request.method} {request.path_info}"
