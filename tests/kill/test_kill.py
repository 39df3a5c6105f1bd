"""A few rounds of the kill test, always the same; `tests/kill/full.py` runs more."""

import subprocess
import sys

import pytest

from tests.processes import ROOT

SECONDS = 600
FEW_ROUNDS = ("--rounds=4", "--seed=7")


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_workers_that_die_anywhere_leave_what_an_undisturbed_one_leaves(database):
    command = ["-m", "tests.kill.full", f"--database={database}", *FEW_ROUNDS]

    ended = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 mismatches" in ended.stdout
