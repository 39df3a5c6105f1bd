"""`manage.py run_template NAME`: start again what was asked for before."""

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from batches.management.output import counted, told_to_the_operator
from batches.models import Run, RunTemplate
from batches.models.money import to_usd
from batches.schedules import sync_schedules
from batches.services.events import audit
from batches.services.lifecycle import run_figures
from batches.services.pipeline import collect_and_bundle
from batches.services.run_templates import (
    plan_template,
    save_template,
    start_template,
    template_of,
)
from batches.states import Trigger

BY = "command"


class Command(BaseCommand):
    help = "Start a run of a template, or keep a run's options as one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", default="", help="the template's name")
        parser.add_argument(
            "--list", action="store_true", help="name the templates there are"
        )
        parser.add_argument(
            "--save",
            metavar="RUN",
            help="keep the options of this run (number or id) under the name",
        )
        parser.add_argument(
            "--cron", default="", help="with --save: when it is started by itself"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="say what it would be; write nothing"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, name: str, **options: Any) -> None:
        if options["list"]:
            self._list()
            return
        if not name:
            raise CommandError("Name a template, or say --list to see what there is.")
        if options["cron"] and not options["save"]:
            raise CommandError("--cron goes with --save; change others in the admin.")
        with told_to_the_operator():
            if options["save"]:
                self._save(name, options["save"], options["cron"], options["dry_run"])
                return
            template = _find(name)
            if options["dry_run"]:
                self._plan(template, options["json"])
            else:
                self._start(template, options["json"])

    def _list(self) -> None:
        for row in RunTemplate.objects.order_by("name"):
            when = row.cron or "by hand"
            self.stdout.write(f"{row.name}: {row.workload}, {when}")

    def _save(self, name: str, run: str, cron: str, dry_run: bool) -> None:
        template = template_of(_find_run(run), name=name)
        template.cron = cron
        with transaction.atomic():
            save_template(template, by=BY)
            sync_schedules()
            if dry_run:
                transaction.set_rollback(True)
        kept = "Would keep" if dry_run else "Kept"
        when = f", started by itself at {cron}" if cron else ""
        self.stdout.write(f"{kept} “{name}”{when}. Next: `run_template {name}`.")

    def _plan(self, template: RunTemplate, as_json: bool) -> None:
        plan = plan_template(template)
        expected, worst = to_usd(plan.costs.expected), to_usd(plan.costs.worst)
        if as_json:
            result = {
                "run": None,
                "items": plan.items,
                "expected_usd": f"{expected:f}",
                "estimate_usd": f"{worst:f}",
                "skipped": dict(plan.skipped),
            }
            self.stdout.write(json.dumps(result))
            return
        self.stdout.write(
            f"Would make {counted(plan.items, 'item')} of "
            f"{counted(plan.subjects, 'subject')}, probably ${expected:f}, at most "
            f"${worst:f}. Nothing was written."
        )

    def _start(self, template: RunTemplate, as_json: bool) -> None:
        run = start_template(template, trigger=Trigger.COMMAND, owner=template.owner)
        audit("run.start", actor=BY, target=str(run), after={"template": template.name})
        collect_and_bundle(run)
        run.refresh_from_db()
        figures = run_figures(run)
        if as_json:
            result = {
                "run": str(run.public_id),
                "items": figures.first,
                "jobs": figures.jobs,
                "expected_usd": f"{run.expected_usd:f}",
                "estimate_usd": f"{run.estimate_usd:f}",
            }
            self.stdout.write(json.dumps(result))
            return
        if not figures.first:
            self.stdout.write("Nothing to do: everything asked for is current.")
            return
        self.stdout.write(
            f"Run {run.pk}: {counted(figures.first, 'item')} in "
            f"{counted(figures.jobs, 'job')}, probably ${run.expected_usd:f}, at most "
            f"${run.estimate_usd:f}. Next: `process_batches --until-done`."
        )


def _find(name: str) -> RunTemplate:
    template = RunTemplate.objects.filter(name=name).first()
    if template is None:
        known = ", ".join(RunTemplate.objects.values_list("name", flat=True)[:20])
        raise CommandError(
            f"There is no template {name!r}; there is {known or 'none'}. Keep a run's "
            "options as one with --save RUN."
        )
    return template


def _find_run(text: str) -> Run:
    if text.isdecimal() and len(text) < 19:
        run = Run.objects.filter(pk=text).first()
    else:
        run = _by_public_id(text)
    if run is None:
        raise CommandError(f"There is no run {text}; *Runs* in the admin lists them.")
    return run


def _by_public_id(text: str) -> Run | None:
    try:
        return Run.objects.filter(public_id=UUID(text)).first()
    except ValueError:
        return None
