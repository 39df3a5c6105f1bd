"""`manage.py estimate_cost`: what scenarios would cost, and what it really was."""

import json
from argparse import RawDescriptionHelpFormatter
from decimal import Decimal
from io import StringIO
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.table import Table as Grid

from batches import config
from batches.management.output import counted, positive_whole, told_to_the_operator
from batches.models.money import to_usd
from batches.providers.registry import KEYS, active_provider, is_sandbox
from batches.services.prices import Rates
from batches.services.profiles import (
    MEASURED,
    SHIPPED,
    Amount,
    Profile,
    Table,
    Usage,
    for_model,
    measured_profile,
    price_profile,
)
from batches.workloads import get_workload

WIDTH = 100  # of a table that is not shown on a terminal


class Command(BaseCommand):
    help = "Estimate what work costs, by scenario, beside what it really was."

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            *args,
            formatter_class=RawDescriptionHelpFormatter,
            epilog="profiles:\n"
            + "\n".join(f"  {p.key:<12}{p.assumes}" for p in SHIPPED.values())
            + f"\n  {MEASURED:<12}what a workload really used; needs --workload",
            **kwargs,
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--profile",
            choices=[*SHIPPED, MEASURED],
            help="one of the profiles below; default all, or measured with --workload",
        )
        parser.add_argument(
            "--workload", help="estimate by what this workload really used"
        )
        parser.add_argument(
            "--model", default="", help="price the tokens for it; default the profile's"
        )
        parser.add_argument(
            "--units",
            type=positive_whole,
            action="append",
            default=[],
            help="so many words, requests or subjects, in place of the profile's "
            "scenarios (repeatable)",
        )
        parser.add_argument(
            "--provider",
            choices=KEYS,
            help="whose prices and usage; default the one in use",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, units: list[int], **options: Any) -> None:
        with told_to_the_operator():
            provider = options.pop("provider") or active_provider()
            rates = Rates(timezone.now())
            tables = [
                price_profile(profile, rates, provider=provider, units=units)
                for profile in self._profiles(provider, **options)
            ]
        if options["json"]:
            found = {"provider": provider, "tables": [_as_dict(t) for t in tables]}
            self.stdout.write(json.dumps(found))
            return
        for table in tables:
            self._show(table)

    def _profiles(
        self,
        provider: str,
        *,
        profile: str | None,
        workload: str | None,
        model: str,
        **options: Any,
    ) -> list[Profile]:
        if profile == MEASURED and not workload:
            raise CommandError(
                "--profile measured needs --workload: whose usage is to be taken?"
            )
        if workload and profile in (None, MEASURED):
            get_workload(workload)  # raises, naming those that there are
            model = model or config.get("OPENAI_MODEL")
            return [measured_profile(workload, provider=provider, model=model)]
        if workload:
            raise CommandError(
                f"--workload goes with --profile {MEASURED}; the profile {profile} is "
                "an assumption of its own."
            )
        chosen = [SHIPPED[profile]] if profile else SHIPPED.values()
        return [for_model(one, model) for one in chosen]

    def _show(self, table: Table) -> None:
        profile = table.profile
        has_measured = any(line.measured for line in table.lines)
        grid = Grid(
            title=f"{profile.key}: {profile.assumes}",
            title_justify="left",
            expand=False,
        )
        grid.add_column("Scenario")
        columns = [profile.unit[1].capitalize(), "Tokens in", "Tokens out"]
        columns += ["Estimate", "In real time"]
        for name in [*columns, *(["By real usage"] if has_measured else [])]:
            grid.add_column(name, justify="right")
        for line in table.lines:
            scenario, estimate = line.scenario, line.estimate
            cells = [
                scenario.title,
                f"{scenario.units * scenario.times:,}",
                f"{estimate.input_tokens * scenario.times:,}",
                f"{estimate.output_tokens * scenario.times:,}",
                _shown(line.usd(estimate.nanos)),
                _shown(line.usd(estimate.real_time_nanos)),
            ]
            if line.measured:
                cells.append(_shown(line.usd(line.measured.nanos)))
            grid.add_row(*cells)
        terminal = Console()
        width = terminal.width if terminal.is_terminal else WIDTH
        drawn = StringIO()
        Console(file=drawn, width=width).print(grid)
        self.stdout.write(drawn.getvalue())
        self.stdout.write(
            f"Prices of {profile.model}: {_rates(table)} for a million tokens in and "
            f"out, by {table.rate.version}."
        )
        self.stdout.write(_actual(table.actual, profile) + "\n")


def _rates(table: Table) -> str:
    rate = table.rate
    return f"${rate.input_usd.normalize():f} and ${rate.output_usd.normalize():f}"


def _actual(usage: Usage | None, profile: Profile) -> str:
    """What it really was so far, in words."""
    if usage is None:
        return f"Actual: no {profile.workload} request was finished on it yet."
    mark = " (sandbox: play money)" if is_sandbox(usage.provider) else ""
    each = to_usd(usage.cost_nanos // usage.units)
    return (
        f"Actual: {counted(usage.requests, 'request')} of {usage.workload} took "
        f"{usage.input_tokens:,} tokens in and {usage.output_tokens:,} out, and cost "
        f"{_shown(to_usd(usage.cost_nanos))}{mark}: {_shown(each)} a {profile.unit[0]}."
    )


def _shown(usd: Decimal) -> str:
    """Two places, and below a cent as many as it has."""
    if not usd or usd >= Decimal("0.01"):
        return f"${usd:,.2f}"
    return f"${usd.normalize():f}"


def _as_dict(table: Table) -> dict[str, Any]:
    profile, usage = table.profile, table.actual
    return {
        "profile": profile.key,
        "assumes": profile.assumes,
        "model": profile.model,
        "unit": profile.unit[0],
        "price": {
            "input_usd": f"{table.rate.input_usd:f}",
            "output_usd": f"{table.rate.output_usd:f}",
            "version": table.rate.version,
        },
        "scenarios": [
            {
                "title": line.scenario.title,
                "units": line.scenario.units,
                "times": line.scenario.times,
                "shown_usd": f"{line.usd(line.estimate.nanos):f}",
                "estimate": _amount(line.estimate),
                "measured": line.measured and _amount(line.measured),
            }
            for line in table.lines
        ],
        "actual": usage
        and {
            "requests": usage.requests,
            "units": usage.units,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cost_usd": f"{to_usd(usage.cost_nanos):f}",
        },
    }


def _amount(amount: Amount) -> dict[str, Any]:
    """One scenario once, exactly; `shown_usd` is what people read."""
    return {
        "input_tokens": amount.input_tokens,
        "output_tokens": amount.output_tokens,
        "cost_usd": f"{to_usd(amount.nanos):f}",
        "real_time_usd": f"{to_usd(amount.real_time_nanos):f}",
    }
