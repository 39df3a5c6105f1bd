"""Many processes race for what a cap has left; the provider never bills more."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from batches.models.money import to_nanos
from batches.providers.pricing import rate_of
from tests.databases import find_postgres, new_database
from tests.kill.full import worker_environment
from tests.kill.test_twenty import rows
from tests.processes import ROOT, manage
from tests.sandbox.fixtures import SandboxProcess, running_sandbox, wait_for

MODEL = "o1-pro"  # the dearest there is, so that a dollar is soon gone
CAP_USD = 1
SKETCHES = 300
RACE_SECONDS = 240.0

pytestmark = pytest.mark.slow


@pytest.fixture
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox() as process:
        yield process


@pytest.fixture(params=[("sqlite", 4), ("postgres", 20)], ids=lambda param: param[0])
def racers(request: pytest.FixtureRequest) -> tuple[str, int]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def env(
    racers: tuple[str, int], sandbox: SandboxProcess, tmp_path: Path
) -> Iterator[dict[str, str]]:
    """The environment of commands under the cap, with a run that is too dear for it."""
    made = nullcontext("") if racers[0] == "sqlite" else new_database(find_postgres())
    with made as url:
        env = worker_environment(
            DATA_DIR=str(tmp_path),
            SANDBOX_URL=sandbox.url,
            DATABASE_URL=url,
            MONTHLY_CAP_USD=str(CAP_USD),
            PROVIDER_TIMEOUT_SECONDS="30",
        )
        run("migrate", "--run-syncdb", "--verbosity=0", env=env)
        sketches = [
            {
                "model": "gallery.sketch",
                "pk": f"sketch-{n}",
                "fields": {"title": f"The harbour at dawn, sketch {n}"},
            }
            for n in range(SKETCHES)
        ]
        path = tmp_path / "sketches.json"
        path.write_text(json.dumps(sketches))
        run("loaddata", str(path), env=env)
        yield env


def test_the_provider_never_bills_more_than_the_cap(racers, env, sandbox, tmp_path):
    # Uploads take their time, so that one can be killed in the middle of its own.
    sandbox.faults(slow={"seconds": 3.0, "times": 4, "on": ["files.create"]})
    log = tmp_path / "racers.log"
    run(
        "run_workload",
        "captions",
        "--kind=sketch",
        f"--model={MODEL}",
        env=env | {"BATCH_CREATION_ENABLED": "false"},
    )

    with log.open("ab") as out:
        processes = [
            subprocess.Popen(
                [sys.executable, "manage.py", "process_batches", "--until-done"],
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
            for _ in range(racers[1])
        ]
    try:
        killed = kill_one_that_reserved(processes, env)
        for process in processes:
            process.wait(RACE_SECONDS)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert killed in {process.pid for process in processes}
    run("process_batches", "--until-done", env=env, statuses=(0, 1))

    spent = billed_nanos(sandbox)
    assert 0.9 * to_nanos(CAP_USD) < spent <= to_nanos(CAP_USD)
    (asked,) = rows("batches.run", env)
    assert "the monthly cap of $1.00" in asked["waiting_reason"]
    assert 0 < len(rows("gallery.caption", env)) < SKETCHES

    run("process_batches", "--until-done", env=env | {"MONTHLY_CAP_USD": "1000"})

    captions = rows("gallery.caption", env)
    assert len({row["object_id"] for row in captions}) == len(captions) == SKETCHES
    run("recount", "--check", env=env)
    shares = rows("batches.jobshare", env)
    assert sum(share["cost_nanos"] for share in shares) == billed_nanos(sandbox)
    assert all(share["cost_nanos"] <= share["reserved_nanos"] for share in shares)


def run(*arguments: str, env: dict[str, str], statuses: tuple[int, ...] = (0,)) -> None:
    done = manage(*arguments, env=env, timeout_seconds=RACE_SECONDS)
    assert done.returncode in statuses, done.stdout + done.stderr


def kill_one_that_reserved(
    processes: list["subprocess.Popen[bytes]"], env: dict[str, str]
) -> int:
    """SIGKILL to the holder of a job that is paid for here and not sent; its pid."""
    found: dict[str, Any] = {}

    def is_there() -> bool:
        for job in rows("batches.batchjob", env):
            if job["status"] == "uploading" and job["create_sent_at"] is None:
                found.update(job)
                return True
        assert any(process.poll() is None for process in processes)
        return False

    wait_for(is_there, seconds=RACE_SECONDS)
    pid = int(found["lease_owner"].split(":")[1])
    os.kill(pid, signal.SIGKILL)
    return pid


def billed_nanos(sandbox: SandboxProcess) -> int:
    """What the provider's own ledger comes to at batch price."""
    rate = rate_of([], provider="sandbox", model=MODEL, at=datetime.now(UTC))
    lines = [
        line for some in sandbox.ledger()["by_custom_id"].values() for line in some
    ]
    return sum(
        rate.nanos(line["input_tokens"], line["cached_tokens"], line["output_tokens"])
        for line in lines
    )
