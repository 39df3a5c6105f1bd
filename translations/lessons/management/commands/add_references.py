"""`manage.py add_references`: reference translations into the golden set."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from batches.management.output import counted, told_to_the_operator
from batches.services.golden import add_cases
from translations.lessons.references import SHIPPED, cases_of, read_references


class Command(BaseCommand):
    help = "Add reference translations of lessons to the golden set of `translation`."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file",
            nargs="?",
            default=SHIPPED,
            type=Path,
            help="JSON Lines of sources and targets; default the 72 that are shipped",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="read the file; write nothing"
        )

    def handle(self, *, file: Path, dry_run: bool, **options: Any) -> None:
        try:
            with told_to_the_operator():
                cases, left_out = cases_of(read_references(file))
                if dry_run:
                    self.stdout.write(
                        f"Would add those of {counted(len(cases), 'case')} that are "
                        "not there yet. Nothing was written."
                    )
                    return
                added = add_cases(cases, by="command")
        except (OSError, UnicodeDecodeError) as err:
            raise CommandError(f"{file} cannot be read: {err}") from err
        for line in left_out:
            self.stderr.write(f"Left out: {line}")
        self.stdout.write(
            f"Added {counted(added, 'case')}; {len(cases) - added} were there already."
        )
