"""What keeps every error under /api/ in JSON, and settings to one query a request."""

from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from batches.api.envelopes import error_response
from batches.config import read_once

ROOT = "/api/"


@csrf_exempt
def no_such_address(request: HttpRequest) -> HttpResponse:
    """For every address under /api/ that is none."""
    return error_response(
        request,
        HTTPStatus.NOT_FOUND,
        f"There is nothing at {request.path[:200]}; {ROOT}docs lists what there is.",
    )


class JsonErrors:
    """Middleware: an error that the API's own handlers did not word becomes JSON too.

    Such as a method that is not allowed, a host that is not ours, and Django's own
    pages, which with DEBUG show a traceback. Headers, such as Allow, stay.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code < 400 or not request.path_info.startswith(ROOT):
            return response
        if response.get("Content-Type", "").startswith("application/json"):
            return response
        worded = error_response(
            request, response.status_code, _sentence(request, response)
        )
        for name, value in response.items():
            if name not in ("Content-Type", "Content-Length"):
                worded[name] = value
        worded.cookies = response.cookies
        worded["Content-Length"] = str(len(worded.content))
        return worded


def _sentence(request: HttpRequest, response: HttpResponse) -> str:
    if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return (
            f"{request.method} is not possible here; allowed: {response.get('Allow')}."
        )
    if response.status_code >= 500:
        return "The server failed at this; its log says why."
    return f"{response.reason_phrase}."


class ReadOnce:
    """A request that only reads gets one view of the settings, in one query."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return self.get_response(request)
        with read_once():
            return self.get_response(request)
