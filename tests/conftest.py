"""The databases of the test run, and what every test may ask for."""

import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps

from tests.databases import (
    PREFIX,
    PostgresServer,
    django_url,
    find_postgres,
    new_database,
)
from tests.receiver import Receiver, running_receiver
from tests.sandbox.fixtures import SandboxProcess, running_sandbox


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=("sqlite", "postgres"),
        default="sqlite",
        help="the database that the tests run on",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Point Django at the chosen database before anything connects."""
    if config.getoption("--database") != "postgres":
        return
    import environ
    from django.conf import settings
    from django.db import connections

    server = find_postgres()
    config.stash[SERVER] = server
    place = environ.Env.db_url_config(django_url(server.url, "postgres"))
    settings.DATABASES["default"].clear()
    # A name of its own: two runs of the tests may share a server.
    name = f"{PREFIX}_{uuid.uuid4().hex[:12]}"
    settings.DATABASES["default"].update(place, TEST={"NAME": name})
    connections.configure_settings(settings.DATABASES)
    with suppress(AttributeError):
        del connections["default"]


def pytest_report_header(config: pytest.Config) -> str:
    server = config.stash.get(SERVER, None)
    return f"database: {server.origin if server else 'SQLite'}"


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """What rests on PostgreSQL is deselected on SQLite, and said so."""
    if config.getoption("--database") == "postgres":
        return
    left = [item for item in items if item.get_closest_marker("postgres")]
    items[:] = [item for item in items if not item.get_closest_marker("postgres")]
    config.hook.pytest_deselected(items=left)


SERVER: pytest.StashKey[PostgresServer] = pytest.StashKey()


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A new PostgreSQL database for processes that the test starts, as DATABASE_URL."""
    server = request.config.stash.get(SERVER, None) or find_postgres()
    with new_database(server) as url:
        yield url


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[SandboxProcess]:
    """One sandbox for all tests of the engine; answers at once."""
    with running_sandbox("--responder=sample") as process:
        yield process


@pytest.fixture
def sandbox(
    sandbox_process: SandboxProcess,
    settings: Any,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[SandboxProcess]:
    """The sandbox as the engine's provider, without faults; the spool is the test's.

    Each test is an installation of its own: the sandbox keeps what earlier ones sent.
    """
    if request.node.get_closest_marker("django_db"):
        Installation = apps.get_model("batches", "Installation")
        Installation.objects.all().delete()
    settings.SANDBOX_URL = sandbox_process.url
    settings.SPOOL_DIR = tmp_path / "spool"
    yield sandbox_process
    if sandbox_process.process is None:
        sandbox_process.start()
    sandbox_process.clear_faults()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody's server that webhooks are delivered to."""
    with running_receiver() as server:
        yield server
