"""One signed POST to an address that somebody typed in, and to no inner network.

The name is looked up once, and the connection goes to an address that was looked at:
a name that points elsewhere a moment later gains nothing. Proxies of the environment
are not used, redirects are not followed.
"""

import base64
import hashlib
import hmac
import http.client
import secrets
import socket
import ssl
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from batches.errors import BatchError

TIMEOUT_SECONDS = 10.0
SECRET_BYTES = 32
USER_AGENT = "Batchsite webhooks"


class NotReached(BatchError):
    """An address that may not be called, or did not answer."""

    code = "webhook_not_reached"


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed_headers(
    secret: str, message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The headers of the Standard Webhooks specification."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{digest}",
    }


def check_address(url: str) -> None:
    """Raise NotReached, saying why, for an address that would not be called."""
    _looked_up(_parts(url))


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """The status of the answer; what it says is not read. Raises NotReached."""
    parts = _parts(url)
    connection = _Connection(parts, _looked_up(parts))
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    try:
        connection.request("POST", path, body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as err:
        raise NotReached(f"{parts.hostname} did not answer: {err}.") from err
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    """To an address that was looked up before; TLS is held against the name."""

    def __init__(self, parts: SplitResult, address: str) -> None:
        self._address = address
        self._is_tls = parts.scheme == "https"
        port = parts.port or (443 if self._is_tls else 80)
        super().__init__(parts.hostname or "", port, timeout=TIMEOUT_SECONDS)

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._is_tls:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError as err:
        raise NotReached(f"{url!r} is no address: {err}.") from err
    if not is_whole or parts.username or any(ord(sign) <= 32 for sign in url):
        raise NotReached(f"{url!r} is no address such as https://example.org/hook.")
    if parts.scheme != "https" and not (
        parts.scheme == "http" and settings.WEBHOOK_ALLOW_PRIVATE
    ):
        raise NotReached(f"{url!r} does not begin with https://.")
    return parts


def _looked_up(parts: SplitResult) -> str:
    """An address of the host. Raises NotReached if any of its addresses is of an inner
    network, unless these are allowed."""
    port = parts.port or 443
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as err:
        raise NotReached(f"{parts.hostname} is not found: {err}.") from err
    addresses = [str(place[4][0]) for place in found]
    inner = [each for each in addresses if not ip_address(each.split("%")[0]).is_global]
    if inner and not settings.WEBHOOK_ALLOW_PRIVATE:
        raise NotReached(
            f"{parts.hostname} is {inner[0]}, inside a network of its own. "
            "WEBHOOK_ALLOW_PRIVATE=true lets webhooks go there."
        )
    return addresses[0]
