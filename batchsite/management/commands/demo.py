"""`manage.py demo`: the whole thing on sample lessons, with nothing but Python.

Its database, spool and sandbox lie under `.local/demo`; `settings.DEMO` points every
process of it there and hides any provider's key.
"""

import json
import secrets
import time
from contextlib import ExitStack
from decimal import Decimal
from typing import Any
from urllib.request import urlopen

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from batches.management.output import counted, told_to_the_operator
from batches.models import BatchItem, Run
from batches.models.money import to_usd
from batches.services.collection import collect_run, start_run
from batches.services.lifecycle import run_figures
from batches.services.pipeline import process_once, process_until_done
from batches.states import ItemStatus, Trigger
from batchsite.processes import (
    alone,
    check_port_is_free,
    running,
    wait_for_line,
    write_private,
)
from translations.models import ReviewStatus, Translation

LESSONS = settings.BASE_DIR / "translations" / "lessons" / "content" / "lessons.jsonl"
DEMO_KEY = "demo"  # the run's idempotency key: a demo started again goes on with it
PATIENCE_PASSES = 30
SERVING_PAUSE_SECONDS = 1.0
RUNS_ALREADY = "The demo is running already. Use that one, or end it with Ctrl-C."


class Command(BaseCommand):
    help = (
        "Translate twelve sample lessons with the sandbox and show them in the admin."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="web port (8000)")
        parser.add_argument(
            "--once",
            action="store_true",
            help="end when the lessons are translated; serve nothing",
        )
        parser.add_argument(
            "--json", action="store_true", help="print one JSON object last"
        )

    def handle(self, *, port: int, once: bool, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("Start it as `python manage.py demo`, from a shell.")
        started = time.monotonic()
        if not once:
            check_port_is_free(port, "--port")
        for name in settings.IGNORED_KEYS:
            self.stderr.write(f"{name} is set; the demo does not use it.")
        with ExitStack() as stack:
            # Two would share a database, a sandbox and a run.
            stack.enter_context(alone("lock", otherwise=RUNS_ALREADY))
            call_command("migrate", verbosity=0)
            call_command("import_content", "lessons", str(LESSONS), stdout=self.stderr)
            password = _administrator()
            self._start_sandbox(stack)
            if not once:
                self._start_web(stack, port)
            with told_to_the_operator():
                run = self._translate()
            result = _result(run, seconds=time.monotonic() - started)
            self._say_result(result, run, options["json"])
            if once:
                if result["complete"] != result["items"] or result["failed"]:
                    raise CommandError("Not every item ended well; `explain` says why.")
                return
            self.stdout.write(
                f"Open http://127.0.0.1:{port}/admin/ as admin with the password "
                f"{password}\nCtrl-C ends the demo; its data stays in .local/demo."
            )
            self.stdout.flush()
            _serve()

    def _start_sandbox(self, stack: ExitStack) -> None:
        sandbox = stack.enter_context(
            running(
                "manage.py",
                "sandbox",
                "--port=0",
                f"--dir={settings.DATA_DIR / 'sandbox'}",
                env={"BATCHSITE_DEMO": "true"},
            )
        )
        settings.SANDBOX_URL = wait_for_line(
            sandbox, "Sandbox ready at ", name="The sandbox"
        )

    def _start_web(self, stack: ExitStack, port: int) -> None:
        stack.enter_context(
            running(
                "-m",
                "gunicorn",
                "batchsite.wsgi",
                f"--bind=127.0.0.1:{port}",
                "--threads=4",
                "--log-level=warning",
                env={"BATCHSITE_DEMO": "true", "SANDBOX_URL": settings.SANDBOX_URL},
            )
        )

    def _translate(self) -> Run:
        """The main job, from its start or from where an earlier demo left it."""
        run = Run.objects.filter(idempotency_key=DEMO_KEY).first()
        if run is None:
            run = start_run(
                "translation",
                {"languages": ["en", "ar"]},
                trigger=Trigger.COMMAND,
                idempotency_key=DEMO_KEY,
            )
        collect_run(run)
        console = Console(stderr=True)
        troubled = 0
        with Progress(console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("Translating", total=run.items_collected)
            for report in process_until_done():
                figures = run_figures(run)
                bar.update(task, completed=figures.items - figures.open)
                troubled = troubled + 1 if report.trouble else 0
                if troubled == PATIENCE_PASSES:
                    raise CommandError(report.trouble[-1])
        run.refresh_from_db()
        return run

    def _say_result(self, result: dict[str, Any], run: Run, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(result))
            return
        units = Translation.objects.filter(latest__isnull=False)
        published = units.filter(status=ReviewStatus.PUBLISHED).count()
        to_review = units.filter(status=ReviewStatus.PENDING_REVIEW).count()
        self.stdout.write(
            f"{counted(run.subjects_collected, 'lesson')}, "
            f"{counted(result['items'], 'request')} in "
            f"{counted(result['jobs'], 'batch', 'batches')}: "
            f"{counted(published, 'translation')} published, {to_review} to review "
            f"(faults are planted in 3 of them). Pretended cost ${result['cost_usd']}."
        )


def _administrator() -> str:
    """The password of `admin`, who is made with the first demo."""
    path = settings.DATA_DIR / "admin_password"
    users = get_user_model().objects
    if path.exists() and users.filter(username="admin").exists():
        return path.read_text()
    password = secrets.token_urlsafe(12)
    write_private(path, password)
    user, _ = users.get_or_create(
        username="admin", defaults={"is_staff": True, "is_superuser": True}
    )
    user.set_password(password)
    user.save()
    return password


def _result(run: Run, *, seconds: float) -> dict[str, Any]:
    """What the run came to; `items`, `complete` and `failed` count first requests."""
    figures = run_figures(run)
    first = BatchItem.objects.filter(run=run, parent__isnull=True)
    return {
        "run": str(run.public_id),
        "jobs": figures.jobs,
        "items": figures.first,
        "complete": first.filter(status=ItemStatus.COMPLETE).count(),
        "failed": first.filter(status=ItemStatus.FAILED).count(),
        "follow_ups": figures.follow_ups,
        "translations": Translation.objects.filter(latest__isnull=False).count(),
        "cost_usd": str(to_usd(figures.cost_nanos).quantize(Decimal("0.000001"))),
        "provider_batches": _provider_batches(run),
        "seconds": round(seconds, 1),
    }


def _provider_batches(run: Run) -> int:
    """How many batches the provider says this run's requests were in."""
    address = settings.SANDBOX_URL.removesuffix("/v1") + "/_sandbox/ledger"
    with urlopen(address, timeout=10) as answer:  # noqa: S310  # our own sandbox
        ledger = json.load(answer)
    keys = BatchItem.objects.filter(run=run).values_list("pk", flat=True)
    return len(
        {
            line["batch"]
            for key in keys
            for line in ledger["by_custom_id"].get(str(key), [])
        }
    )


def _serve() -> None:
    """Be the worker until Ctrl-C: whatever is asked for in the admin is done."""
    try:
        while True:
            process_once()
            time.sleep(SERVING_PAUSE_SECONDS)
    except KeyboardInterrupt:
        return
