"""SQLite has one writer at a time: worker, web and commands write, and nobody fails."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.fixtures import wait_for
from tests.test_up import HEAL_SECONDS, LESSONS, Up

pytestmark = pytest.mark.slow

LANGUAGES = ["en", "ar", "fr", "de", "es", "it", "pt", "nl", "sw", "am", "tr", "so"]
WRITE = "/api/admin/batch-jobs/translation"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path)
    yield running
    running.end()


def at_once(*work) -> list[BaseException]:
    """Run these in threads that start together; what went wrong in any."""
    trouble: list[BaseException] = []
    ready = threading.Barrier(len(work))

    def run(one) -> None:
        try:
            ready.wait(10)
            one()
        except BaseException as err:
            trouble.append(err)

    threads = [threading.Thread(target=run, args=[one]) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    return trouble


def test_worker_web_and_commands_write_at_once_and_the_database_is_never_locked(up):
    up.manage("import_content", "lessons", str(LESSONS))
    made = up.manage("create_api_key", "robot", "--scopes", "read,submit", "--json")
    key = json.loads(made)["key"]

    def post(languages: list[str]) -> None:
        for language in languages:
            for limit in (1, 4, 12):
                asked = {"languages": [language], "limit": limit}
                up.post(WRITE, asked, key=key)  # raises for any error

    def command(languages: list[str]) -> None:
        for language in languages:
            up.manage("run_workload", "translation", "--language", language)
            up.manage("process_batches")

    trouble = at_once(
        *[lambda n=n: post(LANGUAGES[n::4]) for n in range(4)],
        lambda: command(LANGUAGES[:3]),
        lambda: command(LANGUAGES[3:6]),
    )

    assert trouble == []
    wait_for(up.is_done, seconds=3 * HEAL_SECONDS)
    assert json.loads(up.manage("recount", "--check", "--json")) == {"differences": []}
    said = up.log.read_text()
    assert "database is locked" not in said
    assert "Traceback" not in said
