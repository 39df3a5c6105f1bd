"""`manage.py usage_report`: what was used, what it cost, and what batches saved."""

import json
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from batches.management.output import counted, positive_whole, told_to_the_operator
from batches.models.money import to_usd
from batches.monitoring.provider_usage import (
    KNOWN_TO_PROVIDERS,
    ProviderFigures,
    provider_figures,
)
from batches.monitoring.spans import DAY, HOUR, MINUTE, last_days
from batches.monitoring.usage import GROUPS, Figures, Part, Usage, usage
from batches.monitoring.usage_tables import as_csv, as_dict
from batches.providers.registry import active_provider, is_sandbox

PROJECT = "project"  # known to the provider alone
DAYS = {MINUTE: 1, HOUR: 7, DAY: 30}  # by default
NOBODY = "(none)"


def groups(text: str) -> list[str]:
    """An argparse type: `model,owner`."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name))
    for name in names:
        if name not in (*GROUPS, PROJECT):
            known = ", ".join((*GROUPS, PROJECT))
            raise ArgumentTypeError(f"{name!r} is no group; there are {known}.")
    return names


def narrowing(text: str) -> tuple[str, str]:
    """An argparse type: `model=gpt-4o-mini`; nothing after the sign stands for none."""
    name, sign, value = text.partition("=")
    if not sign:
        raise ArgumentTypeError(
            f"{text!r} names no value; say it as model=gpt-4o-mini."
        )
    known = (*GROUPS, *KNOWN_TO_PROVIDERS)
    if name not in known:
        raise ArgumentTypeError(
            f"{name!r} is no name to narrow by; there are {', '.join(known)}."
        )
    return name, value


class Command(BaseCommand):
    help = "Tell what was used, what it cost, and what it saved against real time."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--days",
            type=positive_whole,
            help="how far back, today included; default 30, or 7 for 1h and 1 for 1m",
        )
        parser.add_argument(
            "--bucket",
            choices=[MINUTE, HOUR, DAY],
            default=DAY,
            help="width of a row in time, in UTC; default 1d",
        )
        parser.add_argument(
            "--group-by",
            type=groups,
            default=["model"],
            metavar="LIST",
            help=f"of {', '.join(GROUPS)}, and {PROJECT} with --provider-figures; "
            "default model",
        )
        parser.add_argument(
            "--only",
            type=narrowing,
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help=f"narrow it to one {', '.join(GROUPS)}, or the provider's figures to "
            f"one {', '.join(KNOWN_TO_PROVIDERS)}; repeatable",
        )
        parser.add_argument(
            "--format",
            choices=["table", "csv", "json"],
            default="table",
            help="default table",
        )
        parser.add_argument(
            "--provider-figures",
            action="store_true",
            help="ask the provider for its own figures too; needs OPENAI_ADMIN_KEY",
        )

    def handle(
        self, *, days: int | None, bucket: str, group_by: list[str], **options: Any
    ) -> None:
        only = dict(options["only"])
        by_project = PROJECT in group_by
        theirs_alone = by_project or not only.keys().isdisjoint(KNOWN_TO_PROVIDERS)
        if theirs_alone and not options["provider_figures"]:
            raise CommandError(
                f"{', '.join(KNOWN_TO_PROVIDERS)} exist in the provider's own figures "
                "alone: add --provider-figures, or leave them out."
            )
        now = timezone.now()
        theirs = None
        with told_to_the_operator():
            span = last_days(days or DAYS[bucket], bucket=bucket, now=now)
            if options["provider_figures"]:
                theirs = provider_figures(
                    active_provider(), span, by_project=by_project, only=only, now=now
                )
            found = usage(
                span,
                group_by=[name for name in group_by if name in GROUPS],
                only={name: value for name, value in only.items() if name in GROUPS},
            )
        if options["format"] == "json":
            self.stdout.write(json.dumps(as_dict(found, theirs)))
        elif options["format"] == "csv":
            self.stdout.write(as_csv(found, theirs), ending="")
        else:
            self._say(found, theirs)

    def _say(self, found: Usage, theirs: ProviderFigures | None) -> None:
        span = found.span
        self.stdout.write(
            f"Usage from {span.start:%Y-%m-%d %H:%M} to {span.end:%Y-%m-%d %H:%M} UTC, "
            f"in buckets of {span.bucket}. What a job used counts when it ended."
        )
        if not found.parts:
            self.stdout.write("No job ended in this time.")
        for part in found.parts:
            self._say_part(part, found)
        if theirs is not None:
            self._say_provider(theirs, found)

    def _say_part(self, part: Part, found: Usage) -> None:
        kind = "Sandbox (pretended money, nobody pays it)"
        self.stdout.write(f"\n{kind if part.is_sandbox else 'Real money'}")
        is_daily = found.span.bucket == DAY
        when = "%Y-%m-%d" if is_daily else "%Y-%m-%d %H:%M"
        rows = [
            [line.start.strftime(when), *_named(line.group), *_cells(line.figures)]
            for line in part.lines
        ]
        total = part.total
        gaps = [""] * len(found.group_by)
        rows.append(["total", *gaps, *_cells(total)])
        self._table(["start", *found.group_by, *_HEADINGS], rows, len(gaps) + 1)
        if total.unpriced:
            self.stdout.write(
                f"{counted(total.unpriced, 'request')} without a known cost; up to "
                f"{_dollars(total.not_known_nanos)} more may have been billed for them."
            )
        else:
            self.stdout.write("Every request is priced.")
        for model in sorted(part.without_real_time):
            self.stdout.write(
                f"No real-time price is known for {model}: it is left out of the "
                "saving. Add one in the admin under Prices."
            )
        self.stdout.write(
            f"A request cost {_dollars(total.average_cost_nanos)} and saved "
            f"{_dollars(total.average_saving_nanos)} on average; at this pace "
            f"{_dollars(part.monthly_saving_nanos)} are saved in 30 days, "
            f"{_dollars(part.yearly_saving_nanos)} in a year."
        )

    def _say_provider(self, theirs: ProviderFigures, found: Usage) -> None:
        self.stdout.write(
            f"\nBatches by {theirs.provider}'s own count; it may lag, and a batch may "
            "fall on another day"
        )
        rows = [
            [
                f"{row.start:%Y-%m-%d %H:%M}",
                row.project or NOBODY,
                row.model or NOBODY,
                f"{row.requests:,}",
                f"{row.input_tokens:,}",
                f"{row.cached_tokens:,}",
                f"{row.output_tokens:,}",
            ]
            for row in theirs.usage
        ]
        headings = ["start", PROJECT, "model", "requests", "input", "cached", "output"]
        self._table(headings, rows, 3)
        part = found.pretended if is_sandbox(theirs.provider) else found.real
        for name, ours, others in theirs.compared(part):
            label = name.replace("_", " ")
            differs = "the same" if ours == others else f"{others - ours:+,}"
            self.stdout.write(f"{label}: ours {ours:,}, theirs {others:,}: {differs}")
        self.stdout.write(f"\nCosts by {theirs.provider}'s own count, of all its work")
        costs = [
            [
                f"{row.start:%Y-%m-%d}",
                row.project or NOBODY,
                row.line_item or NOBODY,
                f"${row.usd:,.6f}",
            ]
            for row in theirs.costs
        ]
        costs.append(["total", "", "", _dollars(theirs.cost_nanos)])
        self._table(["start", PROJECT, "line item", "cost"], costs, 3)

    def _table(self, headings: list[str], rows: list[list[str]], texts: int) -> None:
        """Aligned columns: the first so many to the left, figures to the right."""
        widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
        for row in [headings, *rows]:
            cells = [
                cell.ljust(width) if n < texts else cell.rjust(width)
                for n, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            self.stdout.write("  ".join(cells).rstrip())


_HEADINGS = [
    "requests",
    "input",
    "cached",
    "output",
    "cost",
    "real time",
    "saved",
    "saved %",
    "expected",
    "reserved",
]


def _cells(figures: Figures) -> list[str]:
    return [
        f"{figures.requests:,}",
        f"{figures.input_tokens:,}",
        _percent(figures.cached_percent),
        f"{figures.output_tokens:,}",
        _dollars(figures.cost_nanos),
        _dollars(figures.real_time_nanos),
        _dollars(figures.saved_nanos),
        _percent(figures.saved_percent),
        _dollars(figures.expected_nanos),
        _dollars(figures.reserved_nanos),
    ]


def _named(group: tuple[str, ...]) -> list[str]:
    return [name or NOBODY for name in group]


def _dollars(nanos: int) -> str:
    sign = "-" if nanos < 0 else ""
    return f"{sign}${to_usd(abs(nanos)):,.6f}"


def _percent(value: Any) -> str:
    return "" if value is None else f"{value} %"
