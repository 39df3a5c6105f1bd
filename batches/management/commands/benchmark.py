"""`manage.py benchmark`: what the engine costs, beside its floor in the same run."""

import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from batches.benchmark.data import BenchmarkWorkload
from batches.benchmark.measures import MEASURES, Bench
from batches.benchmark.report import Result, keys_here, table, this_machine
from batches.benchmark.scratch import MOST_REQUESTS, scratch_world
from batches.management.output import positive_whole, told_to_the_operator
from batches.workloads import registered


class Command(BaseCommand):
    help = "Measure the engine against its floors, in a database of its own."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--lines",
            type=positive_whole,
            default=MOST_REQUESTS,
            help="items of a job, at most and by default %(default)s",
        )
        parser.add_argument(
            "--only", metavar="P1,P2", help="measure only these; default all"
        )
        parser.add_argument(
            "--json", action="store_true", help="print one JSON object last"
        )

    def handle(self, *, lines: int, only: str | None, **options: Any) -> None:
        if lines > MOST_REQUESTS:
            raise CommandError(f"--lines {lines}: one job has at most {MOST_REQUESTS}.")
        keys = _chosen(only)
        with _undisturbed(), told_to_the_operator(), scratch_world() as directory:
            with registered(BenchmarkWorkload), _progress() as say:
                bench = Bench(lines=lines, directory=directory, say=say)
                results = [MEASURES[key](bench) for key in keys]
            machine = this_machine(lines)
        self._say(machine.as_dict(), results, as_json=options["json"])

    def _say(
        self, machine: dict[str, Any], results: list[Result], *, as_json: bool
    ) -> None:
        console = Console(file=self.stdout, width=None if sys.stdout.isatty() else 200)
        console.print(", ".join(f"{name} {value}" for name, value in machine.items()))
        console.print(table(results))
        if as_json:
            targets = {result.key: result.as_dict() for result in results}
            self.stdout.write(json.dumps({"machine": machine, "targets": targets}))


def _chosen(only: str | None) -> list[str]:
    """The keys to measure, in the order of the table."""
    here = keys_here()
    if only is None:
        return here
    wanted = {key.strip() for key in only.split(",")}
    if unknown := sorted(wanted - set(here)):
        raise CommandError(
            f"--only {', '.join(unknown)}: this database has {', '.join(here)}."
        )
    return [key for key in here if key in wanted]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No log lines of what is measured; and SIGTERM ends it as Ctrl-C does: tidily."""
    before = signal.signal(signal.SIGTERM, _stop)
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """One line that changes on a terminal, else one line a step, on stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield console.print
        return
    with console.status("Making a database") as status:
        yield status.update
