"""What nobody should send, to every family: a 4xx in its envelope that names the field.

Each kind of bad input by name; requests that are made up are in test_fuzzing.py.
"""

import base64
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection

from batches.models import BatchItem, Run
from tests.api.conftest import Caller
from tests.api.orders import ORDER

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("nobody_has_asked_yet", "lessons", "analysed_chat"),
]

NOBODYS = "00000000-0000-4000-8000-000000000000"
ERROR, DETAIL = {"error", "code"}, {"detail", "code"}
NOT_OK, NO_SUCCESS = {"ok", "error", "code"}, {"success", "error", "code"}
ENVELOPES = {
    "/api/admin/batch-jobs": ERROR,
    "/api/admin/batch-monitoring": NO_SUCCESS,
    "/api/admin/legacy": NOT_OK,
    "/api/v1/ai/batch": ERROR,
    "/api/admin/audit": DETAIL,
    "/api/admin/steering": DETAIL,
    "/api/chats": DETAIL,
    "/api/content": DETAIL,
    "/api/translations": DETAIL,
}
MONITORING = "/api/admin/batch-monitoring"
FAILED = "/api/admin/legacy/requests?status=processing_failed"
CHAT = {"id": "a", "messages": [{"role": "user", "text": "Hello there"}]}
LESSON = {"course_id": "c", "course_title": "C", "title": "Biyo", "body": "Kari."}


@dataclass(frozen=True)
class Write:
    """A request with a body that is right, and where in it a text stands."""

    ask: str
    body: dict[str, Any]
    text: tuple[str | int, ...] = ()
    ignores_more: bool = False  # what it does not know, it leaves out and names

    def with_text(self, text: str) -> dict[str, Any]:
        return _replaced(self.body, self.text, text)


def _replaced(value: Any, way: tuple[str | int, ...], text: str) -> Any:
    if not way:
        return text
    first, rest = way[0], way[1:]
    if isinstance(value, list):
        return [_replaced(value[0], rest, text)]
    return {**value, first: _replaced(value[first], rest, text)}


WRITES = {
    write.ask: write
    for write in (
        Write(
            "POST /api/admin/batch-jobs/translation",
            {"limit": 2, "languages": ["ar"]},
            ("languages", 0),
        ),
        Write("POST /api/admin/batch-jobs/summary", {"limit": 2}),
        Write("POST /api/admin/batch-jobs/quiz-improvement", {"limit": 2}),
        Write(
            f"PUT {MONITORING}/config",
            {"settings": {"BATCH_CREATE_INTERVAL": "*/5 * * * *"}},
            ("settings", "BATCH_CREATE_INTERVAL"),
        ),
        Write(
            f"POST {MONITORING}/alerts",
            {"notificationChannels": ["log"]},
            ("notificationChannels", 0),
        ),
        Write(
            f"POST {MONITORING}/{NOBODYS}/priority", {"priority": "low"}, ("priority",)
        ),
        Write(
            "POST /api/admin/legacy/requests/requeue",
            {"requestIds": ["17"]},
            ("requestIds", 0),
        ),
        Write("POST /api/v1/ai/batch", ORDER, ("words", 0)),
        Write(
            "POST /api/admin/steering",
            {"act": "pause", "account": "acme", "reason": "unpaid"},
            ("reason",),
        ),
        Write(
            "POST /api/chats",
            {"sessions": [CHAT]},
            ("sessions", 0, "messages", 0, "text"),
        ),
        Write("POST /api/chats/analysis", {"sessions": ["chat-0"]}, ("sessions", 0)),
        Write("PUT /api/content/lesson/l1", LESSON, ("title",), ignores_more=True),
    )
}
NUMBERS = {
    "/api/admin/batch-jobs": ("limit", "offset"),
    MONITORING: ("limit", "page"),
    f"{MONITORING}/slow-jobs": ("thresholdMs",),
    FAILED: ("limit", "cursor"),
    "/api/v1/ai/batch": ("limit", "offset"),
    f"/api/v1/ai/batch/{NOBODYS}": ("limit", "after"),
    f"/api/v1/ai/batch/{NOBODYS}/events": ("limit", "after"),
    "/api/admin/audit": ("limit", "cursor"),
    "/api/content/lesson?lang=ar": ("limit",),
}
TEXTS = {
    MONITORING: "jobType",
    f"{MONITORING}/errors": "jobType",
    f"{MONITORING}/export": "jobType",
    FAILED: "cursor",
    "/api/admin/audit": "actor",
    "/api/admin/audit/export": "target",
    "/api/chats/chat-0": "account",
    "/api/content/lesson": "lang",
    "/api/translations/coverage": "kind",
    "/api/v1/ai/batch/metrics": "startDate",
}
HOSTILE = [
    "'; DROP TABLE batches_run; --",
    "1 OR 1=1",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}",
    "../../etc/passwd",
    "%s%n%d",
    "\u202egpj.exe",
]


