"""`manage.py create_api_key NAME`: a key for a program, shown once."""

import json
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from batches.management.output import positive_whole, told_to_the_operator
from batches.models.api_key import Scope
from batches.services.api_keys import create_api_key


class Command(BaseCommand):
    help = "Make a key with which a program may use the API; it is shown only once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what the key is for; shown in the audit log")
        parser.add_argument(
            "--scopes",
            default=Scope.READ.value,
            help="what it may do, with commas between: "
            f"{', '.join(Scope.values)}; default {Scope.READ.value}",
        )
        parser.add_argument(
            "--owner", metavar="USERNAME", help="in whose name it acts; default nobody"
        )
        parser.add_argument(
            "--expires-days",
            type=positive_whole,
            metavar="N",
            help="days until it ends; default never",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(
        self,
        *,
        name: str,
        scopes: str,
        owner: str | None,
        expires_days: int | None,
        **options: Any,
    ) -> None:
        with told_to_the_operator():
            key, text = create_api_key(
                name,
                [scope.strip() for scope in scopes.split(",")],
                by="create_api_key",
                owner=_user(owner) if owner else None,
                expires_days=expires_days,
            )
        if options["json"]:
            self.stdout.write(json.dumps({"key": text}))
            return
        self.stdout.write(text)
        self.stderr.write(
            f"Key {key.name} may {', '.join(key.scopes)}. It is not shown again."
        )


def _user(username: str) -> User:
    try:
        return User.objects.get(username=username)
    except User.DoesNotExist as err:
        raise CommandError(f"There is no user {username!r}.") from err
