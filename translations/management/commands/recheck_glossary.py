"""`manage.py recheck_glossary`: which texts are against a term changed after them."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from batches.management.output import counted
from translations.glossary.breaches import recheck_glossary


class Command(BaseCommand):
    help = "Find the texts that are against a glossary term changed after them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="name the texts, mark none"
        )

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        done = recheck_glossary(dry_run=dry_run)
        for breach in done.found:
            unit = breach.unit
            terms = ", ".join(f"“{term}”" for term in breach.terms)
            where = ", ".join(filter(None, breach.segments)) or "the whole text"
            self.stdout.write(
                f"{breach.kind} {unit.object_id} {unit.field} {unit.language}: "
                f"{terms} in {where}"
            )
        marked = "would be marked" if dry_run else "marked as out of date"
        self.stdout.write(
            f"{counted(done.looked_at, 'text')} made before a term was changed: "
            f"{len(done.found)} {marked}, {done.mended} no longer against one."
        )
