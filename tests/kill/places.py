"""A database for each round: a copy of one that was prepared once."""

import shutil
import sqlite3
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.databases import PREFIX, PostgresServer


class Databases(ABC):
    """Databases by name; `template` is the one that is prepared and copied."""

    template: str

    @abstractmethod
    def copy(self, directory: Path) -> str:
        """Copy the template, on which nobody works now; the copy's name."""

    @abstractmethod
    def drop(self, name: str) -> None: ...


class SqliteDatabases(Databases):
    def __init__(self, directory: Path) -> None:
        self.template = str(directory / "template.sqlite3")

    def copy(self, directory: Path) -> str:
        name = directory / "batchsite.sqlite3"
        with (
            closing(sqlite3.connect(self.template)) as source,
            closing(sqlite3.connect(name)) as target,
        ):
            source.backup(target)
        return str(name)

    def drop(self, name: str) -> None:
        """It goes with its directory."""


class PostgresDatabases(Databases):
    def __init__(self, server: PostgresServer, template: str) -> None:
        self.server, self.template = server, template

    def copy(self, directory: Path) -> str:
        name = f"{PREFIX}_kill_{uuid.uuid4().hex[:12]}"
        self._run("CREATE DATABASE {} TEMPLATE {}", name, self.template)
        return name

    def drop(self, name: str) -> None:
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _run(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def copied(databases: Databases) -> Iterator[tuple[str, Path]]:
    """A copy of the template, and a directory for what lies beside it."""
    directory = Path(tempfile.mkdtemp(prefix="kill-"))
    name = databases.copy(directory)
    try:
        yield name, directory
    finally:
        databases.drop(name)
        shutil.rmtree(directory)
