"""`manage.py recount [--check]`: figures against the rows they sum."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from batches.management.output import counted
from batches.services.recount import recount


class Command(BaseCommand):
    help = "Rebuild shares, counters and usage from items and attempts, or check them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check",
            "--dry-run",
            action="store_true",
            help="change nothing; exit status 1 when there is a difference",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, check: bool, **options: Any) -> None:
        differences = recount(repair=not check)
        if options["json"]:
            listed = [difference.as_dict() for difference in differences]
            self.stdout.write(json.dumps({"differences": listed}))
        else:
            for d in differences:
                self.stdout.write(
                    f"{d.table} {d.key}: {d.column} is {d.stored}, counted {d.counted}"
                )
        if not differences:
            if not options["json"]:
                self.stdout.write("Every figure is what its rows add up to.")
            return
        found = counted(len(differences), "difference")
        if check:
            raise CommandError(
                f"{found}. Run `recount` without --check to mend figures."
            )
        self.stderr.write(f"{found} found; figures are mended.")
