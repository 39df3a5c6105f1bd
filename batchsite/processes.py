"""Starting the processes that a command keeps beside itself, and ending them."""

import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.management.base import CommandError

from batches.processes import stop_process

READY_SECONDS = 60
PR_SET_PDEATHSIG = 1  # Linux: prctl(2)


@contextmanager
def running(*command: str, env: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """Run `python COMMAND` beside the block; ended with it, and with this process."""
    process = subprocess.Popen(  # noqa: S603  # our own commands
        [sys.executable, *command],
        cwd=settings.BASE_DIR,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        preexec_fn=die_with_parent,
    )
    try:
        yield process
    finally:
        stop_process(process)


@contextmanager
def alone(lock_name: str, *, otherwise: str) -> Iterator[None]:
    """Hold a file in DATA_DIR while the block runs; raises CommandError with
    `otherwise` where another process holds it."""
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    with (settings.DATA_DIR / lock_name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            raise CommandError(otherwise) from err
        yield


def wait_for_line(process: "subprocess.Popen[str]", start: str, *, name: str) -> str:
    """The rest of the first line of a process's output that begins with `start`.

    Raises CommandError, calling the process by `name`, when it ends, or a minute
    passes, without it. What it prints afterwards is read and dropped, so that it never
    blocks.
    """
    found: list[str] = []
    ready = threading.Event()

    def read(output: IO[str]) -> None:
        for line in output:
            if line.startswith(start) and not found:
                found.append(line.removeprefix(start).strip())
                ready.set()
        ready.set()

    assert process.stdout is not None  # noqa: S101  # `running` pipes it
    threading.Thread(target=read, args=(process.stdout,), daemon=True).start()
    ready.wait(READY_SECONDS)
    if not found:
        raise CommandError(f"{name} did not start; its own words stand above.")
    return found[0]


def check_port_is_free(port: int, flag: str) -> None:
    """Raises CommandError, naming the flag that chooses another, when it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as err:
            raise CommandError(
                f"Port {port} is in use. Stop what uses it, "
                f"or choose another with {flag} {port + 1}."
            ) from err


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)


def die_with_parent() -> None:
    """In the child, before it runs: get SIGTERM when the parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
