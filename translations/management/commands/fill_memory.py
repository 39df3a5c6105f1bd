"""`manage.py fill_memory`: what was approved before goes into memory."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from batches.management.output import counted
from translations.memory.remembering import approvals, remember


class Command(BaseCommand):
    help = "Put the segments of approved translations into memory; safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="count them, remember nothing"
        )

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        texts = segments = left_out = 0
        for unit, version, at in approvals():
            with transaction.atomic():
                found = remember(unit, version, now=at)
                if dry_run:
                    transaction.set_rollback(True)
            texts += 1
            segments += found
            left_out += not found
        verb = "would be remembered" if dry_run else "remembered"
        self.stdout.write(
            f"{counted(segments, 'segment')} of {counted(texts, 'approved text')} "
            f"{verb}; {counted(left_out, 'text')} left out, whose source has changed "
            "or whose wording somebody approved anew."
        )
