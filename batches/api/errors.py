"""What an endpoint raises, and the answer that it becomes.

Endpoints catch nothing: what services raise, what a schema refuses and what is a bug
all end here. A bug's traceback goes to the log and never to the caller.
"""

import logging
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    RawPostDataException,
    UnreadablePostError,
)
from django.http.multipartparser import MultiPartParserError
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError, ValidationErrorContext
from ninja.operation import Operation

from batches.api.envelopes import error_response
from batches.api.middleware import no_such_address
from batches.errors import BatchError
from batches.providers.errors import ProviderError
from batches.services.polling import RETRY_SECONDS

log = logging.getLogger(__name__)

LONGEST_VALUE_SHOWN = 50
MOST_ERRORS_SHOWN = 5


class NotFound(BatchError):
    code = "not_found"


# What is not named here is the caller's to mend.
STATUS_OF_CODE = {
    "not_authenticated": HTTPStatus.UNAUTHORIZED,
    "invalid_key": HTTPStatus.UNAUTHORIZED,
    "forbidden": HTTPStatus.FORBIDDEN,
    "missing_scope": HTTPStatus.FORBIDDEN,
    "csrf_failed": HTTPStatus.FORBIDDEN,
    "second_factor_required": HTTPStatus.FORBIDDEN,
    "not_found": HTTPStatus.NOT_FOUND,
    "conflict": HTTPStatus.CONFLICT,
    "idempotency_conflict": HTTPStatus.CONFLICT,
    "illegal_move": HTTPStatus.CONFLICT,
    "lost_lease": HTTPStatus.CONFLICT,
    "held": HTTPStatus.CONFLICT,
    "copied_database": HTTPStatus.CONFLICT,
    "too_many_streams": HTTPStatus.TOO_MANY_REQUESTS,
    "bad_setting": HTTPStatus.SERVICE_UNAVAILABLE,
    "unknown_provider": HTTPStatus.SERVICE_UNAVAILABLE,
}


def status_of(error: BatchError) -> int:
    """The HTTP status that says what kind of trouble this is."""
    if isinstance(error, ProviderError):
        passes = error.status is None or error.status in (429, 503)
        return HTTPStatus.SERVICE_UNAVAILABLE if passes else HTTPStatus.BAD_GATEWAY
    return STATUS_OF_CODE.get(error.code, HTTPStatus.BAD_REQUEST)


class Api(NinjaAPI):
    """Ninja's API, with our handlers in place of its own."""

    def set_default_exception_handlers(self) -> None:
        for kind, handler in HANDLERS.items():
            self.add_exception_handler(kind, handler)

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__

    def validation_error_from_error_contexts(
        self, error_contexts: list[ValidationErrorContext[Any]]
    ) -> ValidationError:
        """Ninja's, but with the value that was found."""
        return ValidationError(
            [
                {
                    "field": _field(error["loc"], context.model),
                    "found": error["input"],
                    "type": error["type"],
                    "rule": error["msg"].removeprefix("Value error, "),
                }
                for context in error_contexts
                for error in context.pydantic_validation_error.errors(include_url=False)
            ]
        )


def _field(location: tuple[int | str, ...], model: Any) -> str:
    """Where in the body, or which parameter: without the name of our own argument."""
    is_argument = location[:1] and location[0] in model.model_fields
    parts = location[1:] if is_argument else location
    return ".".join(str(part) for part in parts)


def _refused_by_schema(request: HttpRequest, error: ValidationError) -> HttpResponse:
    sentences = [_sentence(**found) for found in error.errors[:MOST_ERRORS_SHOWN]]
    if len(error.errors) > MOST_ERRORS_SHOWN:
        sentences.append(f"And {len(error.errors) - MOST_ERRORS_SHOWN} more.")
    return error_response(request, HTTPStatus.BAD_REQUEST, " ".join(sentences))


def _sentence(field: str, found: Any, type: str, rule: str) -> str:
    if not field:
        return "The body must be a JSON object."
    if type == "missing":
        return f"{field} is missing."
    if type == "extra_forbidden":
        return f"{field} is no field of this request."
    rule = rule.replace("Input should", "it must")
    shown = repr(found)
    if len(shown) > LONGEST_VALUE_SHOWN:
        shown = f"{shown[:LONGEST_VALUE_SHOWN]}…"
    return f"{field} is {shown}: {rule}."


def _told(request: HttpRequest, error: BatchError) -> HttpResponse:
    response = error_response(request, status_of(error), str(error), error.code)
    if isinstance(error, ProviderError):
        response["Retry-After"] = str(RETRY_SECONDS)
    return response


def _refused(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Ninja's own refusals, which are of the body when they come from here."""
    message = str(error)
    if error.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        message = "Too many requests; Retry-After says in how many seconds to go on."
    if error.status_code == HTTPStatus.BAD_REQUEST:
        message = (
            "The body is not JSON that can be read: it must be UTF-8, and without NUL "
            "characters."
        )
    return error_response(request, error.status_code, message)


def _nothing_here(request: HttpRequest, error: Exception) -> HttpResponse:
    return no_such_address(request)


def _unreadable(request: HttpRequest, error: Exception) -> HttpResponse:
    return error_response(
        request, HTTPStatus.BAD_REQUEST, "The request could not be read to its end."
    )


def _not_json(request: HttpRequest, error: Exception) -> HttpResponse:
    return error_response(
        request,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The body must be JSON: send it with Content-Type: application/json.",
    )


def _too_big(request: HttpRequest, error: Exception) -> HttpResponse:
    return error_response(
        request,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body is too large for this address.",
    )


def _bug(request: HttpRequest, error: Exception) -> HttpResponse:
    """A fault of ours: the log has all of it, the caller a number to find it by."""
    number = uuid.uuid4().hex[:12]
    log.error(
        "[Batch API] Error %s in %s %s",
        number,
        request.method,
        request.path,
        exc_info=error,
    )
    return error_response(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        f"The server failed at this; its log says why, under {number}.",
    )


HANDLERS: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
    BatchError: _told,
    ValidationError: _refused_by_schema,
    HttpError: _refused,
    Http404: _nothing_here,
    RequestDataTooBig: _too_big,
    RawPostDataException: _not_json,
    MultiPartParserError: _not_json,
    UnreadablePostError: _unreadable,
    SuspiciousOperation: _unreadable,
    Exception: _bug,
}