@pytest.fixture
def caller(with_key, make_user) -> Caller:
    """May do everything everywhere."""
    return with_key("admin", owner=make_user("hodan", is_superuser=True))


def family(path: str) -> set[str]:
    (found,) = (names for root, names in ENVELOPES.items() if path.startswith(root))
    return found


def check_refusal(response: Any, path: str, *named: str, status: int = 400) -> None:
    assert response.status_code == status, response.content
    answer = response.json()
    assert set(answer) == family(path)
    assert not answer.get("ok") and not answer.get("success")
    said = answer.get("error", answer.get("detail"))
    assert all(name in said for name in named), said
    assert len(response.content) < 1_000


def send(caller: Caller, write: Write, body: Any, **headers: str) -> Any:
    method, path = write.ask.split(" ")
    return getattr(caller, method.lower())(path, body, **headers)


# --- parameters -----------------------------------------------------------------------


NO_NUMBERS = ["x", "-1", "1.5", "9" * 30, "9" * 5_000, "1e9", "", "%00", "'", "<b>"]
TOO_MANY = ["0", "10000", "1000000000"]


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path in NUMBERS for name in NUMBERS[path]]
)
def test_a_number_that_is_none_and_a_page_that_is_huge_are_named(caller, path, name):
    joint = "&" if "?" in path else "?"

    for value in NO_NUMBERS + (TOO_MANY if name == "limit" else []):
        response = caller.get(f"{path}{joint}{name}={value}")
        check_refusal(response, path, f"{name} is")


def test_a_cursor_of_content_that_was_made_up_is_named(caller):
    for inside in (
        "x",
        "2026-01-01T00:00:00+00:00|x",
        "2026-01-01T00:00:00+00:00|-1",
        "2026-01-01T00:00:00|1",
        f"2026-01-01T00:00:00+00:00|{'9' * 30}",
        "0001-01-01T00:00:00+23:59|1",
        "9999-12-31T23:59:59-23:59|1",
        "|",
        "\0|1",
    ):
        cursor = base64.urlsafe_b64encode(inside.encode()).decode()

        response = caller.get(f"/api/content/lesson?lang=ar&cursor={cursor}")

        check_refusal(response, "/api/content", "cursor is none")


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59"]
)
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/content/lesson?lang=ar", "updated_since"),
        ("/api/admin/audit", "since"),
        ("/api/admin/audit/export", "until"),
        ("/api/v1/ai/batch/metrics", "startDate"),
        ("/api/v1/ai/batch/metrics", "endDate"),
    ],
)
def test_a_moment_before_or_after_all_time_is_named(caller, path, name, moment):
    joint = "&" if "?" in path else "?"

    response = caller.get(f"{path}{joint}{name}={moment}")

    check_refusal(response, path, f"{name} ")


@pytest.mark.parametrize(("path", "name"), TEXTS.items())
def test_a_parameter_with_a_nul_is_named(caller, path, name):
    joint = "&" if "?" in path else "?"

    response = caller.get(f"{path}{joint}{name}=a%00b")

    check_refusal(response, path, f"{name} is", "NUL")


@pytest.mark.parametrize(("path", "name"), TEXTS.items())
def test_sql_and_html_in_a_parameter_are_only_text(caller, path, name):
    joint = "&" if "?" in path else "?"

    for text in HOSTILE:
        response = caller.get(f"{path}{joint}{name}={quote(text)}")

        assert response.status_code in (200, 400, 404), text
        assert not response["Content-Type"].startswith("text/html")
        assert response["X-Content-Type-Options"] == "nosniff"
    assert "batches_run" in connection.introspection.table_names()


# --- bodies ---------------------------------------------------------------------------


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_what_is_right_is_taken(caller, write):
    """So that what is refused below is refused for what is wrong with it."""
    response = send(caller, write, write.body)

    assert response.status_code in ((404,) if NOBODYS in write.ask else (200, 201, 202))


