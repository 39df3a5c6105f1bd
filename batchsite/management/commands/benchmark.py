"""`manage.py benchmark`: what the engine costs, beside its floor in the same run."""

import json
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.live import Live
from rich.text import Text

from batches.benchmark.bench import Bench
from batches.benchmark.data import BenchmarkWorkload, SubjectsWorkload
from batches.benchmark.measures import MEASURES
from batches.benchmark.pages import page_table
from batches.benchmark.report import Result, figures_here, table, this_machine
from batches.benchmark.scratch import MOST_REQUESTS, scratch_world
from batches.errors import BatchError
from batches.management.output import positive_whole
from batches.workloads import registered
from batchsite.load import FEWEST_ITEMS, measure_pages
from batchsite.processes import running, wait_for_line
from translations.lessons.benchmark import ITEMS_PER_LESSON, LESSONS

WIDTH = 150  # of the table, where no terminal says another
PAGE_ITEMS, PAGES_SHOWN = 1_000_000, 20
FEWEST_LINES = 10 * ITEMS_PER_LESSON


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
            "--pages",
            action="store_true",
            help="measure P7 and P8 instead: every list and page, on a seeded load",
        )
        parser.add_argument(
            "--items",
            type=positive_whole,
            default=PAGE_ITEMS,
            help="of the load that pages are measured on; default %(default)s",
        )
        parser.add_argument(
            "--json", action="store_true", help="print one JSON object last"
        )

    def handle(
        self, *, lines: int, only: str | None, pages: bool, items: int, **options: Any
    ) -> None:
        if pages:
            if items < FEWEST_ITEMS:
                raise CommandError(f"--items {items}: give {FEWEST_ITEMS} or more.")
            self._measure_pages(items, as_json=options["json"])
            return
        if not FEWEST_LINES <= lines <= MOST_REQUESTS:
            raise CommandError(
                f"--lines {lines}: give {FEWEST_LINES} to {MOST_REQUESTS}, "
                "which is what one job can have."
            )
        keys = _chosen(only)
        with _undisturbed(), ExitStack() as stack:
            say = stack.enter_context(_progress())
            directory = stack.enter_context(scratch_world(say))
            stack.enter_context(registered(BenchmarkWorkload))
            stack.enter_context(registered(SubjectsWorkload))
            bench = Bench(
                lines=lines,
                directory=directory,
                say=say,
                content=LESSONS,
                sandbox=_sandbox,
            )
            results, broken = _measure(bench, keys)
            machine = this_machine(lines).as_dict()
        self._say(machine, results, as_json=options["json"])
        if broken:
            raise CommandError("\n".join(broken))

    def _measure_pages(self, items: int, *, as_json: bool) -> None:
        with _undisturbed(), ExitStack() as stack:
            say = stack.enter_context(_progress())
            stack.enter_context(scratch_world(say))
            results, visits = measure_pages(items, say)
            machine = this_machine(items).as_dict()
        console = Console(width=None if self.stdout.isatty() else WIDTH)
        with console.capture() as shown:
            console.print(page_table(visits, PAGES_SHOWN))
        self.stdout.write(shown.get())
        self._say(machine, results, as_json=as_json)

    def _say(
        self, machine: dict[str, Any], results: list[Result], *, as_json: bool
    ) -> None:
        console = Console(width=None if self.stdout.isatty() else WIDTH)
        with console.capture() as shown:
            console.print(", ".join(f"{key} {value}" for key, value in machine.items()))
            console.print(table(results))
        self.stdout.write(shown.get(), ending="")
        if as_json:
            targets = {result.key: result.as_dict() for result in results}
            self.stdout.write(json.dumps({"machine": machine, "targets": targets}))


def _chosen(only: str | None) -> list[str]:
    """The measures to take, in the order of the table."""
    here = [key for key in figures_here() if key in MEASURES]
    if only is None:
        return here
    wanted = {key.strip() for key in only.split(",")}
    if unknown := sorted(wanted - set(here)):
        raise CommandError(
            f"--only {', '.join(unknown)}: this database has {', '.join(here)}."
        )
    return [key for key in here if key in wanted]


def _measure(bench: Bench, keys: list[str]) -> tuple[list[Result], list[str]]:
    """All results, and what broke, in words: one does not keep the others."""
    results: list[Result] = []
    broken: list[str] = []
    for key in keys:
        try:
            measured = MEASURES[key](bench, key)
        except BatchError as err:
            broken.append(f"{key}: {err}")
            continue
        for result in measured:
            bench.say(f"{result.key} is {result.value:.2f} {result.target.unit}")
        results += measured
    return results, broken


@contextmanager
def _sandbox(directory: Path) -> Iterator[str]:
    """A provider in a process of its own, on a free port; yields its address."""
    command = ("manage.py", "sandbox", "--port=0", f"--dir={directory}", "--latency=0")
    with running(*command, env={}) as process:
        yield wait_for_line(process, "Sandbox ready at ", name="The sandbox")


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
    """One line that changes on a terminal, else one line a step, on stderr.

    Nothing moves by itself: a spinner's thread would be measured too.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield partial(console.print, soft_wrap=True, markup=False)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda step: live.update(Text(step), refresh=True)
