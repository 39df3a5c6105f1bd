"""`manage.py export_chats`: analyses of chats as a table."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from translations.chats.export import WRITERS, exported
from translations.chats.models import ChatSession


class Command(BaseCommand):
    help = "Exports the latest analysis of each chat session as CSV or JSON Lines."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--format", choices=list(WRITERS), default="csv", help="default: csv"
        )
        parser.add_argument("--account", help="only of this account; default all")
        parser.add_argument(
            "--output", default="-", metavar="FILE", help="default: stdout"
        )

    def handle(
        self, *, format: str, account: str | None, output: str, **options: Any
    ) -> None:
        sessions = ChatSession.objects.all()
        if account is not None:
            sessions = sessions.filter(account=account)
        lines = WRITERS[format](exported(sessions))
        if output == "-":
            sys.stdout.writelines(lines)
            return
        try:
            with Path(output).open("w", encoding="utf-8", newline="") as file:
                file.writelines(lines)
        except OSError as err:
            raise CommandError(
                f"{output} cannot be written ({err.strerror}); check the path."
            ) from err
        self.stdout.write(f"Exported to {output}.")
