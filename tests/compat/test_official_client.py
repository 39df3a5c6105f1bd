"""The official client of three majors, each in an environment of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandbox.fixtures import ROOT, running_sandbox
from tests.sandbox.wire_schema import check

# The last release of each major that this was run with; see docs/compatibility.md.
VERSIONS = ("1.109.1", "2.54.0", "3.54.0")
SCRIPT = Path(__file__).with_name("drive.py")


def python_with(version: str) -> Path:
    """The Python of an environment that holds this client; made once, under .local/."""
    environment = ROOT / ".local" / "compat" / f"openai-{version}"
    python = environment / "bin" / "python"
    if not (environment / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        install = [str(python), "-m", "pip", "install", "-q", f"openai=={version}"]
        subprocess.run(install, check=True)
        (environment / "complete").touch()
    return python


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_every_call_of_files_and_batches_works_and_validates(version):
    """OpenAI Batch API: all calls of the Files and Batches API, by the real client."""
    python = python_with(version)

    with running_sandbox("--latency=0.2") as sandbox:
        driven = subprocess.run(
            [str(python), str(SCRIPT), sandbox.url],
            capture_output=True,
            text=True,
            timeout=120,
        )

    assert driven.returncode == 0, driven.stderr
    shown = [json.loads(line) for line in driven.stdout.splitlines()]
    for row in shown:
        check(row["definition"], row["value"])
    assert {row["definition"] for row in shown} >= {
        "Batch",
        "BatchList",
        "BatchOutputLine",
        "ErrorResponse",
        "File",
        "FileDeleted",
        "FileList",
    }
