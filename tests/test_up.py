"""`manage.py up` as an operator runs it: whatever of it dies, the work ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener, urlopen

import psutil
import pytest

from tests.databases import find_postgres, new_database
from tests.sandbox.fixtures import wait_for

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
LESSONS = ROOT / "translations" / "lessons" / "content" / "lessons.jsonl"
HEAL_SECONDS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Up:
    """A running `up` with its own data, sandbox and ports."""

    def __init__(self, data: Path, database_url: str = "") -> None:
        self.port = free_port()
        self.env = {
            **{k: v for k, v in os.environ.items() if "OPENAI" not in k},
            "DATA_DIR": str(data),
            "SECRET_KEY": "only-for-tests",
            "DEBUG": "true",
            "DATABASE_URL": database_url,
            "SANDBOX_URL": f"http://127.0.0.1:{free_port()}/v1",
            "DJANGO_SETTINGS_MODULE": "batchsite.settings",
            "BATCHSITE_APPS": "",
        }
        self.log = data / "up.log"
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "manage.py",
                    "up",
                    "--no-input",
                    f"--port={self.port}",
                ],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(self.is_ready, seconds=HEAL_SECONDS)

    def is_ready(self) -> bool:
        names = {name for name, _ in self.processes()}
        return {"web", "worker", "sandbox"} <= names and len(self.processes()) >= 9

    def processes(self) -> list[tuple[str, psutil.Process]]:
        """Every process below `up` with the name of its group, leaders first."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        found = []
        for child in children:
            try:
                line, status = " ".join(child.cmdline()), child.status()
            except psutil.NoSuchProcess:
                continue  # it ended while we looked; the others are still there
            for name, mark in (
                ("web", "gunicorn"),
                ("worker", "qcluster"),
                ("sandbox", "sandbox"),
            ):
                if mark in line and status != psutil.STATUS_ZOMBIE:
                    found.append((name, child))
        return found

    def manage(self, *args: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *args],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def post(self, path: str, body: object, *, key: str) -> dict[str, object]:
        request = Request(  # noqa: S310
            f"http://127.0.0.1:{self.port}{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "X-API-Key": key},
        )
        with urlopen(request, timeout=60) as answer:  # noqa: S310
            return dict(json.load(answer))

    def ask_for_work(self, language: str) -> str:
        """A run that only the worker goes on with; its public id."""
        self.manage("shell", "-v0", "-c", ASK.format(language=language))
        return language

    def is_done(self) -> bool:
        open_ = self.manage("shell", "-v0", "-c", OPEN)
        return open_.strip() == "0"

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


ASK = """
from batches.services.collection import start_run
start_run("translation", {{"languages": ["{language}"]}}, trigger="api")
"""
OPEN = """
from batches.models import Run
print(Run.objects.unfinished().count())
"""


MAKE_AMINA = """
from django.contrib.auth.models import User
User.objects.create_superuser("amina", password="kalsooni")
"""
NIGHT_HAS_COME = """
from django.utils import timezone
from django_q.models import Schedule
Schedule.objects.filter(name__contains="nightly").update(next_run=timezone.now())
"""
RUNS = """
from batches.models import Run
from batches.services.lifecycle import run_figures
for run in Run.objects.order_by("trigger"):
    figures = run_figures(run)
    answered = figures.complete - figures.follow_ups  # without repairs
    print(run.trigger, run.status, answered)
"""


@pytest.fixture(params=["sqlite", "postgres"])
def up(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Up]:
    with ExitStack() as stack:
        url = ""
        if request.param == "postgres":
            url = stack.enter_context(new_database(find_postgres()))
        yield from _up(tmp_path, url)


def _up(tmp_path: Path, database_url: str) -> Iterator[Up]:
    running = Up(tmp_path, database_url)
    yield running
    if running.process.poll() is None:
        running.end()
    for process in psutil.process_iter():
        try:
            if str(tmp_path) in process.environ().get("DATA_DIR", ""):
                process.kill()
        except psutil.Error:
            continue


def test_work_that_was_asked_for_ends_with_only_up_running(up: Up) -> None:
    up.manage("import_content", "lessons", str(LESSONS))
    up.ask_for_work("ar")

    wait_for(up.is_done, seconds=HEAL_SECONDS)

    assert json.loads(up.manage("recount", "--check", "--json")) == {"differences": []}
    assert "[CRON] Cron jobs scheduled" in up.log.read_text()


