"""The product behind a real ASGI server, with a user who is not staff and their key."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.databases import find_postgres, new_database
from tests.processes import ROOT, clean_environment, free_port, manage
from tests.sandbox.fixtures import wait_for

BATCH = "/api/v1/ai/batch"
MAKE_KEY = """
from django.contrib.auth.models import User
from batches.services.api_keys import create_own_key
user = User.objects.create_user("amina", password="amina-secret")
print(create_own_key(user, "follower", ["read", "submit", "operate"])[1])
"""


@dataclass
class Site:
    """`gunicorn batchsite.asgi`, one process, and a key of a user's."""

    port: int
    env: dict[str, str]
    key: str

    def ask(self, method: str, path: str, body: Any = None, **more: str) -> Any:
        """Status and JSON of an answer."""
        with closing(self.connect(method, path, body, **more)) as connection:
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None

    def connect(
        self, method: str, path: str, body: Any = None, **more: str
    ) -> HTTPConnection:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {name.replace("_", "-"): text for name, text in more.items()}
        connection.request(
            method,
            path,
            body=None if body is None else json.dumps(body),
            headers={
                "X-API-Key": self.key,
                "Content-Type": "application/json",
                **headers,
            },
        )
        return connection


@contextmanager
def own_database(config: pytest.Config) -> Iterator[str]:
    """A new database of the kind that the tests run on, as a URL; '' is SQLite."""
    if config.getoption("--database") != "postgres":
        yield ""
        return
    with new_database(find_postgres()) as url:
        yield url


@contextmanager
def running_site(sandbox_url: str, directory: Path, database: str) -> Iterator[Site]:
    env = clean_environment(
        DATA_DIR=str(directory / "data"),
        SECRET_KEY="only-for-tests",
        DEBUG="true",
        SANDBOX_URL=sandbox_url,
        DATABASE_URL=database,
        DJANGO_SETTINGS_MODULE="batchsite.settings",
    )
    assert manage("migrate", "-v0", env=env).returncode == 0
    made = manage("shell", "-v0", "-c", MAKE_KEY, env=env)
    assert made.returncode == 0, made.stderr
    port = free_port()
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "batchsite.asgi"),
            *("--worker-class=asgi", f"--bind=127.0.0.1:{port}"),
            *("--log-level=warning", "--graceful-timeout=1"),
        ],
        cwd=ROOT,
        env={**os.environ, **env},
    )
    site = Site(port, env, made.stdout.strip())
    try:
        wait_for(lambda: answers(site), seconds=30)
        yield site
    finally:
        server.terminate()
        server.wait(30)


def answers(site: Site) -> bool:
    try:
        return bool(site.ask("GET", BATCH)[0] == 200)
    except OSError:
        return False
