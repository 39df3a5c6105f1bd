"""`manage.py process_batches [--until-done]`: every stage, without a worker."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.progress import Progress

from batches import config
from batches.management.output import counted, told_to_the_operator
from batches.models import BatchJob, OpenItem, Run
from batches.monitoring.attention import hold_in_words
from batches.services.holds import active_holds
from batches.services.pipeline import (
    PassReport,
    only_held_work_is_left,
    process_once,
    process_until_done,
    progress,
)

# A pass that can do nothing for this provider, as often as this in a row, is the end of
# waiting: what waits is kept, and the next call goes on.
PATIENCE_PASSES = 5


class Command(BaseCommand):
    help = "Collect, bundle, submit, poll and ingest once, or until nothing is left."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--until-done",
            action="store_true",
            help="go on until every item is final; else each stage runs once",
        )

    def handle(self, *, until_done: bool, **options: Any) -> None:
        self._say_what_is_off()
        with told_to_the_operator():
            total = self._until_done() if until_done else process_once()
        self.stdout.write(_summary(total))
        for hold in active_holds():
            self.stderr.write(f"On hold: {hold_in_words(hold)}")
        for run in Run.objects.unfinished().exclude(waiting_reason="").order_by("pk"):
            self.stderr.write(f"{str(run).capitalize()}: {run.waiting_reason}")
        if total.trouble:
            raise CommandError(total.trouble[-1])
        if until_done and config.creation_enabled() and only_held_work_is_left():
            raise CommandError(_what_is_held())

    def _until_done(self) -> PassReport:
        """Pass after pass, with a bar on a terminal and plain lines in a pipe."""
        total = PassReport()
        idle_passes = 0
        since = timezone.now()
        console = Console(stderr=True)
        with Progress(console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("items")
            for report in process_until_done():
                total.add(report)
                done, items = progress(since)
                bar.update(task, completed=done, total=items)
                if report.did_something and not console.is_terminal:
                    self.stderr.write(f"{done} of {items} items are done.")
                is_stuck = report.trouble and not report.did_something
                idle_passes = idle_passes + 1 if is_stuck else 0
                if idle_passes == PATIENCE_PASSES or not _may_go_on():
                    total.trouble = report.trouble
                    break
        return total

    def _say_what_is_off(self) -> None:
        if not config.creation_enabled():
            self.stderr.write(
                "No jobs are made or sent: BATCH_PROCESSING_ENABLED or "
                "BATCH_CREATION_ENABLED is off, or STAGING is on."
            )
        if not config.polling_enabled():
            self.stderr.write(
                "No job is polled: BATCH_POLLING_ENABLED is off, or STAGING is on."
            )


def _may_go_on() -> bool:
    """Whether another pass could ever get further with the switches as they are."""
    if config.creation_enabled() and config.polling_enabled():
        return True
    return config.polling_enabled() and BatchJob.objects.at_provider().exists()


def _what_is_held() -> str:
    items = counted(OpenItem.objects.count(), "item")
    return (
        f"Not done: {items} wait for a hold to be lifted, a paused run to be resumed "
        "or a cap to be raised. See to that in the admin, and run this again."
    )


def _summary(report: PassReport) -> str:
    if not report.did_something and not report.trouble:
        held = only_held_work_is_left()
        return "Nothing to do: what is left is held." if held else "Nothing to do."
    return (
        f"Collected {counted(report.collected, 'item')}, made "
        f"{counted(report.bundled, 'job')}, sent {report.submitted}, "
        f"ended {report.ended}."
    )
