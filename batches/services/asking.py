"""Who asks, while a request is answered: what the audit log needs to know of it.

The middleware says it at the door, and services need not be handed an address. Outside
of a request nobody asks: a command or a worker names its actor itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Asking:
    """One request. `entries` counts what it left in the audit log.

    `form` is the name of the page where one of Django's own admin forms is answered,
    which saves rows without any service of ours: `rows` counts them, `before` keeps
    what they were.
    `is_of_another` is whether it was for what is there, and somebody else's; `is_trial`
    whether it only asks what would be done.
    """

    address: str
    actor: str = ""
    entries: int = 0
    rows: int = 0
    form: str = ""
    is_of_another: bool = False
    is_trial: bool = False
    before: dict[tuple[type, Any], dict[str, Any]] = field(default_factory=dict)


_asking: ContextVar[Asking | None] = ContextVar("asking", default=None)


def who_asks() -> Asking | None:
    """The request that is being answered here; None outside of any."""
    return _asking.get()


@contextmanager
def asked_by(asking: Asking) -> Iterator[Asking]:
    token = _asking.set(asking)
    try:
        yield asking
    finally:
        _asking.reset(token)


def name_actor(actor: str) -> None:
    """Say who asks, as soon as that is known."""
    asking = _asking.get()
    if asking is not None:
        asking.actor = actor


def mark_of_another() -> None:
    """Say that what is asked for is somebody else's; the answer does not tell."""
    asking = _asking.get()
    if asking is not None:
        asking.is_of_another = True


def mark_trial() -> None:
    """Say that nothing is done, whatever the method is."""
    asking = _asking.get()
    if asking is not None:
        asking.is_trial = True
