"""`manage.py reapply`: stored answers judged and stored again, and nothing sent."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet
from rich.console import Console
from rich.progress import Progress

from batches.management.output import counted, told_to_the_operator
from batches.models import BatchItem, BatchJob, Run
from batches.monitoring.explain import find_row
from batches.services.reapply import Reapplied, failed_only, reapply, skipped_in_words
from batches.workloads import get_workload


class Command(BaseCommand):
    help = "Judge and store again what is stored of answers already; sends nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--run", metavar="ID", help="items of this run alone")
        parser.add_argument("--job", metavar="ID", help="items that ended in this job")
        parser.add_argument("--workload", metavar="KEY", help="items of this workload")
        parser.add_argument(
            "--only",
            choices=["failed"],
            help="failed items alone; else those that are done are stored again too",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="judge, and write nothing; exit status 1 when items would still fail",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        with told_to_the_operator():
            items = _chosen(**options)
            done = self._with_a_bar(items, dry_run)
        if options["json"]:
            self.stdout.write(json.dumps({"dry_run": dry_run, **done.as_dict()}))
        else:
            self.stdout.write("\n".join(_summary(done, dry_run)))
        if failing := done.failing.total():
            raise CommandError(
                f"{counted(failing, 'answer')} still cannot be used. Mend what the "
                "messages name and run this again, or retry the items, which costs "
                "anew."
            )

    def _with_a_bar(self, items: QuerySet[BatchItem], dry_run: bool) -> Reapplied:
        console = Console(stderr=True)
        with Progress(console=console, disable=not console.is_terminal) as bar:
            total = items.count() if console.is_terminal else None
            task = bar.add_task("items", total=total)
            return reapply(
                items,
                by="reapply",
                dry_run=dry_run,
                on_items=lambda count: bar.advance(task, count),
            )


def _chosen(
    *, run: str | None, job: str | None, workload: str | None, **options: Any
) -> QuerySet[BatchItem]:
    """The items that are asked for; raises BatchError for what there is none of."""
    items = BatchItem.objects.all()
    if run:
        items = items.filter(run=find_row(Run, run))
    if job:
        items = items.filter(job=find_row(BatchJob, job))
    if workload:
        items = items.filter(workload=workload)
        if not items.exists():
            get_workload(workload)  # a slip of the pen is told from one without items
    return failed_only(items) if options["only"] else items


def _summary(done: Reapplied, dry_run: bool) -> list[str]:
    complete, store = (
        ("Would complete", "Would store again")
        if dry_run
        else ("Completed", "Stored again")
    )
    lines = []
    if done.completed:
        lines.append(f"{complete} {counted(done.completed, 'failed item')}.")
    if done.stored_again:
        lines.append(
            f"{store} {counted(done.stored_again, 'item')} that had been done."
        )
    if done.follow_ups:
        lines.append(f"Asked for {counted(done.follow_ups, 'follow-up')}.")
    lines += [
        f"Still failing with {code}: {counted(count, 'item')}. The first: "
        f"{done.messages[code]}"
        for code, count in sorted(done.failing.items())
    ]
    lines += [f"Left alone: {words}." for words in skipped_in_words(done.skipped)]
    return [*lines, "Nothing was sent."] if lines else ["Nothing to apply again."]
