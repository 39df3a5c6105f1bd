"""`manage.py steer_batches`: pause, recall, resume, reorder and cancel work."""

import getpass
import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from batches.management.output import told_to_the_operator
from batches.models import BatchJob, Run
from batches.monitoring.explain import find_row
from batches.monitoring.outlook import as_dict, cost_as_dict, cost_lines, in_words
from batches.services.scopes import (
    VERBS,
    Scope,
    Steered,
    Target,
    check_scope,
    foresee,
    foresee_cost,
    steer,
)
from batches.states import HoldScope, Priority

PRIORITIES = {priority.name.lower(): priority for priority in Priority}


class Command(BaseCommand):
    help = "Pause, recall, resume, reorder or cancel a run, a job, or all there is."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=VERBS)
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--run", metavar="ID", help="its number, or its public id")
        what.add_argument("--job", metavar="ID", help="its number, or its public id")
        what.add_argument("--workload", metavar="KEY", help="all work of this kind")
        what.add_argument("--account", metavar="NAME", help="all work of this account")
        what.add_argument("--all", action="store_true", help="everything")
        parser.add_argument(
            "--to",
            choices=PRIORITIES,
            default="high",
            help="the new priority of what waits (default: high)",
        )
        parser.add_argument("--reason", default="", help="what a hold is to say")
        parser.add_argument("--dry-run", action="store_true", help="change nothing")
        parser.add_argument("--yes", action="store_true", help="do not ask first")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, act: Any, dry_run: bool, **options: Any) -> None:
        with told_to_the_operator():
            target = _target(options)
            found = foresee(act, target)
            cost = foresee_cost(act, target)
        words = in_words(act, found)
        if not options["json"]:
            self.stdout.write(f"{act} {target}: {words}")
            for line in cost_lines(*cost) if cost else ():
                self.stdout.write(line)
        steered = None
        if not dry_run:
            if not options["yes"]:
                self._ask()
            with told_to_the_operator():
                steered = steer(
                    act,
                    target,
                    by=f"steer_batches ({getpass.getuser()})",
                    reason=options["reason"],
                    priority=PRIORITIES[options["to"]],
                )
        if options["json"]:
            said = {
                "act": act,
                "target": str(target),
                "dry_run": dry_run,
                "effect": as_dict(found),
                "message": words,
                "cost": cost_as_dict(*cost) if cost else None,
                "done": steered.done if steered else 0,
                "chosen": steered.chosen if steered else 0,
                "trouble": steered.trouble if steered else [],
            }
            self.stdout.write(json.dumps(said, ensure_ascii=False))
        elif steered:
            self._say(steered)
        if steered and steered.trouble:
            raise CommandError("; ".join(steered.trouble))

    def _ask(self) -> None:
        if not sys.stdin.isatty():
            raise CommandError(
                "Nothing was changed: give --yes where nobody can be asked, or "
                "--dry-run to look only."
            )
        self.stderr.write("Do it? [y/N] ", ending="")
        if input().strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was changed.")

    def _say(self, steered: Steered) -> None:
        if (steered.done, steered.chosen) == (1, 1):
            self.stdout.write("Done.")
        else:
            self.stdout.write(f"Done for {steered.done:,} of {steered.chosen:,}.")


def _target(options: dict[str, Any]) -> Target:
    if options["run"]:
        run: Run = find_row(Run, options["run"])
        return run
    if options["job"]:
        job: BatchJob = find_row(BatchJob, options["job"])
        return job
    if options["workload"] is not None:
        return check_scope(Scope(HoldScope.WORKLOAD, options["workload"]))
    if options["account"] is not None:
        return check_scope(Scope(HoldScope.ACCOUNT, options["account"]))
    return Scope(HoldScope.ALL)
