"""Webhooks: the endpoints a client registers, and signed deliveries to them.

The signature is that of the Standard Webhooks specification: HMAC-SHA256 over
`{id}.{timestamp}.{body}`, the key being what follows `whsec_`, base64-decoded. A
delivery that is not answered 2xx is repeated with growing pauses for 72 hours; what is
due is in the storage, so a restart forgets nothing.
"""

import base64
import hashlib
import hmac
import http.client
import logging
import secrets
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from batches.sandbox.faults import Faults
from batches.sandbox.storage import Batch, Storage
from batches.sandbox.wire import ApiError, Reply, Request, hex_id, json_reply, page

if TYPE_CHECKING:
    from batches.sandbox.app import Sandbox

logger = logging.getLogger("batches.sandbox")

EVENT_TYPES = ("batch.completed", "batch.failed", "batch.expired", "batch.cancelled")
USER_AGENT = "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)"
ANSWER_SECONDS = 5.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 3600.0
GIVE_UP_SECONDS = 72 * 3600


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of the `webhook-signature` header."""
    key = secret.encode()
    if secret.startswith("whsec_"):
        key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


class Webhooks:
    """Announces how batches end, from one thread, in the order they end."""

    def __init__(self, storage: Storage, faults: Faults) -> None:
        self.storage = storage
        self.faults = faults
        self._due = threading.Event()
        self._stopping = False
        self._held_until = 0.0

    def start(self) -> None:
        threading.Thread(target=self._deliver_all, name="webhooks", daemon=True).start()

    def stop(self) -> None:
        self._stopping = True
        self._due.set()

    def announce(self, batch: Batch) -> None:
        """Queue the event of a batch's ending for every endpoint that wants it."""
        event = f"batch.{batch.status}"
        body = _event(event, batch.id)
        for endpoint in self.endpoints():
            if event in endpoint["event_types"]:
                self._queue(endpoint["id"], body)

    def _queue(self, endpoint_id: str, body: bytes) -> None:
        now = time.time()
        copies = 2 if self.faults.strikes("webhook_duplicates") is not None else 1
        due_at = now
        disorder = self.faults.strikes("webhook_disorder")
        if disorder is not None and now > self._held_until:
            # Held back until another event has gone out before it.
            due_at = self._held_until = now + disorder["seconds"]
        elif disorder is not None:
            self._held_until = 0.0
        webhook_id = hex_id("wh_")
        with self.storage.transaction() as connection:
            for _ in range(copies):
                connection.execute(
                    "INSERT INTO deliveries (webhook_id, endpoint, body, created_at,"
                    " tries, next_at) VALUES (?, ?, ?, ?, 0, ?)",
                    (webhook_id, endpoint_id, body.decode(), now, due_at),
                )
        self._due.set()

    def _deliver_all(self) -> None:
        while not self._stopping:
            try:
                pause = self._deliver_due()
            except sqlite3.Error:
                if self._stopping:
                    return
                raise
            self._due.wait(pause)
            self._due.clear()

    def _deliver_due(self) -> float:
        """Deliver what is due; how many seconds until more is."""
        rows = self.storage.rows(
            "SELECT seq, webhook_id, endpoint, body, created_at, tries FROM deliveries"
            " WHERE next_at <= ? ORDER BY next_at, seq",
            time.time(),
        )
        for seq, webhook_id, endpoint_id, body, created_at, tries in rows:
            if self._stopping:
                return 0.0
            endpoint = self.endpoint(endpoint_id)
            delivered = endpoint is None or self._succeeds(endpoint, webhook_id, body)
            next_at: float | None = None
            if not delivered:
                pause = min(FIRST_PAUSE_SECONDS * 2**tries, LONGEST_PAUSE_SECONDS)
                next_at = time.time() + pause
                if next_at > created_at + GIVE_UP_SECONDS:
                    next_at = None
            with self.storage.transaction() as connection:
                connection.execute(
                    "UPDATE deliveries SET tries = tries + 1, next_at = ?"
                    " WHERE seq = ?",
                    (next_at, seq),
                )
        soonest = self.storage.rows("SELECT MIN(next_at) FROM deliveries")[0][0]
        return 60.0 if soonest is None else max(0.0, soonest - time.time())

    def _succeeds(self, endpoint: dict[str, Any], webhook_id: str, body: str) -> bool:
        try:
            return 200 <= self.send(endpoint, webhook_id, body.encode()) < 300
        except (OSError, http.client.HTTPException) as err:
            logger.info("webhook %s to %s: %r", webhook_id, endpoint["id"], err)
            return False

    def send(self, endpoint: dict[str, Any], webhook_id: str, body: bytes) -> int:
        """One delivery; the endpoint's HTTP status. A redirect is not followed."""
        secret = endpoint["signing_secret"]
        if self.faults.strikes("webhook_bad_signature") is not None:
            secret = new_secret()
        timestamp = int(time.time())
        url = urlsplit(endpoint["url"])
        kind = (
            http.client.HTTPSConnection
            if url.scheme == "https"
            else http.client.HTTPConnection
        )
        connection = kind(url.hostname or "", url.port, timeout=ANSWER_SECONDS)
        try:
            connection.request(
                "POST",
                (url.path or "/") + (f"?{url.query}" if url.query else ""),
                body=body,
                headers={
                    "content-type": "application/json",
                    "user-agent": USER_AGENT,
                    "webhook-id": webhook_id,
                    "webhook-timestamp": str(timestamp),
                    "webhook-signature": signature(secret, webhook_id, timestamp, body),
                },
            )
            return connection.getresponse().status
        finally:
            connection.close()

    # --- endpoints --------------------------------------------------------------------

    def endpoints(self) -> list[dict[str, Any]]:
        rows = self.storage.rows(
            "SELECT document FROM webhook_endpoints ORDER BY rowid"
        )
        return [orjson.loads(row[0]) for row in rows]

    def endpoint(self, identifier: str) -> dict[str, Any] | None:
        rows = self.storage.rows(
            "SELECT document FROM webhook_endpoints WHERE id = ?", identifier
        )
        return orjson.loads(rows[0][0]) if rows else None

    def save(self, endpoint: dict[str, Any]) -> None:
        with self.storage.transaction() as connection:
            connection.execute(
                "INSERT INTO webhook_endpoints VALUES (?, ?)"
                " ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                (endpoint["id"], orjson.dumps(endpoint).decode()),
            )

    def remove(self, identifier: str) -> None:
        with self.storage.transaction() as connection:
            connection.execute(
                "DELETE FROM webhook_endpoints WHERE id = ?", (identifier,)
            )


