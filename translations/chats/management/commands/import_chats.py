"""`manage.py import_chats`: sessions from a file, with transcripts from a directory."""

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from translations.chats.importing import CHATS, store_rows
from translations.importing import ImportRefused, import_rows

BAD_ROWS_SHOWN = 100


class Command(BaseCommand):
    help = (
        "Imports chat sessions from a CSV (16 columns without a header, or named ones) "
        "or JSON Lines, with their transcripts."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help=".csv or .jsonl, in UTF-8")
        parser.add_argument(
            "--transcripts",
            metavar="DIR",
            help="texts called ID.txt, or like the end of the transcript's address",
        )
        parser.add_argument(
            "--account", default="", help="whose sessions these are; default nobody's"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="check the file, change nothing"
        )
        parser.add_argument(
            "--json", action="store_true", help="print the result as one JSON object"
        )

    def handle(
        self,
        *,
        file: str,
        transcripts: str | None,
        account: str,
        dry_run: bool,
        **options: Any,
    ) -> None:
        directory = Path(transcripts) if transcripts else None
        if directory and not directory.is_dir():
            raise CommandError(f"{transcripts} is no directory; check the path.")
        store = partial(store_rows, account=account, directory=directory)
        path = Path(file)
        try:
            with path.open("rb") as stream:
                stored = import_rows(
                    replace(CHATS, store=store),
                    stream,
                    name=path.name,
                    dry_run=dry_run,
                )
        except OSError as err:
            raise CommandError(
                f"{file} cannot be read ({err.strerror}); check the path."
            ) from err
        except ImportRefused as err:
            raise CommandError(str(err)) from err
        if options["json"]:
            result = {"kind": CHATS.kind, "dry_run": dry_run, **asdict(stored)}
            self.stdout.write(json.dumps(result, ensure_ascii=False))
        else:
            done = "Would import" if dry_run else "Imported"
            self.stdout.write(
                f"{done} {stored.good} {CHATS.noun[stored.good != 1]}: "
                f"{stored.created} new, {stored.updated} changed, "
                f"{stored.unchanged} unchanged."
            )
        if stored.ignored:
            columns = ", ".join(stored.ignored)
            self.stderr.write(f"Unknown columns, not imported: {columns}")
        for bad in stored.bad[:BAD_ROWS_SHOWN]:
            self.stderr.write(str(bad))
        if stored.bad:
            left = len(stored.bad) - BAD_ROWS_SHOWN
            if left > 0:
                self.stderr.write(f"… and {left} more")
            raise CommandError(
                f"Not imported: {len(stored.bad)} of the rows. Correct them and import "
                "the file again: what is in already is left as it is."
            )
