"""`process_batches --until-done`, killed twenty times in a row, then left to finish."""

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.databases import find_postgres, new_database
from tests.kill.full import worker_environment
from tests.kill.ledger import compare, read_ledger
from tests.processes import ROOT, manage
from tests.sandbox.fixtures import SandboxProcess, running_sandbox

KILLS = 20

LETTERS = 20  # brought before each kill
LANGUAGES = ("ar", "so")  # those of the workload `letters`
SPOKEN_SECONDS = 30.0
FINISH_SECONDS = 300.0

pytestmark = pytest.mark.slow


@pytest.fixture
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox() as process:
        process.faults(expire_partial={"share": 0.5, "times": 3}, duplicate_lines=0.05)
        yield process


@pytest.fixture(params=["sqlite", "postgres"])
def env(
    request: pytest.FixtureRequest, sandbox: SandboxProcess, tmp_path: Path
) -> Iterator[dict[str, str]]:
    """The environment of commands on a database with letters, and a run of them."""
    is_sqlite = request.param == "sqlite"
    made = nullcontext("") if is_sqlite else new_database(find_postgres())
    with made as url:
        env = worker_environment(
            DATA_DIR=str(tmp_path), SANDBOX_URL=sandbox.url, DATABASE_URL=url
        )
        done = manage("migrate", "--run-syncdb", "--verbosity=0", env=env)
        assert done.returncode == 0, done.stderr
        yield env


def test_twenty_kills_in_a_row_lose_and_repeat_nothing(env, sandbox, tmp_path):
    moments = random.Random(20)  # noqa: S311

    for number in range(KILLS):
        bring_letters(number, env, tmp_path)  # else all is done before the last kill
        kill_when_at_work(env, after_seconds=moments.uniform(0, 0.2))
    finished = manage(
        "process_batches", "--until-done", env=env, timeout_seconds=FINISH_SECONDS
    )

    assert finished.returncode == 0, finished.stderr
    replies = rows("letters.reply", env)
    assert Counter((row["object_id"], row["target"]) for row in replies) == Counter(
        (str(n), language)
        for n in range(1, KILLS * LETTERS + 1)
        for language in LANGUAGES
    )
    recounted = manage("recount", "--check", env=env)
    assert recounted.returncode == 0, recounted.stdout
    ledger = read_ledger(sandbox)
    attempts = attempts_and_jobs(env)
    answered = [attempt for attempt in attempts["attempts"] if attempt[3] == 200]
    assert sandbox.ledger()["lines"] == len(answered) == len(replies)
    assert compare(ledger, attempts) == []


def bring_letters(number: int, env: dict[str, str], directory: Path) -> None:
    """Further letters, and a run about them."""
    keys = range(number * LETTERS + 1, (number + 1) * LETTERS + 1)
    letters = [
        {"model": "letters.letter", "pk": n, "fields": {"text": f"Letter {n}."}}
        for n in keys
    ]
    path = directory / "letters.json"
    path.write_text(json.dumps(letters))
    for command in (["loaddata", str(path)], ["run_workload", "letters"]):
        done = manage(*command, env=env)
        assert done.returncode == 0, done.stderr


def kill_when_at_work(env: dict[str, str], *, after_seconds: float) -> None:
    """Start the command; SIGKILL so long after the first thing that it says."""
    worker = subprocess.Popen(
        [sys.executable, "manage.py", "process_batches", "--until-done"],
        cwd=ROOT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert worker.stderr is not None
    with worker.stderr as stderr:
        too_late = threading.Timer(SPOKEN_SECONDS, worker.kill)
        too_late.start()
        said = stderr.readline()
        too_late.cancel()
        try:
            worker.wait(after_seconds)
        except subprocess.TimeoutExpired:
            worker.kill()
        assert said, f"the command said nothing for {SPOKEN_SECONDS:.0f} s"
        assert worker.wait() == -9, stderr.read().decode()


def rows(model: str, env: dict[str, str]) -> list[dict[str, Any]]:
    """All rows of a model, with their keys as `pk`."""
    dumped = manage("dumpdata", model, env=env)
    assert dumped.returncode == 0, dumped.stderr
    return [{"pk": row["pk"], **row["fields"]} for row in json.loads(dumped.stdout)]


def attempts_and_jobs(env: dict[str, str]) -> dict[str, Any]:
    """Jobs and attempts as `tests.kill.ledger.compare` takes them."""
    jobs = {job["pk"]: job for job in rows("batches.batchjob", env)}
    attempts = sorted(rows("batches.itemattempt", env), key=lambda row: row["pk"])
    return {
        "jobs": [
            [pk, job["status"], job["provider_batch_id"]] for pk, job in jobs.items()
        ],
        "attempts": [
            [
                str(attempt["item"]),
                jobs[attempt["job"]]["provider_batch_id"],
                attempt["outcome"],
                attempt["http_status"],
                attempt["input_tokens"],
                attempt["cached_tokens"],
                attempt["output_tokens"],
            ]
            for attempt in attempts
        ],
    }
