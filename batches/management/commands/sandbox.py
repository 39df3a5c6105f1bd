"""`manage.py sandbox`: the embedded provider, a process of its own."""

import fcntl
import json
import os
import signal
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from batches.sandbox.app import Options, Sandbox
from batches.sandbox.faults import FaultError, Faults
from batches.sandbox.responders import Responder
from batches.sandbox.server import SandboxServer


class Command(BaseCommand):
    help = "Serve OpenAI's Files and Batches API from this machine, without a key."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
        add(
            "--port",
            type=int,
            default=8010,
            help="port to listen on; 0 takes a free one (%(default)s)",
        )
        add("--dir", help="where files and batches are kept (DATA_DIR/sandbox)")
        add(
            "--latency",
            type=float,
            default=1.0,
            metavar="SECONDS",
            help="how long a batch takes at least (%(default)s)",
        )
        add(
            "--validation",
            type=float,
            metavar="SECONDS",
            help="how much of that its validation takes (a fifth)",
        )
        add(
            "--responder",
            choices=("sample", "pseudo", "upstream"),
            default="sample",
            help="who answers: shipped answers, marked pseudo text, or another server"
            " (%(default)s)",
        )
        add(
            "--samples",
            action="append",
            default=[],
            metavar="DIR",
            help="directory of JSONL with shipped answers; repeatable (the `samples`"
            " folders of the installed apps)",
        )
        add(
            "--upstream",
            metavar="URL",
            help="base URL of an OpenAI-compatible server, as http://127.0.0.1:11434/v1",
        )
        add(
            "--upstream-key-env",
            metavar="NAME",
            help="environment variable that holds the upstream server's key (none)",
        )
        add(
            "--workers",
            type=int,
            default=5,
            help="lines that upstream works on at a time (%(default)s)",
        )
        add(
            "--fault",
            action="append",
            default=[],
            metavar="NAME[=VALUE]",
            help="go wrong in this way; the value is JSON; repeatable. GET"
            " /_sandbox/faults?all=1 lists them",
        )
        add(
            "--seed",
            type=int,
            default=0,
            help="of everything that looks like chance (%(default)s)",
        )
        add(
            "--token-limit",
            type=int,
            metavar="N",
            help="input tokens of a model that may be queued (no limit)",
        )
        add(
            "--api-key",
            metavar="KEY",
            help="the only key accepted (any); the list of processes shows it",
        )
        add(
            "--api-key-env",
            metavar="NAME",
            help="environment variable that holds the only key accepted",
        )

    def handle(self, *, host: str, port: int, **options: Any) -> None:
        directory = Path(options["dir"] or settings.DATA_DIR / "sandbox")
        faults = _faults(options["fault"], options["seed"])
        responder = _responder(options)
        try:
            server = SandboxServer((host, port))
        except OSError as err:
            raise CommandError(
                f"Port {port} of {host} cannot be used ({err.strerror}): stop what "
                "listens there, or choose another with --port (0 takes a free one)."
            ) from err
        with server, _only_sandbox_in(directory):
            sandbox = Sandbox(
                Options(
                    directory=directory,
                    latency_seconds=options["latency"],
                    validation_seconds=options["validation"],
                    seed=options["seed"],
                    token_limit=options["token_limit"],
                    api_key=options["api_key"] or _key_in("api-key-env", options),
                ),
                faults,
                responder,
            )
            self._serve(server, sandbox, host)

    def _serve(self, server: SandboxServer, sandbox: Sandbox, host: str) -> None:
        """Answer until SIGTERM or SIGINT, then end cleanly."""
        told_to_stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: told_to_stop.set())
        threading.Thread(target=server.serve, args=(sandbox,), daemon=True).start()
        sandbox.start()
        shown = f"[{host}]" if ":" in host else host
        self.stdout.write(f"Sandbox ready at http://{shown}:{server.server_port}/v1")
        self.stdout.flush()
        told_to_stop.wait()
        server.shutdown()
        sandbox.stop()


def _faults(given: list[str], seed: int) -> Faults:
    """The faults of the command line: `NAME` or `NAME=VALUE`, the value being JSON."""
    wanted: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        try:
            wanted[name] = json.loads(value) if separator else True
        except json.JSONDecodeError as err:
            raise CommandError(
                f"--fault {text}: the value must be JSON, as {name}=2 or "
                f"{name}='{{\"times\": 2}}'."
            ) from err
    faults = Faults(seed)
    try:
        faults.change(wanted)
    except FaultError as err:
        raise CommandError(f"--fault: {err}") from err
    return faults


def _responder(options: dict[str, Any]) -> Responder:
    if options["responder"] == "upstream":
        if not options["upstream"]:
            raise CommandError(
                "--responder upstream needs --upstream URL, the base URL of the server "
                "that answers."
            )
        from batches.sandbox.responders.upstream import UpstreamResponder

        key = _key_in("upstream-key-env", options)
        try:
            return UpstreamResponder(
                options["upstream"], key, workers=max(1, options["workers"])
            )
        except ValueError as err:
            raise CommandError(f"--upstream: {err}.") from err
    if options["responder"] == "pseudo":
        from batches.sandbox.responders.pseudo import PseudoResponder

        return PseudoResponder()
    from batches.sandbox.responders.sample import SampleResponder, shipped_directories

    directories = [Path(given) for given in options["samples"]]
    for directory in directories:
        if not directory.is_dir():
            raise CommandError(f"--samples {directory}: there is no such directory.")
    try:
        return SampleResponder(
            directories or shipped_directories(settings.INSTALLED_APPS)
        )
    except ValueError as err:
        raise CommandError(f"--samples: {err}") from err


def _key_in(flag: str, options: dict[str, Any]) -> str | None:
    """What the environment variable holds that the flag names; None without it."""
    name = options[flag.replace("-", "_")]
    if not name:
        return None
    key = os.environ.get(name)
    if not key:
        raise CommandError(
            f"--{flag} {name}: this variable is not set; export it first."
        )
    return key


def _only_sandbox_in(directory: Path) -> IO[str]:
    """Hold the directory's lock; the system lets go of it when the process ends."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = (directory / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        lock.close()
        raise CommandError(
            f"Another sandbox keeps its files in {directory}: stop it, or give this "
            "one its own --dir."
        ) from err
    return lock
