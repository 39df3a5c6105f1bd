"""`manage.py reset_second_factor USERNAME`: for a telephone that is lost."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from batches.services.second_factor import remove


class Command(BaseCommand):
    help = "Take a user's second factor away, so that they can set up another."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", help="whose telephone is lost")

    def handle(self, *, username: str, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"Nobody is called {username!r} here.")
        if not remove(user, by="reset_second_factor"):
            raise CommandError(f"{username} has no second factor.")
        self.stdout.write(f"{username} signs in with the password alone now.")
