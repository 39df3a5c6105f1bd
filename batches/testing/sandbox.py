"""A sandbox of its own for a test, at an address of its own."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.test import override_settings

from batches.processes import stop_process

READY = "Sandbox ready at "
READY_SECONDS = 60.0


@contextmanager
def own_sandbox(*flags: str) -> Iterator[str]:
    """Have a sandbox answer at once while the block runs, as the provider in use.

    It keeps its data, and the engine its files, in a folder that is gone afterwards.
    Yields its address; raises RuntimeError with what it said where it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="batchsite-") as folder:
        process = _start(Path(folder) / "sandbox", flags)
        try:
            address = _address(process)
            with override_settings(
                BATCH_PROVIDER="sandbox",
                SANDBOX_URL=address,
                DATA_DIR=Path(folder),
                SPOOL_DIR=Path(folder) / "spool",
            ):
                yield address
        finally:
            stop_process(process)


def _start(directory: Path, flags: tuple[str, ...]) -> "subprocess.Popen[str]":
    command = ["-m", "django", "sandbox", "--port=0", f"--dir={directory}"]
    path = os.pathsep.join([str(settings.BASE_DIR), *filter(None, sys.path)])
    return subprocess.Popen(  # noqa: S603  # our own command
        [sys.executable, *command, "--latency=0", "--responder=pseudo", *flags],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "PYTHONPATH": path,
            "PYTHONUNBUFFERED": "1",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _address(process: "subprocess.Popen[str]") -> str:
    said: list[str] = []
    ready = threading.Event()

    def read() -> None:
        for line in process.stdout or ():
            if not ready.is_set():
                said.append(line)
            if line.startswith(READY):
                ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    ready.wait(READY_SECONDS)
    if not said or not said[-1].startswith(READY):
        raise RuntimeError(f"The sandbox did not start: {''.join(said)}")
    return said[-1].removeprefix(READY).split()[0].rstrip(".")
