"""Web and worker under one roof: what dies is started again, what hangs is replaced.

django-q2's cluster freezes for good when an idle worker is killed (a dead process
holds the lock of the pipe the others read from), so a worker that is gone means that
the whole group is restarted at once. A queue that nobody takes from is the second net.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from django.conf import settings
from django.db import close_old_connections
from django.db.utils import Error as DatabaseError
from django.utils import timezone

from batches.tasks import queue_age, request_all_ticks
from batchsite.processes import die_with_parent

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
# A task that no worker took for so long: the cluster hangs. All workers may rightly be
# at tasks of their full length, as with files of 200 MB on a slow line.
FROZEN_SECONDS = settings.Q_CLUSTER["timeout"] + 60.0
STOP_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 10.0
STABLE_SECONDS = 30.0


@dataclass
class Kept:
    """One process group that is kept alive; `is_brittle` if no child of it may die."""

    name: str
    command: list[str]
    is_brittle: bool = False
    process: "subprocess.Popen[bytes] | None" = None
    children: set[tuple[int, float]] = field(default_factory=set)
    started: float = 0.0
    pause: float = 0.0
    not_before: float = 0.0

    def start(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603  # our own commands
            [sys.executable, *self.command],
            cwd=settings.BASE_DIR,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        self.children = set()
        self.started = time.monotonic()
        log.info("[Supervisor] %s started (pid %d)", self.name, self.process.pid)

    def trouble(self) -> str:
        """Why the group must be restarted; empty while it is well."""
        if self.process is None:
            return "not started"
        if (status := self.process.poll()) is not None:
            return f"ended with status {status}"
        if self.is_brittle:
            now = _descendants(self.process.pid)
            if lost := self.children - now:
                return f"lost process {', '.join(str(pid) for pid, _ in sorted(lost))}"
            self.children |= now
        return ""

    def kill(self) -> None:
        """End every process of the group, at once."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def restart_after(self, trouble: str) -> None:
        """Kill what is left, and start again: at once, or later if it keeps dying."""
        lasted = time.monotonic() - self.started
        self.pause = (
            0.0
            if lasted > STABLE_SECONDS
            else min(LONGEST_PAUSE_SECONDS, max(0.5, self.pause * 2))
        )
        log.warning("[Supervisor] %s: %s; restarting", self.name, trouble)
        self.kill()
        self.not_before = time.monotonic() + self.pause


class Supervisor:
    """Keeps groups of processes until it is told to stop."""

    def __init__(self, kept: list[Kept], *, worker: Kept) -> None:
        self.kept = kept
        self.worker = worker
        self.pids = settings.DATA_DIR / "up.json"
        self._stopping = False

    def run(self) -> None:
        """Start everything, and look after it until SIGTERM, SIGINT or Ctrl-C."""
        end_leftovers(self.pids)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        heartbeat = time.monotonic()
        try:
            while not self._stopping:
                for kept in self.kept:
                    self._look_after(kept)
                if time.monotonic() - heartbeat > HEARTBEAT_SECONDS:
                    heartbeat = time.monotonic()
                    self._check_queue()
                time.sleep(LOOK_SECONDS)
        finally:
            self._end()

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _look_after(self, kept: Kept) -> None:
        if kept.process is None:
            if time.monotonic() >= kept.not_before:
                kept.start()
                self._write_pids()
                if kept is self.worker:
                    self._ask_for_work()
        elif trouble := kept.trouble():
            kept.restart_after(trouble)

    def _ask_for_work(self) -> None:
        """Whatever a worker was at when it died is asked for again."""
        try:
            close_old_connections()
            request_all_ticks()
        except DatabaseError as err:
            log.warning("[Supervisor] the database does not answer: %s", err)

    def _check_queue(self) -> None:
        """The second net: workers that live and take nothing."""
        try:
            close_old_connections()
            age = queue_age(timezone.now()).total_seconds()
        except DatabaseError as err:
            log.warning("[Supervisor] the database does not answer: %s", err)
            return
        if age > FROZEN_SECONDS and self.worker.process is not None:
            self.worker.restart_after(f"took nothing from the queue for {age:.0f} s")

    def _write_pids(self) -> None:
        pids = {}
        for kept in self.kept:
            if kept.process is not None:
                with suppress(psutil.NoSuchProcess):
                    pid = kept.process.pid
                    pids[pid] = psutil.Process(pid).create_time()
        self.pids.write_text(json.dumps(pids))

    def _end(self) -> None:
        """Ask all to end, and wait: a task under way is finished, if it is not long."""
        running = [kept for kept in self.kept if kept.process is not None]
        for kept in running:
            if kept.process is not None:
                kept.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for kept in running:
            if kept.process is not None:
                with suppress(subprocess.TimeoutExpired):
                    kept.process.wait(max(0.1, deadline - time.monotonic()))
            kept.kill()
        self.pids.unlink(missing_ok=True)


def end_leftovers(pids: Path) -> None:
    """Kill the groups that a killed supervisor left behind, if any live on."""
    try:
        known: dict[str, float] = json.loads(pids.read_text())
    except (FileNotFoundError, ValueError):
        return
    for text, created in known.items():
        group = int(text)
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(group).create_time() != created:
                continue  # the number is somebody else's by now
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                if os.getpgid(process.pid) == group:
                    process.kill()


def _descendants(pid: int) -> set[tuple[int, float]]:
    """(pid, start time) of every living process below one; zombies are dead."""
    found = set()
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if child.status() != psutil.STATUS_ZOMBIE:
                    found.add((child.pid, child.create_time()))
    return found
