"""`manage.py send_review_digest`: mail editors what waits for their review."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from batches.management.output import counted, told_to_the_operator
from translations.review.digest import is_on, send_digests


class Command(BaseCommand):
    help = "Mail each editor what waits for their review, once a day at most."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="name who would get it, send nothing"
        )

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        if not is_on() and not dry_run:
            raise CommandError(
                "No mail goes out from here: set EMAIL_URL to a mail server and "
                "SITE_URL to the address that the links begin with."
            )
        with told_to_the_operator():
            sent = send_digests(dry_run=dry_run)
        for name in sent.names:
            self.stdout.write(name)
        verb = "would be sent" if dry_run else "sent"
        self.stdout.write(f"{counted(len(sent.names), 'mail')} {verb}.")
        if sent.failed:
            raise CommandError(
                f"The mail server took no mail for {', '.join(sent.failed)}; the log "
                "says why. They get it with the next call."
            )
