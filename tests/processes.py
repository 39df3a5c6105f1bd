"""Starting the product's own commands as a person would: processes, nothing shared.

The environment holds what a test gives and no more, so that no `.env`, key or data of
the developer's takes part.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What a process needs from this machine, whoever runs the tests.
MACHINE = ("PATH", "HOME", "TMPDIR", "LANG", "SYSTEMROOT")


def clean_environment(**variables: str) -> dict[str, str]:
    """The machine's own variables, no `.env` file, and these."""
    machine = {name: os.environ[name] for name in MACHINE if name in os.environ}
    return {**machine, "ENV_FILE": os.devnull, **variables}


def manage(
    *arguments: str,
    env: Mapping[str, str],
    root: Path = ROOT,
    timeout_seconds: float = 120,
) -> "subprocess.CompletedProcess[str]":
    """Run `manage.py ARGUMENTS` to its end; never raises for its exit status."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )


def copy_of_the_repository(to: Path) -> Path:
    """The sources as they are, without what .gitignore names: data, caches, venv."""
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    left_out = shutil.ignore_patterns(".git", *ignored)
    return Path(shutil.copytree(ROOT, to, ignore=left_out))


def free_port() -> int:
    """A port that nothing listens on, a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
