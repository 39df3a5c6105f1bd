"""Every line to another OpenAI-compatible server (llama.cpp, Ollama, vLLM, …).

A few lines at a time; a bad moment of the server (no connection, 408, 409, 429, 5xx) is
tried again with growing pauses, and what the server refuses is that line's error.
"""

import http.client
import logging
import socket
import threading
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import orjson

from batches.sandbox.bodies import Outcome, Usage
from batches.sandbox.responders import Change
from batches.sandbox.wire import error_envelope

logger = logging.getLogger("batches.sandbox")

TRIES = 6
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 30.0
ANSWER_SECONDS = 600.0
TRY_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)


class UpstreamResponder:
    """`url` is the base URL of the server; `workers` lines are under way at a time."""

    any_model = True  # the server knows its models, and says so line by line

    def __init__(self, url: str, key: str | None, *, workers: int = 5) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not the base URL of a server")
        self.at_once = workers
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._base = parts.path.rstrip("/")
        self._headers = {
            "content-type": "application/json",
            "accept": "application/json",
        }
        if key:
            self._headers["authorization"] = f"Bearer {key}"
        self._local = threading.local()
        self._connections: set[http.client.HTTPConnection] = set()
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Break off what is under way: an answer can take minutes."""
        self._stopping.set()
        for connection in list(self._connections):
            if connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def models(self) -> list[str]:
        status, _, body = self._ask("GET", "/models", None)
        data = body.get("data") if status == 200 else None
        return [
            model["id"]
            for model in data or ()
            if isinstance(model, dict) and isinstance(model.get("id"), str)
        ]

    def respond(
        self,
        endpoint: str,
        body: dict[str, Any],
        *,
        input_tokens: int,
        cached_tokens: int = 0,
        change: Change | None = None,
    ) -> Outcome:
        """The server's own answer and usage; its refusals with their status."""
        status, answer = self._patiently(
            endpoint.removeprefix("/v1"), orjson.dumps(body)
        )
        if status != 200:
            return Outcome(status, answer)
        return Outcome(200, answer, _usage(answer, input_tokens))

    def _patiently(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        problem = ""
        for attempt in range(TRIES):
            pause = min(FIRST_PAUSE_SECONDS * 2**attempt, LONGEST_PAUSE_SECONDS)
            try:
                status, wait, answer = self._ask("POST", path, body)
            except (OSError, http.client.HTTPException) as err:
                problem = f"The upstream server could not be reached: {err!r}."
            else:
                if status not in TRY_AGAIN:
                    return status, answer
                if attempt == TRIES - 1:
                    return status, answer
                problem = f"The upstream server answered {status}."
                pause = max(pause, min(wait, LONGEST_PAUSE_SECONDS))
            logger.info("upstream, try %s of %s: %s", attempt + 1, TRIES, problem)
            if attempt < TRIES - 1 and self._stopping.wait(pause):
                break
        if self._stopping.is_set():
            raise InterruptedError("the sandbox stops")
        return 502, error_envelope(problem, kind="server_error", code="server_error")

    def _ask(
        self, method: str, path: str, body: bytes | None
    ) -> tuple[int, float, dict[str, Any]]:
        """(status, seconds of Retry-After, JSON object); one connection a thread."""
        connection = getattr(self._local, "connection", None)
        fresh = connection is None
        if connection is None:
            kind = (
                http.client.HTTPSConnection
                if self._secure
                else http.client.HTTPConnection
            )
            connection = kind(self._host, self._port, timeout=ANSWER_SECONDS)
            self._local.connection = connection
            self._connections.add(connection)
        try:
            connection.request(method, self._base + path, body, self._headers)
            answer = connection.getresponse()
            raw = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self._connections.discard(connection)
            self._local.connection = None
            if not fresh and method == "GET":
                return self._ask(method, path, body)
            raise
        return answer.status, _seconds(answer.headers.get("retry-after")), _object(raw)


def _seconds(header: str | None) -> float:
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        return 0.0  # a date; the usual pause is long enough


def _object(raw: bytes) -> dict[str, Any]:
    """The server's JSON object; anything else in an error envelope."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        value = raw.decode(errors="replace")[:500]
    if isinstance(value, dict):
        if isinstance(value.get("error"), str):  # as Ollama words it
            return error_envelope(value["error"])
        return value
    return error_envelope(f"The upstream server did not answer with JSON: {value!r}.")


def _usage(answer: dict[str, Any], input_tokens: int) -> Usage:
    """The server's own counts; our count of the input where it gives none."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return Usage(input_tokens)

    def count(holder: Any, *names: str) -> int:
        for name in names:
            value = holder.get(name) if isinstance(holder, dict) else None
            if isinstance(value, int):
                return value
        return 0

    given = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    made = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
    return Usage(
        count(usage, "prompt_tokens", "input_tokens") or input_tokens,
        count(given, "cached_tokens"),
        count(usage, "completion_tokens", "output_tokens"),
        count(made, "reasoning_tokens"),
    )
