"""`manage.py up`: the real start, from nothing to a system that works by itself."""

import getpass
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from batches.errors import BatchError
from batches.management.output import counted, told_to_the_operator
from batches.models import ConfigOverride, Run
from batches.models.money import to_usd
from batches.providers.errors import ProviderError
from batches.providers.registry import OPENAI, active_provider, get_provider
from batches.schedules import sync_schedules
from batches.services.collection import plan_run, start_run
from batches.services.events import audit
from batches.states import Trigger
from batchsite.processes import alone, check_port_is_free
from batchsite.supervisor import Kept, Supervisor

LESSONS = settings.BASE_DIR / "translations" / "lessons" / "content" / "lessons.jsonl"
RUNS_ALREADY = "It runs already. End that one with Ctrl-C first, or use it."


class Command(BaseCommand):
    help = "Start web and worker together, after asking what they need to know."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="web port (8000)")
        parser.add_argument(
            "--host", default="127.0.0.1", help="address to listen on (127.0.0.1)"
        )
        parser.add_argument(
            "--no-input", action="store_true", help="ask nothing; use what is set"
        )
        parser.add_argument(
            "--asgi",
            action="store_true",
            help="serve without threads, and push progress to pages and programs",
        )

    def handle(
        self, *, port: int, host: str, no_input: bool, asgi: bool, **options: Any
    ) -> None:
        check_port_is_free(port, "--port")
        with alone("up.lock", otherwise=RUNS_ALREADY), told_to_the_operator():
            call_command("migrate", verbosity=0)
            if not settings.DEBUG:
                call_command("collectstatic", interactive=False, verbosity=0)
            provider = active_provider()
            self._check_provider(provider, ask=not no_input)
            self._have_administrator(ask=not no_input)
            if provider == OPENAI:
                self._have_cap(ask=not no_input)
            sync_schedules()
            if not no_input:
                self._offer_first_run()
            self.stdout.write(f"Open http://{host}:{port}/admin/ . Ctrl-C ends it all.")
            self.stdout.flush()
            self._supervise(host, port, provider, asgi=asgi)

    def _supervise(self, host: str, port: int, provider: str, *, asgi: bool) -> None:
        server = ["batchsite.wsgi", "--threads=4"]
        if asgi:
            server = ["batchsite.asgi", "--worker-class=asgi"]
        web = Kept(
            "web",
            [
                "-m",
                "gunicorn",
                *server,
                f"--bind={host}:{port}",
                "--workers=2",
                "--log-level=warning",
            ],
        )
        worker = Kept("worker", ["manage.py", "qcluster"], is_brittle=True)
        kept = [web, worker]
        if provider != OPENAI and (address := _own_sandbox()):
            kept.insert(
                0,
                Kept(
                    "sandbox",
                    [
                        "manage.py",
                        "sandbox",
                        f"--host={address[0]}",
                        f"--port={address[1]}",
                    ],
                ),
            )
        Supervisor(kept, worker=worker).run()

    def _check_provider(self, provider: str, *, ask: bool) -> None:
        """A call that costs nothing, to see that address and key are right."""
        if provider != OPENAI:
            self.stdout.write(
                "No key is set: work goes to the sandbox, and costs nothing."
            )
            return
        try:
            get_provider(provider).check()
        except ProviderError as err:
            self.stderr.write(str(err))
            if not ask or not self._yes(
                "Go on all the same? What is sent waits.", False
            ):
                raise CommandError("Nothing was started.") from err
        else:
            self.stdout.write("The provider's key works.")

    def _have_administrator(self, *, ask: bool) -> None:
        users = get_user_model().objects
        if users.filter(is_superuser=True).exists():
            return
        if not ask:
            self.stderr.write(
                "There is no administrator yet: make one with "
                "`python manage.py createsuperuser`."
            )
            return
        name = self._ask("Name of the administrator", "admin")
        while True:
            password = getpass.getpass("Password (not shown): ")
            try:
                validate_password(password)
            except ValidationError as err:
                self.stderr.write(" ".join(err.messages))
                continue
            if getpass.getpass("The same again: ") == password:
                break
            self.stderr.write("That was another one; once more.")
        users.create_superuser(name, password=password)
        audit("user.create_administrator", actor=name, target=name)

    def _have_cap(self, *, ask: bool) -> None:
        """Ask once for the most that a month may cost; without an answer, $5 holds."""
        if not ask or ConfigOverride.objects.filter(pk="MONTHLY_CAP_USD").exists():
            return
        while True:
            text = self._ask(
                "The most that a month may cost, in dollars", settings.MONTHLY_CAP_USD
            )
            try:
                cap = Decimal(text)
                if cap.is_finite() and cap >= 0:
                    break
            except InvalidOperation:
                pass  # said below, like every other number that is none
            self.stderr.write(f"{text!r} is no amount of dollars; such as 5 or 20.50.")
        ConfigOverride.objects.create(
            name="MONTHLY_CAP_USD", value=str(cap), changed_by="up"
        )
        audit(
            "config.set",
            actor="up",
            target="MONTHLY_CAP_USD",
            after={"value": str(cap)},
        )

    def _offer_first_run(self) -> None:
        """The way to a first real run: content, and one question with its price."""
        if Run.objects.exists():
            return
        try:
            plan = plan_run("translation", {})
            if not plan.items and self._yes(
                "No content yet. Load 12 sample lessons?", True
            ):
                call_command("import_content", "lessons", str(LESSONS))
                plan = plan_run("translation", {})
        except BatchError as err:
            self.stderr.write(str(err))
            return
        if not plan.items:
            return
        languages = ", ".join(settings.TRANSLATION_LANGUAGES)
        question = (
            f"Translate {counted(plan.subjects, 'lesson')} into {languages} now: "
            f"{counted(plan.items, 'request')}, "
            f"at most ${to_usd(plan.costs.worst):.4f}?"
        )
        if self._yes(question, True):
            run = start_run("translation", {}, trigger=Trigger.COMMAND)
            self.stdout.write(f"Run {run.pk} is started.")

    def _ask(self, question: str, default: str) -> str:
        return input(f"{question} [{default}]: ").strip() or default

    def _yes(self, question: str, default: bool) -> bool:
        answer = input(f"{question} [{'Y/n' if default else 'y/N'}]: ").strip().lower()
        return answer.startswith("y") if answer else default


def _own_sandbox() -> tuple[str, int] | None:
    """Where the sandbox is to listen, if it is to be one of ours: on this machine."""
    parts = urlsplit(settings.SANDBOX_URL)
    if parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        return None
    return parts.hostname, parts.port or 80
