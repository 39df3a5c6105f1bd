"""A world to measure in: a database and a directory that are gone afterwards."""

import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connection
from django.test.utils import override_settings

from batches.benchmark.data import MODEL
from batches.providers.registry import SANDBOX
from batches.services.bulk import is_postgres

PREFIX = "test_batchsite_benchmark"
MOST_REQUESTS = 50_000  # the provider's bound for one batch


@contextmanager
def scratch_world(say: Callable[[str], None]) -> Iterator[Path]:
    """Migrated tables in a new database, and a new directory; yields the directory.

    Whatever `connection` did before, inside the block it stands in the new database;
    both are removed when the block ends, however it does.
    """
    directory = Path(tempfile.mkdtemp(prefix="batchsite-benchmark-"))
    try:
        with (
            override_settings(**engine_settings(directory)),
            _scratch_database(directory, say),
        ):
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def engine_settings(directory: Path) -> dict[str, Any]:
    """What the engine is told here, whatever this installation is set to."""
    return {
        "SPOOL_DIR": directory / "spool",
        "BATCH_PROVIDER": SANDBOX,
        "BATCH_MAX_REQUESTS": MOST_REQUESTS,
        "OPENAI_MODEL": MODEL,
        "STAGING": False,
        "BATCH_PROCESSING_ENABLED": True,
        "BATCH_CREATION_ENABLED": True,
        "BATCH_POLLING_ENABLED": True,
    }


@contextmanager
def _scratch_database(directory: Path, say: Callable[[str], None]) -> Iterator[None]:
    """A database as Django's test runner makes one, under a name of its own."""
    name = f"{PREFIX}_{secrets.token_hex(6)}"
    if not is_postgres():
        name = str(directory / "benchmark.sqlite3")
    say(f"making the database {name}")
    real = connection.settings_dict["NAME"]
    test = connection.settings_dict["TEST"]
    before, age = test["NAME"], connection.settings_dict["CONN_MAX_AGE"]
    test["NAME"] = name
    # One connection from first to last: it is its backend whose time is read.
    connection.settings_dict["CONN_MAX_AGE"] = None
    try:
        try:
            connection.creation.create_test_db(
                verbosity=0, autoclobber=True, serialize=False
            )
            _settle()
            yield
        finally:
            if connection.settings_dict["NAME"] != real:
                _send_others_away()
                connection.creation.destroy_test_db(real, verbosity=0)
    finally:
        test["NAME"] = before
        connection.settings_dict["CONN_MAX_AGE"] = age


def _settle() -> None:
    """Keep all work of a statement in the backend whose time is read."""
    if is_postgres():
        with connection.cursor() as cursor:
            name = connection.ops.quote_name(connection.settings_dict["NAME"])
            cursor.execute(
                f"ALTER DATABASE {name} SET max_parallel_workers_per_gather = 0"
            )
        connection.close()


def _send_others_away() -> None:
    """End backends of processes that were killed: they would keep the database."""
    if is_postgres():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
