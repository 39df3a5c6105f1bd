"""`manage.py run_workload KEY`: ask for work, and say what it comes to."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from batches.management.output import counted, positive_whole, told_to_the_operator
from batches.management.requests import as_json, in_words
from batches.models import Run
from batches.models.money import to_nanos, to_usd
from batches.monitoring.outlook import cost_lines
from batches.providers.registry import active_provider
from batches.services.budget import Payer, Purse, tightest_cap
from batches.services.collection import Plan, plan_run, start_run
from batches.services.lifecycle import run_figures
from batches.services.pipeline import collect_and_bundle
from batches.services.preview import preview
from batches.services.prospects import Prospect
from batches.states import Priority, Trigger
from batches.workloads import Workload, all_workloads, get_workload


class Command(BaseCommand):
    help = "Ask for work on content: collect it and make the jobs that it takes."

    def add_arguments(self, parser: CommandParser) -> None:
        known = all_workloads()
        parser.add_argument("workload", help=f"one of: {', '.join(known)}")
        parser.add_argument(
            "--limit", type=positive_whole, help="subjects to take; default all"
        )
        parser.add_argument(
            "--priority",
            choices=[name.lower() for name in Priority.names],
            default="normal",
            help="who goes first; default normal",
        )
        parser.add_argument("--budget", metavar="USD", help="most that it may cost")
        parser.add_argument("--account", default="", help="tenant label; default none")
        parser.add_argument(
            "--may-wait",
            action="store_true",
            help="let items wait for a job of BATCH_MIN_SIZE",
        )
        parser.add_argument(
            "--force-refresh",
            action="store_true",
            help="ask also what an equal request was answered before",
        )
        parser.add_argument(
            "--no-canary",
            action="store_true",
            help="send all at once, and let no bad answers pause it; default: of more "
            "than 100 items a sample of 20 goes first, where such work is new",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="say what it would be; write nothing"
        )
        parser.add_argument(
            "--show-request",
            metavar="KEY",
            help="print the exact requests for the subject with this key, their tokens "
            "and price; write nothing",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        added: set[str] = set()
        for workload in known.values():
            _add_option_flags(parser, workload, added)

    def handle(self, *, workload: str, **options: Any) -> None:
        with told_to_the_operator():
            chosen = get_workload(workload)
            given = _given_options(options)
            limit = options["limit"]
            budget = _budget_nanos(options["budget"])
            if options["show_request"] is not None:
                found = preview(workload, given, options["show_request"])
                show = as_json if options["json"] else in_words
                self.stdout.write(show(found))
                return
            if options["dry_run"]:
                payer = Payer(
                    workload=chosen.key,
                    account=options["account"],
                    budget_nanos=budget,
                )
                purse = tightest_cap(active_provider(), [payer], now=timezone.now())
                plan = plan_run(
                    workload,
                    given,
                    limit=limit,
                    force_refresh=options["force_refresh"],
                )
                self._say_plan(plan, purse, options["json"])
                return
            run = start_run(
                workload,
                given,
                trigger=Trigger.COMMAND,
                account=options["account"],
                priority=Priority[options["priority"].upper()],
                limit=limit,
                budget_nanos=budget,
                may_wait=options["may_wait"],
                force_refresh=options["force_refresh"],
                canary=not options["no_canary"],
            )
            collect_and_bundle(run)
        run.refresh_from_db()
        self._say_run(run, chosen, options["json"])

    def _say_run(self, run: Run, workload: Workload, as_json: bool) -> None:
        figures = run_figures(run)
        if as_json:
            result = {
                "run": str(run.public_id),
                "items": figures.first,
                "jobs": figures.jobs,
                "estimate_usd": f"{run.estimate_usd:f}",
                "expected_usd": f"{run.expected_usd:f}",
                "high_usd": f"{run.high_usd:f}",
                "input_tokens": run.counted_tokens,
                "reused": run.reused,
                "saved_usd": f"{run.saved_usd:f}",
            }
            self.stdout.write(json.dumps(result))
            return
        for reason, count in run.skipped.items():
            self.stderr.write(f"Skipped: {count} × {reason}.")
        nouns = workload.nouns(workload.read_options(run.options))
        if not figures.first:
            self.stdout.write("Nothing to do: everything asked for is current.")
            return
        self.stdout.write(
            f"Run {run.pk}: {counted(figures.first, 'item')} of "
            f"{counted(run.subjects_collected, *nouns)} in "
            f"{counted(figures.jobs, 'job')}, probably ${run.expected_usd:f}, "
            f"at most ${run.estimate_usd:f}."
        )
        if run.unsent_failed:
            self.stderr.write(
                f"{counted(run.unsent_failed, 'item')} failed before sending."
            )
        if run.reused:
            self.stdout.write(
                f"Answered from equal ones, at no cost: {counted(run.reused, 'item')}; "
                f"${run.saved_usd:f} saved."
            )
        if run.waiting_reason:
            self.stdout.write(f"{run.waiting_reason.rstrip('.')}.")
        self.stdout.write("Next: `process_batches --until-done`.")

    def _say_plan(self, plan: Plan, purse: Purse | None, as_json: bool) -> None:
        costs = plan.costs
        if as_json:
            result = {
                "run": None,
                "items": plan.items,
                "jobs": 0,
                "estimate_usd": f"{to_usd(costs.worst):f}",
                "expected_usd": f"{to_usd(costs.expected):f}",
                "high_usd": f"{to_usd(costs.high):f}",
                "real_time_usd": f"{to_usd(costs.real_time):f}",
                "input_tokens": costs.input_tokens,
                "output_tokens": costs.output_tokens,
                "guessed": costs.guessed,
                "cap_left_usd": f"{to_usd(max(purse.left, 0)):f}" if purse else None,
                "cap": purse.label if purse else None,
                "subjects": plan.subjects,
                "reused": plan.reused,
                "skipped": dict(plan.skipped),
            }
            self.stdout.write(json.dumps(result))
            return
        for reason, count in plan.skipped.items():
            self.stderr.write(f"Would skip: {count} × {reason}.")
        self.stdout.write(
            f"Would make {counted(plan.items, 'item')} of "
            f"{counted(plan.subjects, 'subject')}. Nothing was written."
        )
        prospect = Prospect(costs, plan.reused)
        for line in cost_lines(prospect, purse, lambda nanos: f"${to_usd(nanos):f}"):
            self.stdout.write(line)
        if plan.reused:
            self.stdout.write("--force-refresh asks these again.")


def _add_option_flags(
    parser: CommandParser, workload: Workload, added: set[str]
) -> None:
    """A flag for each field of a workload's options model; lists repeat."""
    for name, field in workload.options.model_fields.items():
        extra = field.json_schema_extra
        flag = (
            str(extra["flag"]) if isinstance(extra, dict) and "flag" in extra else name
        )
        flag = flag.replace("_", "-")
        if flag in added:
            continue
        added.add(flag)
        described = field.description or name
        if field.annotation is bool:
            parser.add_argument(
                f"--{flag}",
                dest=f"option_{name}",
                action="store_true",
                default=None,
                help=described,
            )
            continue
        repeats = "list" in str(field.annotation)
        parser.add_argument(
            f"--{flag}",
            dest=f"option_{name}",
            action="append" if repeats else "store",
            help=described + (" (repeatable)" if repeats else ""),
        )


def _given_options(options: dict[str, Any]) -> dict[str, Any]:
    """What was said on the command line of the workload's own options."""
    return {
        name.removeprefix("option_"): value
        for name, value in options.items()
        if name.startswith("option_") and value is not None
    }


def _budget_nanos(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        budget = Decimal(text)
    except InvalidOperation as err:
        raise CommandError(f"--budget {text!r} is no amount of dollars.") from err
    if not budget.is_finite() or budget <= 0:
        raise CommandError(f"--budget {text} must be more than 0 dollars.")
    return to_nanos(budget)
