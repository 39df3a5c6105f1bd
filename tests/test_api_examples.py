"""docs/api.md as a reader runs it: in a shell and in Python, on a real server."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, clean_environment, free_port, manage
from tests.sandbox.fixtures import wait_for

pytestmark = pytest.mark.slow

TEXT = (ROOT / "docs" / "api.md").read_text()
SHELL, PYTHON = (
    re.findall(rf"^```{name}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    for name in ("sh", "python")
)
DEFAULT_SITE = "http://127.0.0.1:8000"
# What the examples speak of: three lessons, one analysed chat, and whose key it is.
ROWS = """
from django.contrib.auth.models import User
from translations.chats.judging import without_model
from translations.chats.models import ChatSession, Source
from translations.chats.storing import store_analyses
from translations.chats.taxonomies import ACADEMY
from translations.lessons.models import Course, Lesson

User.objects.create_user("amina")
course = Course.objects.create(external_id="waalidnimo", title="Waalidnimo")
for number in range(3):
    Lesson.objects.create(
        course=course, external_id=f"lesson-{number}", title=f"Casharka {number}"
    )
chat = ChatSession.objects.create(
    external_id="chat-0", source=Source.API, has_transcript=True
)
judged = without_model(ACADEMY, source_hash="", language="und")
store_analyses([(chat.pk, judged)])
"""
# Notes what each call was answered with: curl itself ends well for errors too.
NOTING = """
set -euo pipefail
curl() {
    command curl --dump-header "$HEADERS" "$@" || return
    printf '%s %s\\n' "$(head -n1 "$HEADERS" | cut -d' ' -f2)" "$*" >> "$STATUSES"
    printf '\\n'
}
"""
# A job that has ended cannot be cancelled, and a run in which nothing failed cannot be
# retried: which it is depends on how far the worker was.
MAY_BE_TOO_LATE = ("/cancel", "/retry", "/pause", "/resume", "/priority", "-X DELETE")
MAY_BE_TOO_LATE += ("/process-results", "/check-status", "/steering")


class Served:
    """A server with its worker and the sandbox, and the environment of a reader."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.site = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.env = clean_environment(
            DATA_DIR=str(folder / "data"),
            SECRET_KEY="only-for-tests",
            DEBUG="true",
            OPENAI_WEBHOOK_SECRET="whsec_b25seS1mb3ItdGVzdHM=",
            SANDBOX_URL=f"http://127.0.0.1:{free_port()}/v1",
            HEADERS=str(folder / "headers"),
            STATUSES=str(folder / "statuses"),
        )

    def run(self, *command: str, text: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command],
            input=text,
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def is_ready(self) -> bool:
        asked = self.run("curl", "-sS", f"{self.site}/api/v1/ai/batch/stats", text="")
        return "not_authenticated" in asked.stdout


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("served"))
    command = ["manage.py", "up", "--no-input", f"--port={made.port}"]
    assert manage("migrate", "-v0", env=made.env).returncode == 0
    rows = manage("shell", "-v0", "-c", ROWS, env=made.env)
    assert rows.returncode == 0, rows.stderr
    with (made.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=made.env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(made.is_ready, seconds=90)
        yield made
    finally:
        process.terminate()
        process.wait(60)


def test_all_examples_run_one_after_the_other(served):
    blocks = [
        block.replace(DEFAULT_SITE, served.site)
        .replace(".venv/bin/python", sys.executable)
        .replace("python3", sys.executable)
        for block in SHELL
    ]
    python = served.folder / "examples.py"
    python.write_text("\n".join(PYTHON))

    done = served.run(
        "bash", text="\n".join([NOTING, *blocks, f"{sys.executable} {python}"])
    )

    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    answered = (served.folder / "statuses").read_text().splitlines()
    assert len(answered) > 45
    for line in answered:
        status = line.partition(" ")[0]
        fits = status.startswith("2")
        late = status == "409" and any(path in line for path in MAY_BE_TOO_LATE)
        assert fits or late, line
    assert "All of it holds." in done.stdout
    assert "{'received': True, 'new': True}" in done.stdout
