"""The words of OpenAI's HTTP surface: ids, requests, replies and the error envelope."""

import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"


def file_id() -> str:
    return "file-" + "".join(secrets.choice(ALPHABET) for _ in range(24))


# Ids must differ, not be secret: a result line has three, and asking the system for
# each would cost more than writing the line.
_numbers = random.Random(secrets.randbits(256))  # noqa: S311


def hex_id(prefix: str) -> str:
    """`prefix` and 32 hexadecimal digits, as in `batch_…`, `req_…` and `evt_…`."""
    return f"{prefix}{_numbers.getrandbits(128):032x}"


class ApiError(Exception):
    """An answer that is not 200, in OpenAI's envelope."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.envelope = error_envelope(message, kind=kind, param=param, code=code)
        self.headers = headers or {}


class Lost(Exception):
    """The request did what it does, and its answer never arrives."""


def error_envelope(
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclass
class Request:
    """One HTTP request, its body not yet read.

    `read(n)` gives up to n bytes of the body and b"" at its end, whether the client
    announced a length or sends chunks.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]  # names in lower case
    read: Callable[[int], bytes]
    random_fault: tuple[str, dict[str, Any]] | None = None

    def struck(self, fault: str) -> dict[str, Any] | None:
        """The options of this fault if the random mix picked it for this request."""
        if self.random_fault is not None and self.random_fault[0] == fault:
            return self.random_fault[1]
        return None

    def one(self, name: str) -> str | None:
        """The last value of a query parameter; None when it was not given."""
        values = self.query.get(name)
        return values[-1] if values else None

    def whole_body(self, limit: int = 64 * 1024 * 1024) -> bytes:
        """The body of a call that is not an upload."""
        parts: list[bytes] = []
        size = 0
        while block := self.read(65536):
            size += len(block)
            if size > limit:
                raise ApiError(413, f"The request body is larger than {limit} bytes.")
            parts.append(block)
        return b"".join(parts)

    def json_object(self) -> dict[str, Any]:
        try:
            value = orjson.loads(self.whole_body() or b"{}")
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            raise ApiError(
                400,
                "We could not parse the JSON body of your request. The API expects a "
                "JSON object.",
            )
        return value


@dataclass
class Reply:
    """What goes back: `body`, or the bytes of the file at `path`, streamed."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    path: Path | None = None


def json_reply(
    value: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Reply:
    return Reply(orjson.dumps(value), status=status, headers=headers or {})


def page_limit(request: Request, *, default: int, maximum: int) -> int:
    """The `limit` of a list call, refused as OpenAI refuses it when out of range."""
    given = request.one("limit")
    if given is None or given == "":
        return default
    try:
        limit = int(given)
    except ValueError:
        raise ApiError(
            400,
            f"Invalid type for 'limit': expected an integer, but got {given!r}.",
            param="limit",
            code="invalid_type",
        ) from None
    if limit < 1:
        raise ApiError(
            400,
            "Invalid 'limit': integer below minimum value. Expected a value >= 1, but "
            f"got {limit} instead.",
            param="limit",
            code="integer_below_min_value",
        )
    if limit > maximum:
        raise ApiError(
            400,
            "Invalid 'limit': integer above maximum value. Expected a value <= "
            f"{maximum}, but got {limit} instead.",
            param="limit",
            code="integer_above_max_value",
        )
    return limit


def page(rows: list[dict[str, Any]], has_more: bool) -> Reply:
    return json_reply(
        {
            "object": "list",
            "data": rows,
            "first_id": rows[0]["id"] if rows else None,
            "last_id": rows[-1]["id"] if rows else None,
            "has_more": has_more,
        }
    )
