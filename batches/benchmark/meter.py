"""CPU and wall time of a block: of this process and of the database's backend."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psutil
from django.db import connection

from batches.services.bulk import is_postgres
from batches.workloads import Answer, Verdict, Workload


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds that something took. `backend_cpu` is None where it cannot be read.

    On SQLite the database works in this very process: its backend takes nothing.
    """

    wall: float
    client_cpu: float
    backend_cpu: float | None

    @property
    def cpu(self) -> float:
        return self.client_cpu + (self.backend_cpu or 0.0)

    def without(self, client_cpu: float) -> "Spent":
        """The same but for seconds of this process that are shown apart."""
        return replace(self, client_cpu=self.client_cpu - client_cpu)


def measure(work: Callable[[], object]) -> Spent:
    """Run `work` once, with the garbage of what came before collected."""
    connection.ensure_connection()
    gc.collect()
    backend = _backend()
    backend_before = _cpu_of(backend)
    cpu_before = time.process_time()
    began = time.perf_counter()
    work()
    wall = time.perf_counter() - began
    client_cpu = time.process_time() - cpu_before
    backend_after = _cpu_of(backend)
    if backend_before is None or backend_after is None:
        return Spent(wall, client_cpu, None)
    return Spent(wall, client_cpu, backend_after - backend_before)


def best(rounds: Iterable[Spent]) -> Spent:
    """The least of each figure: noise of a machine only ever adds."""
    rounds = list(rounds)
    cheapest = min(rounds, key=lambda spent: spent.cpu)
    return Spent(
        min(spent.wall for spent in rounds), cheapest.client_cpu, cheapest.backend_cpu
    )


@contextmanager
def judging_apart(workload: Workload) -> Iterator[list[float]]:
    """Yields a list that gets the CPU seconds of each call of `judge` in the block."""
    calls: list[float] = []
    judge = workload.judge

    def timed(answers: Sequence[Answer]) -> list[Verdict]:
        began = time.thread_time()
        verdicts = judge(answers)
        calls.append(time.thread_time() - began)
        return verdicts

    vars(workload)["judge"] = timed
    try:
        yield calls
    finally:
        del vars(workload)["judge"]


def _backend() -> psutil.Process | None:
    """The server process of our connection, where it runs on this machine.

    PostgreSQL writes the database's name into its title, and ours has a name that no
    other has; so a process that merely has the same number is not taken for it.
    """
    if not is_postgres():
        return None
    try:
        process = psutil.Process(connection.connection.info.backend_pid)
        title = " ".join(process.cmdline())
        return process if connection.settings_dict["NAME"] in title else None
    except psutil.Error:
        return None


def _cpu_of(backend: psutil.Process | None) -> float | None:
    """User and system seconds of the backend so far."""
    if not is_postgres():
        return 0.0
    if backend is None:
        return None
    times = backend.cpu_times()
    return float(times.user + times.system)
