"""`manage.py startworkload NAME`: an app with a workload, and a test that it passes."""

from argparse import ArgumentParser
from contextlib import chdir
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.core.management.templates import TemplateCommand

import batches

TEMPLATE = Path(batches.__file__).parent / "workload_template"


class Command(TemplateCommand):
    help = "Write an app with a workload and its test, to be made into your own."
    missing_args_message = "Give the app a name, such as taglines."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="name of the app and of its workload")
        parser.add_argument(
            "parent", nargs="?", default=".", help="folder to make it in; default here"
        )

    def handle(self, *, name: str, parent: str, **options: Any) -> None:  # type: ignore[override]
        folder = Path(parent).resolve()
        if not folder.is_dir():
            raise CommandError(f"There is no folder {folder}; make it first.")
        with chdir(folder):
            super().handle(
                "app",
                name,
                None,
                template=str(TEMPLATE),
                extensions=["py"],
                files=[],
                exclude=None,
                verbosity=options["verbosity"],
            )
        self.stdout.write(
            f"The app is in {folder / name}.\n"
            f"Next, with PYTHONPATH={folder} and BATCHSITE_APPS={name}:\n"
            f"  manage.py test {name}\n"
            "  manage.py migrate\n"
            f"  manage.py run_workload {name} --dry-run"
        )
