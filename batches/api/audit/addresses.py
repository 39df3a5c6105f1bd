"""From where a request comes, also through proxies: as far as they are trusted."""

from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from django.conf import settings
from django.http import HttpRequest

FORWARDED = "HTTP_X_FORWARDED_FOR"
MOST_HOPS = 20


def client_address(request: HttpRequest) -> str:
    """The address of whoever asks; empty where it is none.

    Only a proxy of TRUSTED_PROXIES is believed about whom it speaks for. Its header is
    read from the end, where it wrote itself, up to the first address that is no such
    proxy: what stands before that may be anybody's invention.
    """
    found = _address(request.META.get("REMOTE_ADDR", ""))
    if found is None:
        return ""
    hops = request.META.get(FORWARDED, "").split(",")[-MOST_HOPS:]
    while _is_trusted(found) and hops:
        told = _address(hops.pop())
        if told is None:
            break
        found = told
    return str(found)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _is_trusted(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in _networks(*settings.TRUSTED_PROXIES))


@lru_cache
def _networks(*texts: str) -> list[IPv4Network | IPv6Network]:
    return [ip_network(text) for text in texts]
