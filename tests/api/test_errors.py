"""Every error under /api/ is JSON, in its family's envelope, and shows no traceback."""

import pytest
from django.test import Client

from batches.api.errors import status_of
from batches.api.middleware import JsonErrors
from batches.errors import (
    BadOptions,
    BatchError,
    ConfigError,
    IllegalMove,
    LostLease,
    NotPossible,
    UnknownPrice,
    UnknownProvider,
    UnknownWorkload,
)
from batches.providers.errors import (
    IncompleteDownload,
    ProviderError,
    ProviderUnreachable,
)
from tests.api.conftest import JOBS

pytestmark = pytest.mark.django_db

ADDRESSES_OF_NOTHING = (
    "/api",
    "/api/",
    "/api/nothing",
    "/api/admin",
    "/api/admin/",
    "/api/openapi.json/",
    f"{JOBS}/",
    f"{JOBS}/stats/",
    f"{JOBS}/translation/",
    f"{JOBS}/00000000-0000-0000-0000-000000000000/",
    f"{JOBS}/00000000-0000-0000-0000-000000000000/nothing",
    f"{JOBS}/translation/x",
    "/api/admin/batch-jobsx",
    "/api/%00",
    "/api/<script>",
)

JSON_ERRORS = f"{JsonErrors.__module__}.{JsonErrors.__qualname__}"


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "BREW"])
@pytest.mark.parametrize("path", ADDRESSES_OF_NOTHING)
def test_an_address_that_is_none_is_404_in_json(settings, path, method, debug):
    settings.DEBUG = debug
    client = Client(enforce_csrf_checks=True)

    response = client.generic(method, path, "{}", content_type="application/json")

    assert response.status_code == 404
    name = "error" if path.startswith(f"{JOBS}/") else "detail"
    assert set(response.json()) == {name, "code"}
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("", "POST", "GET"),
        ("", "DELETE", "GET"),
        ("/stats", "POST", "GET"),
        ("/translation", "GET", "POST"),
        ("/summary", "PUT", "POST"),
        ("/quiz-improvement", "PATCH", "POST"),
        ("/check-all-status", "GET", "POST"),
        ("/00000000-0000-0000-0000-000000000000", "POST", "GET"),
        ("/00000000-0000-0000-0000-000000000000/cancel", "GET", "POST"),
        ("/00000000-0000-0000-0000-000000000000/cancel", "BREW", "POST"),
    ],
)
def test_a_method_that_is_not_possible_is_405_and_says_what_is(
    client, path, method, allowed
):
    response = client.generic(method, JOBS + path)

    assert response.status_code == 405
    assert response["Allow"] == allowed
    assert response.json() == {
        "error": f"{method} is not possible here; allowed: {allowed}.",
        "code": "method_not_allowed",
    }


@pytest.mark.parametrize("debug", [False, True])
def test_a_bug_is_500_in_json_and_its_traceback_is_in_the_log(
    program, settings, monkeypatch, caplog, debug
):
    def burst():
        raise RuntimeError("the secret inside")

    settings.DEBUG = debug
    monkeypatch.setattr("batches.api.batch_jobs.routes.stats", burst)

    response = program.get("stats")

    assert response.status_code == 500
    answer = response.json()
    assert answer["code"] == "internal_error"
    assert "secret" not in response.content.decode()
    assert "Traceback" not in response.content.decode()
    number = answer["error"].rsplit(" ", 1)[1].rstrip(".")
    assert number in caplog.text
    assert "the secret inside" in caplog.text


@pytest.mark.parametrize("debug", [False, True])
def test_what_fails_outside_of_the_api_is_json_too(settings, debug):
    settings.DEBUG = debug
    client = Client(headers={"host": "evil.example"})

    response = client.get(JOBS)

    assert response.status_code == 400
    assert response.json() == {"error": "Bad Request.", "code": "bad_request"}


@pytest.mark.parametrize("debug", [False, True])
def test_a_bug_in_a_middleware_is_json_too(settings, debug):
    settings.DEBUG = debug
    outer = settings.MIDDLEWARE.index(JSON_ERRORS) + 1
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE[:outer],
        "tests.api.test_errors.BrokenMiddleware",
        *settings.MIDDLEWARE[outer:],
    ]
    client = Client(raise_request_exception=False)

    response = client.get(JOBS)

    assert response.status_code == 500
    assert set(response.json()) == {"error", "code"}
    assert "broken inside" not in response.content.decode()


class BrokenMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        raise RuntimeError("broken inside")


def test_the_middleware_that_words_errors_stands_around_all_that_refuse(settings):
    outside = settings.MIDDLEWARE[: settings.MIDDLEWARE.index(JSON_ERRORS)]

    assert outside == [  # these change answers, and make none
        "batchsite.asgi_streams.StreamsPieceByPiece",
        "batchsite.middleware.SecurityHeaders",
    ]


def test_pages_outside_of_the_api_keep_their_own_errors(client):
    response = client.get("/nothing")

    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b'{"limit": 2}', 200),
        ("text/plain", b'{"limit": 2}', 200),
        ("application/x-www-form-urlencoded", b'{"limit": 2}', 200),
        ("application/x-www-form-urlencoded", b"limit=2", 400),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 415),
        ("multipart/form-data", b"limit", 415),
    ],
)
@pytest.mark.parametrize("token_in", ["header", "body"])
def test_a_body_is_read_as_json_whatever_it_is_called(
    signed_in, content_type, body, status, token_in
):
    client = signed_in().client
    client.get("/admin/")
    token = client.cookies["csrftoken"].value if token_in == "header" else ""

    response = client.post(
        f"{JOBS}/translation",
        body,
        content_type=content_type,
        headers={"X-CSRFToken": token},
    )

    # One that cannot be read at all is refused before a token is looked for.
    refusals = {403, 415} if status == 415 else {403}
    assert response.status_code in ({status} if token else refusals), response.content
    assert response["Content-Type"].startswith("application/json")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadOptions("x"), 400),
        (UnknownPrice("x"), 400),
        (UnknownWorkload("x"), 400),
        (NotPossible("x"), 409),
        (IllegalMove("x"), 409),
        (LostLease("x"), 409),
        (ConfigError("x"), 503),
        (UnknownProvider("x"), 503),
        (ProviderUnreachable("x"), 503),
        (IncompleteDownload("x"), 503),
        (ProviderError("x"), 503),
        (ProviderError("x", status=429), 503),
        (ProviderError("x", status=503), 503),
        (ProviderError("x", status=500), 502),
        (ProviderError("x", status=401), 502),
        (ProviderError("x", status=404), 502),
        (BatchError("x"), 400),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_error_has_its_status(error, status):
    assert status_of(error) == status
