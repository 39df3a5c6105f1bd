"""`manage.py up` on a terminal: one page of questions, from nothing to a first run."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sandbox.fixtures import running_sandbox
from tests.test_up import ROOT, free_port

pytestmark = pytest.mark.slow

DEADLINE_SECONDS = 60


class Terminal:
    """`up` on a terminal of its own, and what it has written there."""

    def __init__(self, data: Path, **env: str) -> None:
        given = {k: v for k, v in os.environ.items() if "OPENAI" not in k}
        given |= {
            "DATA_DIR": str(data),
            "SECRET_KEY": "only-for-tests",
            "DEBUG": "true",
            "DATABASE_URL": "",
            "ENV_FILE": os.devnull,
            "BATCHSITE_APPS": "",
            "DJANGO_SETTINGS_MODULE": "batchsite.settings",
            **env,
        }
        command = [sys.executable, "manage.py", "up", f"--port={free_port()}"]
        self.end, other = pty.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=given,
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)
        self.text = ""

    def until(self, words: str) -> str:
        """Wait for words, and return what was written since the last ones."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while words not in self.text:
            assert time.monotonic() < deadline, f"no {words!r} in:\n{self.text}"
            if select.select([self.end], [], [], 0.5)[0]:
                try:
                    self.text += os.read(self.end, 4096).decode(errors="replace")
                except OSError:  # the terminal is closed: the program ended
                    assert words in self.text, self.text
        said, self.text = self.text.split(words, 1)
        return said + words

    def answer(self, question: str, text: str = "") -> None:
        self.until(question)
        os.write(self.end, f"{text}\n".encode())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(DEADLINE_SECONDS)
        os.close(self.end)
        return status


def test_from_nothing_to_a_first_run_with_a_key_and_a_cap(tmp_path: Path) -> None:
    with running_sandbox("--api-key=right", "--responder=sample") as provider:
        up = Terminal(
            tmp_path, OPENAI_API_KEY="right", OPENAI_BASE_URL=f"{provider.url}"
        )
        up.until("The provider's key works.")
        up.answer("Name of the administrator [admin]: ", "amina")
        up.answer("Password (not shown): ", "short")
        up.until("This password is too short")
        up.answer("Password (not shown): ", "kalsooni99x")
        up.answer("The same again: ", "kalsooni99x")
        up.answer("in dollars [5]: ", "cheap")
        up.until("'cheap' is no amount of dollars")
        up.answer("in dollars [5]: ", "12.50")
        up.answer("Load 12 sample lessons? [Y/n]: ", "y")
        up.answer("72 requests, at most $0.0153? [Y/n]: ", "y")
        up.until("Run 1 is started.")
        up.until("[Batch API] Submitted job 1")

        assert provider.ledger()["batches"] == 1
        assert up.stop() == 0


def test_a_wrong_key_ends_the_start_with_what_to_do(tmp_path: Path) -> None:
    with running_sandbox("--api-key=right") as provider:
        up = Terminal(
            tmp_path, OPENAI_API_KEY="wrong", OPENAI_BASE_URL=f"{provider.url}"
        )
        up.until("Check the key (OPENAI_API_KEY)")
        up.answer("Go on all the same? What is sent waits. [y/N]: ")
        up.until("Nothing was started.")

        assert up.wait() == 1
