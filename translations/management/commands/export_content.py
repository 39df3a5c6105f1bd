"""Translations to a file, in the formats that translators and sites work with."""

import sys
from itertools import chain
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from translations.exchange.exporting import ExportRefused, exported
from translations.exchange.formats import ENDINGS, written
from translations.languages import is_known
from translations.registry import all_registered, find_kind


class Command(BaseCommand):
    help = "Exports translations, segment by segment, as CSV, JSON Lines, XLIFF or PO."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["translations"], help="what is exported")
        parser.add_argument(
            "--language", required=True, metavar="TAG", help="target language, as ar"
        )
        parser.add_argument(
            "--kind", default="", help="content such as lesson; default all there is"
        )
        parser.add_argument(
            "--group", default="", metavar="KEY", help="key of one course; needs --kind"
        )
        parser.add_argument(
            "--format", choices=list(ENDINGS), default="csv", help="default: csv"
        )
        parser.add_argument(
            "--only-gaps",
            action="store_true",
            help="leave out what is published and up to date",
        )
        parser.add_argument(
            "--output", default="-", metavar="FILE", help="default: stdout"
        )

    def handle(
        self,
        *,
        language: str,
        kind: str,
        group: str,
        format: str,
        only_gaps: bool,
        output: str,
        **options: Any,
    ) -> None:
        if not is_known(language):
            raise CommandError(
                f"{language!r} is no language tag we know; write it as in en or pt-BR."
            )
        chosen = find_kind(kind) if kind else None
        if kind and chosen is None:
            known = ", ".join(entry.kind for entry in all_registered().values())
            raise CommandError(f"There is no content {kind!r}; there is {known}.")
        if group and (chosen is None or not chosen.group):
            raise CommandError("--group needs a --kind whose content has groups.")
        kinds = [chosen] if chosen else list(all_registered().values())
        entries = chain.from_iterable(
            exported(entry, language, group_key=group or None, only_gaps=only_gaps)
            for entry in kinds
        )
        try:
            if output == "-":
                sys.stdout.writelines(written(entries, format, language))
                return
            with Path(output).open("w", encoding="utf-8", newline="") as file:
                file.writelines(written(entries, format, language))
        except ExportRefused as err:
            raise CommandError(str(err)) from err
        except OSError as err:
            raise CommandError(
                f"{output} cannot be written ({err.strerror}); check the path."
            ) from err
        self.stdout.write(f"Exported to {output}.")
