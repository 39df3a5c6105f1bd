"""`manage.py export_answers N`: what came of a file of requests, in its own order."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from batches.management.output import positive_whole
from translations.files.exporting import FORMS, written
from translations.files.models import RequestFile


class Command(BaseCommand):
    help = "Writes the answers to a file of requests, line for line as it asked."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", type=positive_whole, help="its number, as import_requests told it"
        )
        parser.add_argument(
            "--format",
            choices=FORMS,
            help="default: csv for a table, else jsonl, as the Batch API gives them",
        )
        parser.add_argument(
            "--output", default="-", metavar="FILE", help="default: stdout"
        )

    def handle(
        self, *, file: int, format: str | None, output: str, **options: Any
    ) -> None:
        row = RequestFile.objects.filter(pk=file).first()
        if row is None:
            raise CommandError(
                f"There is no file {file}; `import_requests FILE` makes one and tells "
                "its number."
            )
        lines = written(row, format or row.form)
        if output == "-":
            for line in lines:
                self.stdout.write(line, ending="")
            return
        try:
            with Path(output).open("w", encoding="utf-8", newline="") as stream:
                stream.writelines(lines)
        except OSError as err:
            raise CommandError(
                f"{output} cannot be written ({err.strerror}); check the path."
            ) from err
        self.stderr.write(f"The answers are in {output}.")
