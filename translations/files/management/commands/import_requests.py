"""`manage.py import_requests FILE`: requests of anybody's, to be sent by a run."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from batches.management.output import counted, positive_whole, told_to_the_operator
from translations.files.importing import Asked, FileRefused, import_file


class Command(BaseCommand):
    help = "Brings in a file of batch requests, or a table with a prompt for its rows."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file",
            metavar="FILE",
            help="JSON Lines as the Batch API takes them, or .csv; - reads JSON Lines "
            "from stdin",
        )
        parser.add_argument(
            "--prompt",
            metavar="FILE",
            help="for a table: what is asked of each row, with $column for its text; "
            "without any, the row goes along as data",
        )
        parser.add_argument(
            "--schema", metavar="FILE", help="for a table: the answers' JSON schema"
        )
        parser.add_argument(
            "--model", default="", help="for a table; default OPENAI_MODEL"
        )
        parser.add_argument(
            "--max-output-tokens",
            type=positive_whole,
            metavar="N",
            help="longest answer, for requests that set no limit; a table needs it",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="check the file, keep nothing"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, file: str, **options: Any) -> None:
        asked = Asked(
            prompt=_text(options["prompt"]),
            schema=_json(options["schema"]),
            model=options["model"],
            output_limit=options["max_output_tokens"],
        )
        console = Console(stderr=True)
        with (
            _opened(file) as stream,
            Progress(console=console, disable=not console.is_terminal) as bar,
        ):
            task = bar.add_task("lines", total=None)
            try:
                with told_to_the_operator():
                    taken = import_file(
                        stream,
                        name="stdin.jsonl" if file == "-" else file,
                        asked=asked,
                        on_lines=lambda count: bar.advance(task, count),
                        dry_run=options["dry_run"],
                    )
            except CommandError as err:
                if isinstance(err.__cause__, FileRefused):
                    for bad in err.__cause__.bad:
                        self.stderr.write(str(bad))
                raise
        if options["json"]:
            said = {
                "file": None if options["dry_run"] else taken.pk,
                "lines": taken.lines_total,
                "model": taken.model,
            }
            self.stdout.write(json.dumps(said))
            return
        lines = counted(taken.lines_total, "request")
        if options["dry_run"]:
            self.stdout.write(f"Would import {lines} for {taken.model}.")
            return
        self.stdout.write(
            f"File {taken.pk}: {lines} for {taken.model}.\n"
            f"Next: `run_workload file --file {taken.pk} --dry-run` tells the price, "
            "without --dry-run it is asked; then "
            f"`export_answers {taken.pk}`."
        )


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    """The file, or a copy of standard input, which cannot be read twice."""
    if file == "-":
        with TemporaryFile() as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.seek(0)
            yield copy
        return
    with _readable(file) as stream:
        yield stream


def _readable(file: str) -> BinaryIO:
    try:
        return Path(file).open("rb")
    except OSError as err:
        raise CommandError(
            f"{file} cannot be read ({err.strerror}); check the path."
        ) from err


def _text(file: str | None) -> str:
    if not file:
        return ""
    with _readable(file) as stream:
        try:
            return stream.read().decode("utf-8-sig")
        except UnicodeDecodeError as err:
            raise CommandError(f"{file} is not UTF-8; save it so.") from err


def _json(file: str | None) -> Any:
    if not file:
        return None
    try:
        return json.loads(_text(file))
    except ValueError as err:
        raise CommandError(f"{file} is not JSON: {err}.") from err
