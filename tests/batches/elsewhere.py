"""Real databases that a test can copy, move and go back to, as an operator does.

A database is a file, or on PostgreSQL one of the server's. `inside` works on it in this
process, with the DATA_DIR of a machine.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections
from psycopg import sql

from batches.models import Installation
from tests.databases import PREFIX, PostgresServer


@contextmanager
def inside(database: Path | str, data_dir: Path) -> Iterator[None]:
    """Work on a database (a file's path, or a name on the server) from a machine."""
    there = connections["default"]
    here = there.copy()
    here.settings_dict["NAME"] = str(database)
    before = settings.DATA_DIR
    connections["default"], settings.DATA_DIR = here, data_dir
    ContentType.objects.clear_cache()
    try:
        yield
    finally:
        here.close()
        connections["default"], settings.DATA_DIR = there, before
        ContentType.objects.clear_cache()


def migrate(database: Path | str, data_dir: Path) -> None:
    with inside(database, data_dir):
        call_command("migrate", run_syncdb=True, verbosity=0)


def new_file(empty: Path, to: Path) -> Path:
    """A database as the migrations leave it, in a file: an installation of its own."""
    copy_file(empty, to)
    with inside(to, to.parent):
        Installation.objects.all().delete()
        Installation.objects.create()
    return to


def copy_file(database: Path, to: Path) -> Path:
    """A copy of a database that nothing has open, over what was there."""
    to.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(database, to))


def copy_on_server(server: PostgresServer, name: str, to: str) -> str:
    assert name.startswith(PREFIX)
    assert to.startswith(PREFIX)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(to), sql.Identifier(name)
            )
        )
    return to


def rename_on_server(server: PostgresServer, name: str, to: str) -> str:
    assert name.startswith(PREFIX)
    assert to.startswith(PREFIX)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                sql.Identifier(name), sql.Identifier(to)
            )
        )
    return to


def drop_on_server(server: PostgresServer, *names: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        for name in names:
            assert name.startswith(PREFIX)
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
                    sql.Identifier(name)
                )
            )