def _event(event: str, batch_id: str) -> bytes:
    return orjson.dumps(
        {
            "object": "event",
            "id": hex_id("evt_"),
            "type": event,
            "created_at": int(time.time()),
            "data": {"id": batch_id},
        }
    )


def _shown(endpoint: dict[str, Any], *, with_secret: bool = False) -> dict[str, Any]:
    shown = {k: v for k, v in endpoint.items() if k != "signing_secret"}
    shown["signing_secret_hint"] = f"whsec_…{endpoint['signing_secret'][-4:]}"
    if with_secret:
        shown["signing_secret"] = endpoint["signing_secret"]
    return shown


def _changed(endpoint: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The endpoint with what a client gives; refused where it cannot be used."""
    for name in ("name", "url", "event_types"):
        if given.get(name) is not None:
            endpoint[name] = given[name]
    if urlsplit(str(endpoint.get("url"))).scheme not in ("http", "https"):
        raise ApiError(400, "Invalid URL.", param="url", code="invalid_value")
    kinds = endpoint.get("event_types")
    if not isinstance(kinds, list) or not set(kinds) <= set(EVENT_TYPES):
        allowed = ", ".join(EVENT_TYPES)
        raise ApiError(
            400,
            f"Invalid value for 'event_types': this sandbox sends {allowed}.",
            param="event_types",
            code="invalid_value",
        )
    endpoint["updated_at"] = int(time.time())
    return endpoint


def create(sandbox: "Sandbox", request: Request) -> Reply:
    given = request.json_object()
    now = int(time.time())
    endpoint = _changed(
        {
            "id": hex_id("whe_"),
            "object": "webhook_endpoint",
            "name": given.get("name") or "",
            "created_at": now,
            "event_types": list(EVENT_TYPES),
            # A secret may be brought along, which OpenAI does not offer: tests do.
            "signing_secret": given.get("signing_secret") or new_secret(),
        },
        given,
    )
    sandbox.webhooks.save(endpoint)
    return json_reply(_shown(endpoint, with_secret=True))


def listed(sandbox: "Sandbox", request: Request) -> Reply:
    return page([_shown(endpoint) for endpoint in sandbox.webhooks.endpoints()], False)


def _found(sandbox: "Sandbox", identifier: str) -> dict[str, Any]:
    endpoint = sandbox.webhooks.endpoint(identifier)
    if endpoint is None:
        raise ApiError(404, f"No webhook endpoint found with id '{identifier}'.")
    return endpoint


def retrieve(sandbox: "Sandbox", request: Request, identifier: str) -> Reply:
    return json_reply(_shown(_found(sandbox, identifier)))


def update(sandbox: "Sandbox", request: Request, identifier: str) -> Reply:
    endpoint = _changed(_found(sandbox, identifier), request.json_object())
    sandbox.webhooks.save(endpoint)
    return json_reply(_shown(endpoint))


def delete(sandbox: "Sandbox", request: Request, identifier: str) -> Reply:
    _found(sandbox, identifier)
    sandbox.webhooks.remove(identifier)
    return json_reply(
        {"id": identifier, "object": "webhook_endpoint.deleted", "deleted": True}
    )


def rotate(sandbox: "Sandbox", request: Request, identifier: str) -> Reply:
    endpoint = _found(sandbox, identifier)
    endpoint["signing_secret"] = new_secret()
    sandbox.webhooks.save(endpoint)
    return json_reply(_shown(endpoint, with_secret=True))


def test(sandbox: "Sandbox", request: Request, identifier: str) -> Reply:
    """Send one event now, of a batch that does not exist, and tell the answer."""
    endpoint = _found(sandbox, identifier)
    event = request.json_object().get("event_type") or EVENT_TYPES[0]
    try:
        status = sandbox.webhooks.send(
            endpoint, hex_id("wh_"), _event(event, hex_id("batch_"))
        )
    except (OSError, http.client.HTTPException) as err:
        raise ApiError(400, f"The endpoint could not be reached: {err}.") from err
    return json_reply(
        {
            "object": "webhook_endpoint.test",
            "webhook_endpoint_id": identifier,
            "event_type": event,
            "status_code": status,
            "success": True,
        }
    )


def event_types(sandbox: "Sandbox", request: Request) -> Reply:
    return json_reply({"object": "list", "data": list(EVENT_TYPES)})
