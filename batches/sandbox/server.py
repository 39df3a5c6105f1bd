"""The HTTP server: routes, keys, and the faults that need the socket in their hands."""

import logging
import os
import re
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any, NamedTuple, NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

from batches.sandbox import (
    answers,
    batches,
    clock,
    files,
    ledger,
    organization,
    webhooks,
)
from batches.sandbox.app import Sandbox
from batches.sandbox.faults import KINDS, FaultError
from batches.sandbox.wire import (
    ApiError,
    Lost,
    Reply,
    Request,
    error_envelope,
    hex_id,
    json_reply,
)

logger = logging.getLogger("batches.sandbox")

BLOCK_BYTES = 256 * 1024
SLOW_STEPS = 20
BAD_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><body></body></html>"
SERVER_ERROR = "The server had an error while processing your request."


class Route(NamedTuple):
    method: str
    pattern: re.Pattern[str]
    operation: str
    handler: Callable[..., Reply]


def _route(
    method: str, path: str, operation: str, handler: Callable[..., Reply]
) -> Route:
    pattern = re.compile(path.replace("{id}", "([^/]+)") + "/?")
    return Route(method, pattern, operation, handler)


def show_faults(sandbox: Sandbox, request: Request) -> Reply:
    """The faults that are on; with `?all`, every fault there is and what it does."""
    if request.one("all") is not None:
        return json_reply({name: kind.summary for name, kind in KINDS.items()})
    return json_reply(sandbox.faults.active())


def change_faults(sandbox: Sandbox, request: Request) -> Reply:
    """Switch faults on and off: `{name: true | number | options | false}`."""
    try:
        sandbox.faults.change(request.json_object())
    except FaultError as err:
        raise ApiError(400, str(err)) from err
    return json_reply(sandbox.faults.active())


def clear_faults(sandbox: Sandbox, request: Request) -> Reply:
    sandbox.faults.clear()
    return json_reply({})


ROUTES = [
    _route("POST", "/v1/files", "files.create", files.create),
    _route("GET", "/v1/files", "files.list", files.listed),
    _route("GET", "/v1/files/{id}", "files.retrieve", files.retrieve),
    _route("DELETE", "/v1/files/{id}", "files.delete", files.delete),
    _route("GET", "/v1/files/{id}/content", "files.content", files.content),
    _route("POST", "/v1/batches", "batches.create", batches.create),
    _route("GET", "/v1/batches", "batches.list", batches.listed),
    _route("GET", "/v1/batches/{id}", "batches.retrieve", batches.retrieve),
    _route("POST", "/v1/batches/{id}/cancel", "batches.cancel", batches.cancel),
    _route("GET", "/v1/models", "models.list", answers.list_models),
    _route("GET", "/v1/models/{id}", "models.retrieve", answers.retrieve_model),
    _route("POST", "/v1/chat/completions", "chat.completions.create", answers.answer),
    _route("POST", "/v1/responses", "responses.create", answers.answer),
    _route("POST", "/v1/embeddings", "embeddings.create", answers.answer),
    _route(
        "GET", "/v1/organization/usage/completions", "organization", organization.usage
    ),
    _route("GET", "/v1/organization/costs", "organization", organization.costs),
    _route("GET", "/v1/webhook_event_types", "webhooks", webhooks.event_types),
    _route("POST", "/v1/webhook_endpoints", "webhooks", webhooks.create),
    _route("GET", "/v1/webhook_endpoints", "webhooks", webhooks.listed),
    _route("GET", "/v1/webhook_endpoints/{id}", "webhooks", webhooks.retrieve),
    _route("POST", "/v1/webhook_endpoints/{id}", "webhooks", webhooks.update),
    _route("DELETE", "/v1/webhook_endpoints/{id}", "webhooks", webhooks.delete),
    _route(
        "POST", "/v1/webhook_endpoints/{id}/rotate_secret", "webhooks", webhooks.rotate
    ),
    _route("POST", "/v1/webhook_endpoints/{id}/test", "webhooks", webhooks.test),
    _route("GET", "/_sandbox/faults", "", show_faults),
    _route("POST", "/_sandbox/faults", "", change_faults),
    _route("DELETE", "/_sandbox/faults", "", clear_faults),
    _route("GET", "/_sandbox/ledger", "", ledger.show),
    _route("POST", "/_sandbox/clock", "", clock.change),
]

LOST_ANSWERS = {
    "files.create": "lost_upload_answer",
    "files.delete": "lost_delete_answer",
    "batches.create": "lost_create_answer",
}
ERROR_FAULTS: dict[str, tuple[int, dict[str, Any]]] = {
    "http_409": (
        409,
        error_envelope("The resource is being changed.", code="conflict"),
    ),
    "http_429": (
        429,
        error_envelope(
            "Rate limit reached for requests.",
            kind="requests",
            code="rate_limit_exceeded",
        ),
    ),
    "http_500": (500, error_envelope(SERVER_ERROR, kind="server_error")),
    "http_503": (
        503,
        error_envelope("The engine is overloaded.", kind="service_unavailable"),
    ),
    "wrong_key": (
        401,
        error_envelope("Incorrect API key provided.", code="invalid_api_key"),
    ),
    "no_quota": (
        429,
        error_envelope(
            "You exceeded your current quota, please check your plan and billing "
            "details.",
            kind="insufficient_quota",
            code="insufficient_quota",
        ),
    ),
}


class SandboxServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int]) -> None:
        """Take the port; answer nobody before `serve` has a sandbox."""
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        # The base class looks its own host name up, which can take seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "sandbox", self.server_address[1]

    def serve(self, sandbox: Sandbox) -> None:
        self.RequestHandlerClass = partial(Handler, sandbox)
        self.serve_forever(poll_interval=0.2)

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("connection of %s broke off", client_address, exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """One connection; a thread of its own."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one segment

    def __init__(self, sandbox: Sandbox, *connection: Any) -> None:
        self.sandbox = sandbox
        super().__init__(*connection)

    def handle_one_request(self) -> None:
        """Read one request of the connection and answer it, whatever its method."""
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline:
                self.close_connection = True
                return
            if self.parse_request():
                self._answer()
            self.wfile.flush()
        except (ConnectionError, TimeoutError, _Gone):
            self.close_connection = True

    def handle_expect_100(self) -> bool:
        """Tell a client that asks first to go on with its body."""
        proceed = super().handle_expect_100()
        self.wfile.flush()
        return proceed

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        logger.debug(format, *args)

    # --- one request ------------------------------------------------------------------

    def _answer(self) -> None:
        began = time.monotonic()
        self._left = _BodyReader(self.rfile, self.headers)
        path = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=path.path.rstrip("/") or "/",
            query=parse_qs(path.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in self.headers.items()},
            read=self._left.read,
        )
        operation = ""
        try:
            route, arguments = self._find(request)
            operation = route.operation
            reply = self._instead(route, request) or route.handler(
                self.sandbox, request, *arguments
            )
            if reply.status == 200:
                self._lose(operation, request)
        except ApiError as err:
            reply = json_reply(err.envelope, err.status, err.headers)
        except Lost:
            self._left.drain()
            self._reset()
        except (ConnectionError, TimeoutError, _Gone):
            raise
        except Exception:
            if self.sandbox.is_stopping:
                raise _Gone from None  # the storage was closed under it
            logger.exception("sandbox failed on %s %s", request.method, request.path)
            reply = json_reply(error_envelope(SERVER_ERROR, kind="server_error"), 500)
        # A body that nobody read would be taken for the next request.
        self._left.drain()
        reply.headers.setdefault("x-request-id", hex_id("req_"))
        reply.headers["openai-processing-ms"] = str(
            int(1000 * (time.monotonic() - began))
        )
        reply.headers["openai-organization"] = "org-sandbox"
        reply.headers["openai-version"] = "2020-10-01"
        if operation:
            reply.headers.update(self.sandbox.rates.spend())
        self._send(reply, operation, request)

    def _find(self, request: Request) -> tuple[Route, list[str]]:
        self._check_caller(request)
        other_method = False
        for route in ROUTES:
            match = route.pattern.fullmatch(request.path)
            if match is not None:
                if route.method == request.method:
                    return route, [unquote(group) for group in match.groups()]
                other_method = True
        if other_method:
            message = f"Not allowed to {request.method} on {request.path}"
            raise ApiError(405, message, code="method_not_supported")
        raise ApiError(404, f"Invalid URL ({request.method} {request.path})")

    def _check_caller(self, request: Request) -> None:
        """A key for OpenAI's paths; the sandbox's own answer this machine without."""
        key = request.headers.get("authorization", "")
        kind, _, key = key.partition(" ")
        key = key.strip() if kind.lower() == "bearer" else ""
        expected = self.sandbox.api_key
        if request.path.startswith("/_sandbox/"):
            local = ip_address(self.client_address[0].partition("%")[0]).is_loopback
            if not local and (expected is None or key != expected):
                raise ApiError(403, "Only this machine may steer the sandbox.")
            return
        if not key:
            raise ApiError(
                401,
                "You didn't provide an API key. Provide it in an Authorization header "
                "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            )
        if request.path.startswith(organization.PREFIX):
            organization.refuse_others(key)
            return
        if expected is not None and key != expected:
            shown = f"{key[:3]}…{key[-4:]}" if len(key) > 10 else "…"
            raise ApiError(
                401, f"Incorrect API key provided: {shown}.", code="invalid_api_key"
            )

    # --- faults -----------------------------------------------------------------------

    def _instead(self, route: Route, request: Request) -> Reply | None:
        """What a fault answers in the operation's place, if one strikes."""
        if not route.operation:
            return None
        faults = self.sandbox.faults
        request.random_fault = faults.random_strike(route.operation)
        for name in (*ERROR_FAULTS, "http_502", "reset"):
            fault = faults.strikes(name, route.operation) or request.struck(name)
            if fault is None:
                continue
            if name == "reset":
                self._reset()
            if name == "http_502":
                return Reply(BAD_GATEWAY, 502, "text/html")
            status, envelope = ERROR_FAULTS[name]
            headers = {}
            if fault.get("retry_after") is not None:
                headers["retry-after"] = str(fault["retry_after"])
            return json_reply(envelope, status, headers)
        return None

    def _lose(self, operation: str, request: Request) -> None:
        """Drop the connection after the deed, where a fault loses the answer."""
        name = LOST_ANSWERS.get(operation)
        if name is None:
            return
        fault = self.sandbox.faults.strikes(name) or request.struck(name)
        if fault is None:
            return
        if fault.get("hold") is not None:
            time.sleep(fault["hold"])
        if fault.get("status") is not None:
            raise ApiError(int(fault["status"]), SERVER_ERROR, kind="server_error")
        raise Lost

    def _reset(self) -> NoReturn:
        """End the connection as a broken network does: at once, without a farewell."""
        self.connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        os.close(self.connection.detach())
        raise _Gone

    # --- sending ----------------------------------------------------------------------

    def _send(self, reply: Reply, operation: str, request: Request) -> None:
        if reply.path is not None and not reply.path.exists():
            # Deleted between the look and now.
            identifier = reply.path.name
            reply = json_reply(files.no_such_file(identifier).envelope, 404)
        size = len(reply.body) if reply.path is None else reply.path.stat().st_size
        first, status = 0, reply.status
        if operation == "files.content" and reply.path is not None:
            first = _first_byte(request, size)
        if first:
            status = 206
            reply.headers["content-range"] = f"bytes {first}-{size - 1}/{size}"
            size -= first
        sent, announced = size, True
        if operation == "files.content" and reply.path is not None:
            sent, announced = self._cut(request, size)
        self.send_response(status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("content-type", reply.content_type)
        if announced:
            self.send_header("content-length", str(size))
        if sent < size or not announced:
            self.send_header("connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        slow = None
        if operation:
            slow = self.sandbox.faults.strikes("slow", operation) or request.struck(
                "slow"
            )
        if slow is not None:
            self._drip(reply, first, sent, slow["seconds"])
        elif reply.path is None:
            self.wfile.write(reply.body[:sent])
        else:
            self.wfile.flush()
            with reply.path.open("rb") as source:
                self.connection.sendfile(source, first, sent) if sent else None

    def _cut(self, request: Request, size: int) -> tuple[int, bool]:
        """How many bytes of a download go out, and whether its length is told."""
        for name, announced in (
            ("cut_download", True),
            ("cut_download_unannounced", False),
        ):
            fault = self.sandbox.faults.strikes(name) or request.struck(name)
            if fault is not None:
                self.close_connection = True
                return min(int(size * fault["share"]), size - 1), announced
        return size, True

    def _drip(self, reply: Reply, first: int, sent: int, seconds: float) -> None:
        step = max(1, -(-sent // SLOW_STEPS))
        source = None if reply.path is None else reply.path.open("rb")
        try:
            if source is not None:
                source.seek(first)
            for start in range(0, sent, step):
                self.wfile.flush()
                time.sleep(seconds / SLOW_STEPS)
                count = min(step, sent - start)
                if source is None:
                    self.wfile.write(reply.body[start : start + count])
                while source is not None and count:
                    block = source.read(min(count, BLOCK_BYTES))
                    self.wfile.write(block)
                    count -= len(block)
        finally:
            if source is not None:
                source.close()


def _first_byte(request: Request, size: int) -> int:
    """Where a request for the rest of a file begins; any other range gets all of it."""
    match = re.fullmatch(r"bytes=(\d{1,18})-", request.headers.get("range", ""))
    first = int(match[1]) if match else 0
    return first if first < size else 0


class _Gone(Exception):
    """The connection was ended from here."""


class _BodyReader:
    """The body of a request, by Content-Length or in chunks."""

    def __init__(self, stream: Any, headers: Any) -> None:
        self.stream = stream
        self.chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        length = headers.get("content-length", "0")
        self.left = 0 if self.chunked or not length.isdigit() else int(length)
        self.over = not self.chunked and self.left == 0

    def read(self, size: int) -> bytes:
        if self.over:
            return b""
        if self.chunked and self.left == 0:
            self.left = int(
                self.stream.readline(1024).split(b";")[0].strip() or b"0", 16
            )
            if self.left == 0:
                while self.stream.readline(65537).strip():
                    pass  # trailers
                self.over = True
                return b""
        block: bytes = self.stream.read(min(size, self.left))
        if not block:
            raise ConnectionError("the client left in the middle of its request")
        self.left -= len(block)
        if self.left == 0:
            if self.chunked:
                self.stream.readline(1024)
            else:
                self.over = True
        return block

    def drain(self) -> None:
        while self.read(BLOCK_BYTES):
            pass
