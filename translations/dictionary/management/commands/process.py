"""`manage.py process`: filter words, have their entries written, and hand these out."""

import json
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.progress import Progress

from batches.errors import BatchError
from batches.management.output import counted, positive_whole, told_to_the_operator
from batches.models import Run
from batches.models.money import to_nanos
from batches.services.collection import collect_run, start_run
from batches.services.job_sizes import choose_size
from batches.services.lifecycle import run_figures
from batches.services.pipeline import process_until_done
from batches.states import Trigger
from translations.dictionary.export import write_run, write_state
from translations.dictionary.filtering import Filtered
from translations.dictionary.management.commands.filter_words import (
    add_filter_arguments,
    filtered_with_bar,
)
from translations.dictionary.reading import BUNDLED
from translations.dictionary.words import store_words

# Passes in a row that can do nothing for trouble at the provider end the waiting.
PATIENCE_PASSES = 5


class Command(BaseCommand):
    help = "Filter words and have entries written for those that lack one."

    def add_arguments(self, parser: CommandParser) -> None:
        add_filter_arguments(parser)
        parser.add_argument(
            "--words", type=positive_whole, help="most words to take; default all"
        )
        parser.add_argument(
            "--batch-size",
            type=positive_whole,
            help="items of a job to begin with, 500 to 2000; default what was learned",
        )
        parser.add_argument(
            "--output-dir",
            metavar="DIR",
            help="write requests and results there, under run_NUMBER; default nowhere",
        )
        parser.add_argument(
            "--force-refresh",
            action="store_true",
            help="take words that have an entry, and ask also what was answered before",
        )
        parser.add_argument("--budget", metavar="USD", help="most that it may cost")
        parser.add_argument(
            "--no-wait",
            action="store_true",
            help="leave the work to the worker or to process_batches",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="filter only; write nothing"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:
        with told_to_the_operator():
            budget = _nanos(options["budget"])
            found = filtered_with_bar(options)
            if found.message:
                self.stderr.write(found.message)
            kept = counted(len(found.kept), "word")
            if options["dry_run"]:
                self.stdout.write(f"Would keep {kept} of {found.raw:,}.")
                return
            name = Path(options["words_file"]).name or BUNDLED
            _store_with_bar(found, name)
            self.stderr.write(f"{kept} of {found.raw:,} are kept.")
            if options["batch_size"]:
                choose_size("dictionary", options["batch_size"], now=timezone.now())
            run = start_run(
                "dictionary",
                {
                    "word_language": options["language"],
                    "word_list": name[:100],
                    "redo": options["force_refresh"],
                },
                trigger=Trigger.COMMAND,
                limit=options["words"],
                budget_nanos=budget,
                force_refresh=options["force_refresh"],
            )
            collect_run(run)
        if not options["no_wait"]:
            self._wait(run)
        run.refresh_from_db()
        if options["output_dir"]:
            place = write_run(run, Path(options["output_dir"]))
            write_state(place.parent)
            self.stderr.write(f"Requests and results are in {place}.")
        self._say(run, options["json"])

    def _wait(self, run: Run) -> None:
        idle = 0
        for report in process_until_done():
            figures = run_figures(run)
            if report.did_something:
                self.stderr.write(f"{figures.complete} of {figures.first} are done.")
            is_stuck = report.trouble and not report.did_something
            idle = idle + 1 if is_stuck else 0
            if idle == PATIENCE_PASSES:
                raise CommandError(
                    f"{report.trouble[-1]} What waits is kept: "
                    "`process_batches --until-done` goes on."
                )
            run.refresh_from_db()
            if run.finished_at:
                return

    def _say(self, run: Run, as_json: bool) -> None:
        figures = run_figures(run)
        if as_json:
            result = {
                "run": str(run.public_id),
                "status": run.status,
                "words": run.subjects_collected,
                "items": figures.first,
                "complete": figures.complete,
                "failed": figures.failed,
            }
            self.stdout.write(json.dumps(result))
            return
        if not figures.first:
            self.stdout.write("Nothing to do: every word that is kept has an entry.")
            return
        self.stdout.write(
            f"Run {run.pk}, {run.get_status_display().lower()}: "
            f"{counted(figures.complete, 'item')} done and {figures.failed} failed, of "
            f"{counted(run.subjects_collected, 'word')}."
        )


def _store_with_bar(found: Filtered, source: str) -> None:
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("rows", total=len(found.kept) + len(found.rejected))
        store_words(
            found, source=source, on_words=lambda count: bar.advance(task, count)
        )


def _nanos(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        budget = Decimal(text)
    except InvalidOperation as err:
        raise BatchError(f"--budget {text!r} is no amount of dollars.") from err
    return to_nanos(budget) if budget.is_finite() else 0
