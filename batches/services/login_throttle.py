"""Guessing is slow: after too many failures a name, or an address, has to wait.

Counted in the cache that all processes share. Three counts, so that a stranger who
guesses keeps nobody else out for long: of a name from one address; of an address, as an
office has one for many people; and of a name from anywhere, against guessing from many
addresses at once. A count begins with its first failure and is forgotten when its time
is over, whether it was reached or not, so the wait has an end that can be told.

Two tries at the very same moment may be counted as one; that many more are no help.
"""

from collections.abc import Iterator
from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil

from django.conf import settings
from django.core.cache import cache

# How many failures each count takes, in multiples of LOGIN_FAILURES.
ADDRESS_TIMES, NAME_TIMES = 4, 10


def seconds_to_wait(name: str, address: str, *, now: float) -> int:
    """Until the next try is let through; 0 where it may be now. `now`: seconds."""
    waits = [0]
    for key, most in _counts(name, address):
        failures, ends_at = cache.get(key, (0, now))
        if failures >= most:
            waits.append(ceil(ends_at - now))
    return max(waits)


def note_failure(name: str, address: str, *, now: float) -> None:
    """Count a try that failed."""
    for key, _ in _counts(name, address):
        failures, ends_at = cache.get(key, (0, now + settings.LOGIN_LOCK_MINUTES * 60))
        cache.set(key, (failures + 1, ends_at), timeout=max(1, ceil(ends_at - now)))


def forget_failures(name: str, address: str) -> None:
    """After a success: the name's counts begin anew; those of its address go on, as
    one good password must not pay for guessing others."""
    pair, _, anywhere = (key for key, _ in _counts(name, address))
    cache.delete_many([pair, anywhere])


def _counts(name: str, address: str) -> Iterator[tuple[str, int]]:
    """Each count's key, and how many failures it takes."""
    name, place = name.strip().casefold(), _place(address)
    most = settings.LOGIN_FAILURES
    yield _key("pair", name, place), most
    yield _key("address", place), most * ADDRESS_TIMES
    yield _key("name", name), most * NAME_TIMES


def _place(address: str) -> str:
    """The address, or of IPv6 the network: its owner has all addresses in it."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(ip_network((int(found), 64), strict=False))
    return str(found)


def _key(kind: str, *parts: str) -> str:
    """No name stands in the cache, and none is too long or strange for it."""
    digest = sha256("\0".join(parts).encode(errors="backslashreplace")).hexdigest()
    return f"login:{kind}:{digest[:40]}"
