"""`manage.py benchmark` as an operator starts it: its figures, and what it leaves."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from tests.processes import ROOT, clean_environment, manage

pytestmark = pytest.mark.slow  # it loads what detects languages, in many processes

LINES = 300
ENDED_SECONDS = 60
BOTH = {
    *("P3", "P4", "P4-flat", "P4-checks", "P5", "P5-memory", "P6", "P9"),
    *("P10", "P11", "P11-uuid", "P11-memory", "P12", "P12-lock"),
}
FIGURES = {
    "sqlite": BOTH | {"P2", "P2b"},
    "postgres": BOTH | {"P1", "P1b", "P13"},
}
MADE = re.compile(r"making the database (\S+)")


@pytest.fixture(scope="module")
def database(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--database")


@pytest.fixture(scope="module")
def environment(
    request: pytest.FixtureRequest,
    database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """An installation of its own, and a folder for temporary files that is empty."""
    place = tmp_path_factory.mktemp("benchmark")
    (place / "tmp").mkdir()
    variables = {
        "SECRET_KEY": "only-for-tests",
        "DEBUG": "true",
        "DATA_DIR": str(place / "data"),
        "TMPDIR": str(place / "tmp"),
    }
    if database == "postgres":
        variables["DATABASE_URL"] = request.getfixturevalue("postgres_url")
    return clean_environment(**variables)


@pytest.fixture(scope="module")
def run(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """One run of everything, on few lines."""
    done = manage(
        "benchmark", f"--lines={LINES}", "--json", env=environment, timeout_seconds=900
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def printed(run: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    return json.loads(run.stdout.splitlines()[-1])


def what_is_left(environment: dict[str, str], stderr: str) -> list[str]:
    """Files and the database that a run should have taken away."""
    made = MADE.search(stderr)
    assert made, stderr
    left = [path.name for path in Path(environment["TMPDIR"]).iterdir()]
    left += [path.name for path in Path(environment["DATA_DIR"]).glob("*.sqlite3*")]
    if url := environment.get("DATABASE_URL"):
        with psycopg.connect(url) as connection:
            query = "SELECT datname FROM pg_database WHERE datname = %s"
            left += [name for (name,) in connection.execute(query, [made[1]])]
    return left


def test_every_figure_of_this_database_is_printed(printed, database):
    assert set(printed["targets"]) == FIGURES[database]
    assert printed["machine"]["lines"] == LINES
    assert printed["machine"]["cores"] >= 1
    assert all(printed["machine"][name] for name in ("cpu", "python", "database"))


def test_a_target_is_met_exactly_when_its_value_keeps_the_bound(printed):
    for key, figure in printed["targets"].items():
        value, target = figure["value"], figure["target"]

        met = value >= target if key == "P3" else value <= target
        assert figure["met"] is met, key
        assert figure["unit"]
        assert value >= 0


def test_the_table_for_people_shows_the_same_figures(run, printed):
    for key, figure in printed["targets"].items():
        row = re.search(rf"^{key} .*$", run.stdout, re.MULTILINE)

        assert row, key
        assert f"{figure['value']:.2f} {figure['unit']}" in row[0]
        assert ("MISSED" in row[0]) is not figure["met"]


def test_nothing_is_left_behind(run, environment):
    assert what_is_left(environment, run.stderr) == []


def test_nothing_is_left_behind_by_a_run_that_is_told_to_stop(environment):
    with subprocess.Popen(
        [sys.executable, "manage.py", "benchmark", "--lines=50000"],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        begun = [process.stderr.readline()]
        while "making 50,000 items" not in begun[-1]:
            assert begun[-1], "".join(begun)
            begun.append(process.stderr.readline())
        process.terminate()
        process.communicate(timeout=ENDED_SECONDS)

    assert process.returncode == 128 + 15
    assert what_is_left(environment, "".join(begun)) == []


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--lines=7", "give 60 to 50000"),
        ("--lines=50001", "give 60 to 50000"),
        ("--only=P7", "P7: this database has P"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_can(option, said):
    with pytest.raises(CommandError, match=said):
        call_command("benchmark", option)
