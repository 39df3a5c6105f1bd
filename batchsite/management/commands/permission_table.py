"""`manage.py permission_table`: the tables of docs/roles.md, printed from the code."""

from typing import Any

from django.core.management.base import BaseCommand

from batchsite.permission_document import document


class Command(BaseCommand):
    help = "Print who may do what, as Markdown."

    def handle(self, **options: Any) -> None:
        self.stdout.write(document())