class Desk:
    """A person in the admin: a session, and forms as a browser sends them."""

    def __init__(self, up: Up) -> None:
        self.site = f"http://127.0.0.1:{up.port}"
        self.cookies = CookieJar()
        self.open = build_opener(HTTPCookieProcessor(self.cookies)).open
        up.manage("shell", "-v0", "-c", MAKE_AMINA)
        self.get("/admin/login/")
        asked = {"username": "amina", "password": "kalsooni", "next": "/admin/"}
        self.post("/admin/login/", asked)

    def get(self, path: str) -> str:
        with self.open(self.site + path, timeout=30) as page:
            return page.read().decode()

    def post(self, path: str, form: dict[str, object]) -> tuple[str, str]:
        """The address that it ended at, and the page."""
        token = next(c.value for c in self.cookies if c.name == "csrftoken")
        data = urlencode({"csrfmiddlewaretoken": token, **form}, doseq=True).encode()
        with self.open(self.site + path, data=data, timeout=60) as page:
            return page.url.removeprefix(self.site), page.read().decode()

    def translate_all(self, language: str) -> None:
        lessons = "/admin/translations_lessons/lesson/"
        keys = re.findall(r'name="_selected_action" value="(\d+)"', self.get(lessons))
        chosen = {"action": "translate", "index": 0, "_selected_action": keys}
        address, page = self.post(lessons, chosen)
        asked = {"languages": [], "other": language, "which": "missing"}
        for button in (
            "estimate",
            "start",
        ):  # another choice is priced before it starts
            hidden = dict(
                re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)
            )
            hidden.pop("csrfmiddlewaretoken")
            address, page = self.post(address, {**hidden, **asked, button: "1"})
        assert "is started: 36 requests" in page


def test_work_ends_alike_whoever_asked_for_it(up: Up) -> None:
    """In the admin, by API with a key, from a shell, and at night, clock moved on."""
    up.manage("import_content", "lessons", str(LESSONS))
    Desk(up).translate_all("fr")
    made = up.manage("create_api_key", "robot", "--scopes", "read,submit", "--json")
    answer = up.post(
        "/api/admin/batch-jobs/translation",
        {"limit": 12, "languages": ["en"]},
        key=json.loads(made)["key"],
    )
    up.manage("run_workload", "translation", "--language", "ar")
    up.manage("shell", "-v0", "-c", NIGHT_HAS_COME)

    assert answer["runId"]
    wait_for(
        lambda: up.manage("shell", "-v0", "-c", RUNS).count("schedule"), seconds=90
    )
    wait_for(up.is_done, seconds=HEAL_SECONDS)

    runs = [line.split() for line in up.manage("shell", "-v0", "-c", RUNS).splitlines()]
    assert [(trigger, status, done) for trigger, status, done in runs] == [
        ("admin", "completed", "36"),
        ("api", "completed", "36"),
        ("command", "completed", "36"),
        ("schedule", "completed", "0"),  # nothing was left to do
    ]
    assert json.loads(up.manage("recount", "--check", "--json")) == {"differences": []}


def test_whatever_process_is_killed_the_group_heals_and_the_work_ends(up: Up) -> None:
    up.manage("import_content", "lessons", str(LESSONS))
    wait_for(up.is_ready, seconds=HEAL_SECONDS)
    languages = iter(["en", "ar", "fr", "de", "es", "it", "pt", "nl", "sw", "am", "tr"])
    seen = set()
    while True:
        # one of each place: pids change as groups are restarted
        places = [
            (name, index, process)
            for name in ("worker", "web", "sandbox")
            for index, process in enumerate(
                process for group, process in up.processes() if group == name
            )
        ]
        left = [place for place in places if place[:2] not in seen]
        if not left:
            break
        name, index, process = left[0]
        seen.add((name, index))
        language, is_busy = next(languages), len(seen) % 2
        if is_busy:
            up.ask_for_work(language)
        process.kill()

        wait_for(up.is_ready, seconds=HEAL_SECONDS)
        if not is_busy:
            up.ask_for_work(language)
        wait_for(up.is_done, seconds=HEAL_SECONDS)

    assert len(seen) >= 9
    assert json.loads(up.manage("recount", "--check", "--json")) == {"differences": []}


def test_a_killed_up_leaves_no_orphan_and_the_next_one_goes_on(up: Up) -> None:
    up.manage("import_content", "lessons", str(LESSONS))
    below = [process for _, process in up.processes()]
    up.ask_for_work("en")

    up.process.kill()
    up.process.wait()

    gone, alive = psutil.wait_procs(below, timeout=HEAL_SECONDS)
    assert not alive
    up.start()
    wait_for(up.is_done, seconds=HEAL_SECONDS)


def test_it_ends_in_order_when_it_is_told_to(up: Up) -> None:
    below = [process for _, process in up.processes()]

    up.end()

    assert up.process.returncode == 0
    assert not [process for process in below if process.is_running()]