NO_OBJECTS = [
    ("multipart/form-data; boundary=x", b"--x--\r\n"),
    ("application/x-www-form-urlencoded", b"limit=2"),
    ("text/xml", b"<limit>2</limit>"),
    ("application/json", b"{"),
    ("application/json", b"[]"),
    ("application/json", b"null"),
    ("application/json", b"\xff\xfe"),
    ("application/json", b"[" * 50_000),
]


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_body_that_is_no_json_object_is_refused(caller, write):
    method, path = write.ask.split(" ")

    for content_type, body in NO_OBJECTS:
        response = caller.client.generic(method, path, body, content_type=content_type)

        check_refusal(response, path)
        said = response.content.decode()
        assert "The body" in said or " is missing." in said
    assert not Run.objects.exists()


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_body_of_ten_megabytes_is_refused(caller, write):
    response = send(caller, write, f'{{"limit": "{"x" * 10_000_000}"}}')

    check_refusal(response, write.ask.split(" ")[1], "too large", status=413)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_field_that_is_not_known_is_named(caller, write):
    response = send(caller, write, {**write.body, "colour": "red"})

    if write.ignores_more:
        assert response.json()["ignored"] == ["colour"]
    else:
        check_refusal(response, write.ask.split(" ")[1], "colour is no field")


WITH_TEXTS = [write for write in WRITES.values() if write.text]


@pytest.mark.parametrize("write", WITH_TEXTS, ids=lambda write: write.ask)
def test_a_text_with_a_nul_or_half_a_character_is_refused(caller, write):
    for text in ("a\x00b", "\x00", "\ud800"):
        response = send(caller, write, write.with_text(text))

        check_refusal(response, write.ask.split(" ")[1], "NUL")
    assert not BatchItem.objects.exists()


@pytest.mark.parametrize("write", WITH_TEXTS, ids=lambda write: write.ask)
def test_sql_and_html_in_a_text_are_only_text(caller, write):
    for text in HOSTILE:
        response = send(caller, write, write.with_text(text))

        taken = response.status_code in (200, 201, 202, 404, 409)
        assert taken or response.status_code == 400, response.content
        assert response["Content-Type"].startswith("application/json")
    assert "batches_run" in connection.introspection.table_names()


# --- ids ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        "GET /api/admin/batch-jobs/{}",
        "POST /api/admin/batch-jobs/{}/cancel",
        "POST /api/admin/batch-jobs/{}/check-status",
        "POST /api/admin/batch-jobs/{}/process-results",
        f"POST {MONITORING}/{{}}/retry",
        f"POST {MONITORING}/{{}}/pause",
        f"POST {MONITORING}/{{}}/resume",
        f"POST {MONITORING}/{{}}/cancel",
        "GET /api/v1/ai/batch/{}",
        "GET /api/v1/ai/batch/{}/events",
        "DELETE /api/v1/ai/batch/{}",
        "GET /api/chats/{}",
        "GET /api/content/lesson/{}?lang=ar",
    ],
)
def test_an_id_of_nobody_is_not_found(caller, ask):
    for key in (NOBODYS, "1", "x", "%00", "'", "<b>", "9" * 5_000):
        method, path = ask.format(key).split(" ")

        response = getattr(caller, method.lower())(path)

        check_refusal(response, path, status=404)


def test_no_new_row_gets_an_id_with_nul(caller):
    path = "/api/content/lesson/%00"

    check_refusal(caller.put(path, LESSON), path)


# --- one key, two requests ------------------------------------------------------------

CREATING = {
    "POST /api/admin/batch-jobs/translation": {"limit": 1},
    "POST /api/admin/batch-jobs/summary": {"limit": 1},
    "POST /api/admin/batch-jobs/quiz-improvement": {"limit": 1},
    "POST /api/v1/ai/batch": {**ORDER, "words": ["calm"]},
    "POST /api/chats/analysis": {"sessions": ["chat-1"]},
}


@pytest.mark.parametrize(("ask", "other"), CREATING.items())
def test_one_key_with_two_bodies_is_a_conflict_that_says_what_differs(
    caller, ask, other
):
    write = WRITES[ask]
    first = send(caller, write, write.body, Idempotency_Key="one")
    again = send(caller, write, write.body, Idempotency_Key="one")

    response = send(caller, write, other, Idempotency_Key="one")

    assert first.status_code == again.status_code
    check_refusal(response, ask.split(" ")[1], "Idempotency-Key", status=409)
    assert response.json()["code"] == "idempotency_conflict"
    assert Run.objects.count() == 1


@pytest.mark.parametrize("ask", CREATING)
def test_a_key_that_is_too_long_is_named(caller, ask):
    write = WRITES[ask]

    response = send(caller, write, write.body, Idempotency_Key="x" * 129)

    check_refusal(response, ask.split(" ")[1], "Idempotency-Key is 'x")


def test_every_operation_that_takes_a_key_is_here(document):
    takes = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for one in operation.get("parameters", [])
        if one["name"] == "Idempotency-Key"
    }

    assert takes == set(CREATING)


def test_every_operation_with_a_body_is_here(document):
    takes = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation
    }
    there = {
        ask.replace(NOBODYS, "{public_id}").replace("lesson/l1", "{kind}/{external_id}")
        for ask in WRITES
    }

    assert takes == there
