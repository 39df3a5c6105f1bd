"""Where a worker can die: the boundaries between its steps, found by Django and HTTP.

A boundary is a commit that changed something, the moment before a request to the
provider leaves or after its answer began to arrive, or a chunk that was sent or
received. Its name tells who asked for it: the innermost three functions of the services
on the stack, each with the line it stood at, counted from the function's first. So the
services need not know of this, and a new commit is a new boundary by itself.
"""

import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import httpx2
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

import batches.services

SERVICES = str(Path(batches.services.__file__).parent) + os.sep
DRIVER = "pipeline"  # it calls every stage, and says nothing of the step
NAMED_FRAMES = 3
WRITES = ("INSERT", "UPDATE", "DELETE")
# Ids of files and batches in an address.
ID = re.compile(r"/(file|batch)[-_][^/]+")


@dataclass(frozen=True)
class Orders:
    """When to die: at the first boundary that is not `spared` (None spares all).

    Also `at` one of these (boundary, n): the n-th time that it is reached.
    """

    spared: frozenset[str] | None = None
    at: frozenset[tuple[str, int]] = frozenset()


@dataclass
class Probes:
    """Reports boundaries, a line each, and kills its process where it is told to."""

    orders: Orders
    report: int  # a file descriptor, opened to append

    def __post_init__(self) -> None:
        self.reached: Counter[str] = Counter()
        self.wrote = False  # whether the open transaction changed anything

    def reach(self, name: str) -> None:
        self.reached[name] += 1
        os.write(self.report, f"{name}\n".encode())
        spared = self.orders.spared
        is_new = spared is not None and name not in spared
        if is_new or (name, self.reached[name]) in self.orders.at:
            self._die()

    def _die(self) -> NoReturn:
        os.write(self.report, f"{KILLED}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("survived SIGKILL")


KILLED = "killed here"


def install(orders: Orders, report: Path) -> None:
    """Probe this process from now on; `report` is made, or written on."""
    descriptor = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    probes = Probes(orders, descriptor)
    _probe_commits(probes)
    _probe_calls(probes)


def asker(frame: FrameType) -> str:
    """Who of the services is at work: `submission._submit+20>_create+5>…`."""
    found: list[FrameType] = []
    at: FrameType | None = frame
    while at is not None and len(found) < NAMED_FRAMES:
        if at.f_code.co_filename.startswith(SERVICES) and _module(at) != DRIVER:
            found.insert(0, at)
        at = at.f_back
    names = []
    module = ""
    for frame in found:
        prefix = "" if _module(frame) == module else f"{_module(frame)}."
        module = _module(frame)
        line = frame.f_lineno - frame.f_code.co_firstlineno
        names.append(f"{prefix}{frame.f_code.co_name}+{line}")
    return ">".join(names) or "outside"


def _module(frame: FrameType) -> str:
    return Path(frame.f_code.co_filename).stem


# --- commits --------------------------------------------------------------------------


def _probe_commits(probes: Probes) -> None:
    """A commit of a transaction that wrote, and each write that commits by itself."""
    commit, rollback = BaseDatabaseWrapper.commit, BaseDatabaseWrapper.rollback

    def probed_commit(self: BaseDatabaseWrapper) -> None:
        wrote, probes.wrote = probes.wrote, False
        commit(self)
        if wrote:
            probes.reach(f"commit:{asker(sys._getframe())}")

    def probed_rollback(self: BaseDatabaseWrapper) -> None:
        probes.wrote = False
        rollback(self)

    def watch(
        execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        result = execute(sql, params, many, context)
        is_write = sql.lstrip().startswith(WRITES)
        if is_write and context["cursor"].rowcount != 0:
            if context["connection"].in_atomic_block:
                probes.wrote = True
            else:
                probes.reach(f"commit:{asker(sys._getframe())}")
        return result

    def watch_connection(connection: BaseDatabaseWrapper, **_: Any) -> None:
        if watch not in connection.execute_wrappers:
            connection.execute_wrappers.append(watch)

    BaseDatabaseWrapper.commit = probed_commit
    BaseDatabaseWrapper.rollback = probed_rollback
    connection_created.connect(watch_connection, weak=False)


# --- calls and chunks -----------------------------------------------------------------


class ProbedStream(httpx2.SyncByteStream):
    """A body on its way: a boundary after its first chunk, later ones, and the whole.

    "After" a chunk of an upload is when the next is asked for: it has left by then.
    """

    def __init__(self, probes: Probes, name: str, inner: httpx2.SyncByteStream) -> None:
        self.probes, self.name, self.inner = probes, name, inner

    def __iter__(self) -> Iterator[bytes]:
        place = "first"
        for chunk in self.inner:
            yield chunk
            self.probes.reach(f"{self.name}:{place}")
            place = "later"
        self.probes.reach(f"{self.name}:whole")

    def close(self) -> None:
        self.inner.close()


def _probe_calls(probes: Probes) -> None:
    send = httpx2.HTTPTransport.handle_request

    def probed_send(
        self: httpx2.HTTPTransport, request: httpx2.Request
    ) -> httpx2.Response:
        path = ID.sub(r"/{\1}", request.url.path.removeprefix("/v1"))
        who = asker(sys._getframe())
        call = f"{request.method} {path} of {who}"
        probes.reach(f"call:{call}:before")
        if (request.method, path) == ("POST", "/files"):
            request.stream = ProbedStream(probes, f"chunk:{call}", request.stream)
        response = send(self, request)
        if path.endswith("/content"):
            response.stream = ProbedStream(probes, f"chunk:{call}", response.stream)
        probes.reach(f"call:{call}:after")
        return response

    httpx2.HTTPTransport.handle_request = probed_send
