"""Content from a file; which kinds there are is for the installed apps to say."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, ProgrammingError
from rich.console import Console
from rich.progress import Progress

from translations.exchange.proposals import KIND, NOUN, import_translations
from translations.importing import (
    Importer,
    ImportRefused,
    Stored,
    check_encoding,
    get_importer,
    import_rows,
)

ROWS_PER_LINE = 5_000  # of progress, in a pipe
BAD_ROWS_SHOWN = 100
COMMAND = "import_content"


class Command(BaseCommand):
    help = "Imports lessons, quizzes and other content from CSV or JSON Lines in UTF-8."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "kind", metavar="KIND", help="what the file has: lessons, …, translations"
        )
        parser.add_argument(
            "file",
            metavar="FILE",
            help=".csv or .jsonl, translations also .xlf or .po; - reads stdin",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="check the file, change nothing"
        )
        parser.add_argument(
            "--json", action="store_true", help="print the result as one JSON object"
        )

    def handle(
        self, *, kind: str, file: str, dry_run: bool, json: bool, **options: Any
    ) -> None:
        try:
            importer = None if kind == KIND else get_importer(kind)
            with _opened(file) as stream:
                if importer:
                    stored = self._import(importer, stream, _name(file), dry_run)
                else:
                    stored = import_translations(
                        stream, name=_name(file), actor=COMMAND, dry_run=dry_run
                    )
        except ImportRefused as err:
            raise CommandError(str(err)) from err
        except (OperationalError, ProgrammingError) as err:
            problem = str(err).partition("\n")[0]
            raise CommandError(
                f"The database is not ready ({problem}). Run “manage.py migrate” and "
                "import the file again."
            ) from err
        if json:
            self.stdout.write(_as_json(kind, stored, dry_run))
        else:
            noun = importer.noun if importer else NOUN
            self.stdout.write(_summary(noun, stored, dry_run))
        if stored.ignored:
            self.stderr.write(
                f"Unknown columns, not imported: {', '.join(stored.ignored)}"
            )
        if stored.bad:
            self._report(stored)

    def _import(
        self, importer: Importer, stream: BinaryIO, name: str, dry_run: bool
    ) -> Stored:
        console = Console(stderr=True)
        total = check_encoding(stream, name) if console.is_terminal else None
        done = 0
        with Progress(console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task(importer.noun[1], total=total)

            def on_rows(count: int) -> None:
                nonlocal done
                done += count
                bar.advance(task, count)
                if not console.is_terminal and done % ROWS_PER_LINE == 0:
                    self.stderr.write(f"{done} rows read")

            return import_rows(
                importer, stream, name=name, dry_run=dry_run, on_rows=on_rows
            )

    def _report(self, stored: Stored) -> None:
        for bad in stored.bad[:BAD_ROWS_SHOWN]:
            self.stderr.write(str(bad))
        count = len(stored.bad)
        if count > BAD_ROWS_SHOWN:
            self.stderr.write(f"… and {count - BAD_ROWS_SHOWN} more")
        rows = "1 row is" if count == 1 else f"{count} rows are"
        raise CommandError(
            f"{rows} not imported. Correct the file and import it again: what is in "
            "already is left as it is."
        )


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    """The file, or a copy of standard input, which cannot be read twice."""
    if file == "-":
        with TemporaryFile() as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            yield copy
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 (only opening may fail so)
    except OSError as err:
        raise ImportRefused(
            f"{file} cannot be read ({err.strerror}); check the path and import again."
        ) from err
    with stream:
        yield stream


def _name(file: str) -> str:
    return "Standard input" if file == "-" else Path(file).name


def _summary(nouns: tuple[str, str], stored: Stored, dry_run: bool) -> str:
    if not stored.good and not stored.bad:
        return f"The file has no {nouns[1]}: nothing to import."
    noun = nouns[0] if stored.good == 1 else nouns[1]
    return (
        f"{'Would import' if dry_run else 'Imported'} {stored.good} {noun}: "
        f"{stored.created} new, {stored.updated} changed, {stored.unchanged} unchanged."
    )


def _as_json(kind: str, stored: Stored, dry_run: bool) -> str:
    return json.dumps(
        {"kind": kind, "dry_run": dry_run, **asdict(stored)},
        ensure_ascii=False,
    )
