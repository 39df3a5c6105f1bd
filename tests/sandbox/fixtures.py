"""A real sandbox process for tests, and the client that talks to it.

`running_sandbox()` starts `manage.py sandbox` on a free port and waits until it says
that it is ready; whatever happens, the process is gone when the block ends.
"""

import json
import os
import queue
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 30.0
STOP_SECONDS = 15.0
FINAL = ("completed", "failed", "expired", "cancelled")


class SandboxProcess:
    """`manage.py sandbox` with the given flags; `url` is the client's base URL."""

    def __init__(self, directory: Path, *flags: str, env: dict[str, str] | None = None):
        self.directory = directory
        self.flags = list(flags)
        self.env = env or {}
        self.port = 0
        self.process: subprocess.Popen[str] | None = None
        self.log: list[str] = []
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Start on the port used before (a free one the first time) and wait."""
        command = [
            sys.executable,
            str(ROOT / "manage.py"),
            "sandbox",
            f"--port={self.port}",
            f"--dir={self.directory}",
            *self.flags,
        ]
        env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "batchsite.settings",
            "SECRET_KEY": "test-only",
            "PYTHONUNBUFFERED": "1",
            **self.env,
        }
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # Read to the end by a thread of its own, so that the pipe never fills up.
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(
            target=self._read, args=(self.process, lines), daemon=True
        ).start()
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                line = lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                self.kill()
                raise RuntimeError("the sandbox did not start:\n" + "".join(self.log))
            if line.startswith("Sandbox ready at "):
                self.port = int(line.rsplit(":", 1)[1].split("/")[0])
                return

    def _read(
        self, process: "subprocess.Popen[str]", lines: "queue.Queue[str | None]"
    ) -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            for line in stream:
                self.log.append(line)
                lines.put(line)
        lines.put(None)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """SIGKILL, as a crash would."""
        return self._end(signal.SIGKILL)

    def restart(self, *flags: str) -> None:
        """End it if it runs, and start it again on the same port and directory."""
        self.stop()
        if flags:
            self.flags = list(flags)
        self.start()

    def _end(self, number: int) -> int:
        process = self.process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.process = None
        return process.returncode

    # --- what only the sandbox offers -------------------------------------------------

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """A call of `/_sandbox/…`; the decoded answer."""
        request = urllib.request.Request(  # noqa: S310
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as err:
            with err:
                said = json.load(err)["error"]["message"]
            raise ValueError(said) from err

    def faults(self, **wanted: Any) -> dict[str, Any]:
        """Switch faults on or off (None, False or 0); which ones are on then."""
        if not wanted:
            return dict(self.call("GET", "/_sandbox/faults"))
        return dict(self.call("POST", "/_sandbox/faults", wanted))

    def clear_faults(self) -> None:
        self.call("DELETE", "/_sandbox/faults")

    def run_clock(self, running: bool) -> float:
        """Let the time that batches take run or stand still; what it is then."""
        return float(self.call("POST", "/_sandbox/clock", {"running": running})["now"])

    def ledger(self) -> dict[str, Any]:
        return dict(self.call("GET", "/_sandbox/ledger"))

    # --- the official client ----------------------------------------------------------

    def client(self, **options: Any) -> Any:
        """An `openai.OpenAI` for this sandbox; without retries unless asked for."""
        from openai import DefaultHttpxClient, OpenAI

        options = {"api_key": "sk-test", "max_retries": 0, "timeout": 20, **options}
        # Reading the machine's certificates anew would take 30 ms a client.
        http_client = DefaultHttpxClient(verify=_certificates())
        return OpenAI(base_url=self.url, http_client=http_client, **options)


@cache
def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context()


@contextmanager
def running_sandbox(
    *flags: str, directory: Path | None = None, env: dict[str, str] | None = None
) -> Iterator[SandboxProcess]:
    """A sandbox with these flags; batches take no longer than their work by default."""
    with tempfile.TemporaryDirectory(prefix="sandbox-") as made:
        chosen = ("--latency=0", "--responder=pseudo", *flags)
        sandbox = SandboxProcess(directory or Path(made), *chosen, env=env)
        try:
            yield sandbox
        finally:
            sandbox.kill()


def wait_for(condition: Callable[[], Any], *, seconds: float = 20.0) -> Any:
    """The first true value of the condition; fails the test after so long."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing came of it within {seconds} s")
        pause.wait(0.02)


def chat_line(custom_id: str, text: str = "Hello", **body: Any) -> dict[str, Any]:
    """A request line for chat completions."""
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": text}],
            "max_completion_tokens": 200,
            **body,
        },
    }


def as_jsonl(lines: list[Any]) -> bytes:
    """Lines of a file; bytes go in as they are."""
    return b"".join(
        line if isinstance(line, bytes) else orjson.dumps(line) + b"\n"
        for line in lines
    )


def upload(client: Any, lines: list[Any], **options: Any) -> Any:
    """Upload request lines as `requests.jsonl`."""
    return client.files.create(
        file=("requests.jsonl", as_jsonl(lines)), purpose="batch", **options
    )


def create(client: Any, lines: list[Any], **options: Any) -> Any:
    """Upload lines and make a batch of them."""
    given = {
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "input_file_id": upload(client, lines).id,
    }
    return client.batches.create(**{**given, **options})


def finished(client: Any, batch_id: str, *, seconds: float = 20.0) -> Any:
    """The batch once it is final."""

    def look() -> Any:
        batch = client.batches.retrieve(batch_id)
        return batch if batch.status in FINAL else None

    return wait_for(look, seconds=seconds)


def run(client: Any, lines: list[Any], **options: Any) -> Any:
    """Upload lines, make a batch of them, and wait for its end."""
    return finished(client, create(client, lines, **options).id)


def results(client: Any, file_id: str | None) -> list[dict[str, Any]]:
    """The lines of a result file; [] for no file."""
    if not file_id:
        return []
    content = client.files.content(file_id).content
    return [orjson.loads(line) for line in content.split(b"\n") if line.strip()]
