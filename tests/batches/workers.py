"""The engine's own commands as processes beside a test, stopped and killed at will."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from django.db import connection, models, transaction

from tests.databases import django_url, find_postgres
from tests.processes import ROOT, clean_environment
from tests.sandbox.fixtures import wait_for


def database_of_the_tests() -> str:
    """The PostgreSQL database that this test itself is connected to, as a URL."""
    return django_url(find_postgres().url, str(connection.settings_dict["NAME"]))


def engine(
    database_url: str, sandbox_url: str, directory: Path, **variables: str
) -> dict[str, str]:
    """The environment of an installation with the tests' workload."""
    return clean_environment(
        DATABASE_URL=database_url,
        SANDBOX_URL=sandbox_url,
        DATA_DIR=str(directory),
        SECRET_KEY="only-for-tests",
        DEBUG="true",
        BATCH_PROVIDER="sandbox",
        BATCHSITE_APPS="tests.gallery",
        **variables,
    )


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Start this in a thread with a database connection of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@contextmanager
def row_locked(model: type[models.Model], pk: int) -> Iterator[None]:
    """Somebody else holds this row: who wants to write it waits for the block's end."""
    locked, done = threading.Event(), threading.Event()

    def lock() -> None:
        with transaction.atomic():
            model._default_manager.select_for_update().get(pk=pk)
            locked.set()
            done.wait(60)

    holder = in_thread(lock)
    assert locked.wait(10)
    try:
        yield
    finally:
        done.set()
        holder.join(10)


def waiting_for_locks() -> int:
    """How many sessions of this PostgreSQL database wait for a lock of another."""
    with connection.cursor() as cursor:
        # Within a transaction the first look would be shown again.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])


class Worker:
    """`manage.py COMMAND` in the background; what it says goes to a file."""

    def __init__(self, *command: str, env: dict[str, str], directory: Path) -> None:
        self.log = directory / f"{command[0]}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", *command],
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def suspend(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        stopped = psutil.Process(self.process.pid)
        wait_for(lambda: stopped.status() == psutil.STATUS_STOPPED)

    def wake_up(self) -> str:
        """Let it go on to its end, as `finish` does."""
        self.process.send_signal(signal.SIGCONT)
        return self.finish()

    def finish(self, *, seconds: float = 60) -> str:
        """Wait for its end; what it said. It must not have failed."""
        status = self.process.wait(seconds)
        said = self.log.read_text()
        assert status == 0, said
        assert "Traceback" not in said
        return said

    def kill(self) -> None:
        """SIGKILL, to it and to what it started."""
        if self.process.poll() is not None:
            return
        family = psutil.Process(self.process.pid)
        for process in [*family.children(recursive=True), family]:
            process.kill()
        self.process.wait()
