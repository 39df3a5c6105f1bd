"""How an error looks: a sentence and a code, in the envelope of the API's family."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, JsonResponse

# What is said where only a status is known.
CODE_OF_STATUS = {
    400: "bad_request",
    401: "not_authenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    500: "internal_error",
}

Envelope = Callable[[str, str], dict[str, Any]]


def _error_and_code(message: str, code: str) -> dict[str, Any]:
    return {"error": message, "code": code}


def _detail_and_code(message: str, code: str) -> dict[str, Any]:
    return {"detail": message, "code": code}


def _not_ok(message: str, code: str) -> dict[str, Any]:
    return {"ok": False, "error": message, "code": code}


def _no_success(message: str, code: str) -> dict[str, Any]:
    return {"success": False, "error": message, "code": code}


# Each family keeps the envelope of the system that it comes from.
ENVELOPES: dict[str, Envelope] = {
    "/api/admin/batch-jobs": _error_and_code,
    "/api/admin/batch-monitoring": _no_success,
    "/api/admin/legacy": _not_ok,
    "/api/v1/ai/batch": _error_and_code,
}


def error_response(
    request: HttpRequest, status: int, message: str, code: str = ""
) -> JsonResponse:
    """The error as the family of this address words it."""
    code = code or CODE_OF_STATUS.get(status, "error")
    response = JsonResponse(_envelope(request.path_info)(message, code), status=status)
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    return response


def _envelope(path: str) -> Envelope:
    for prefix, envelope in ENVELOPES.items():
        if path == prefix or path.startswith(f"{prefix}/"):
            return envelope
    return _detail_and_code
