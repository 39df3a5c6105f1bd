"""`manage.py seed_load --items N`: a database as it is after months of work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import models
from django.utils import timezone
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from batches.benchmark.load import MOST_JOBS
from batches.benchmark.seeding import Load, seed
from batches.benchmark.tables import settle
from batches.management.output import counted, positive_whole
from batchsite.load import FEWEST_ITEMS, load_contents

# Rows that come with an installation, or by looking at it.
NOBODYS_WORK = {
    "CoverageCount",
    "Installation",
    "InstallationDisk",
    "Price",
    "SyncedSchedule",
}


class Command(BaseCommand):
    help = "Fill a database with made-up work and content, consistent in every figure."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--items",
            type=positive_whole,
            required=True,
            help="requests, with all that belongs to them",
        )
        parser.add_argument(
            "--jobs",
            type=positive_whole,
            help=f"default one for 100 items, and {MOST_JOBS:,} at most",
        )
        parser.add_argument(
            "--seed",
            type=int,
            default=1,
            help="another number makes other chances; default %(default)s",
        )
        parser.add_argument(
            "--figures-only",
            action="store_true",
            help="runs, jobs, shares and usage as of so many items, but no items; "
            "`recount --check` then finds them missing",
        )
        parser.add_argument(
            "--yes",
            action="store_true",
            help="also where the database has rows of its own, which stay",
        )

    def handle(
        self,
        *,
        items: int,
        jobs: int | None,
        seed: int,
        figures_only: bool,
        yes: bool,
        **options: Any,
    ) -> None:
        load = Load(items, timezone.now(), jobs, seed, with_items=not figures_only)
        if items < FEWEST_ITEMS:
            raise CommandError(f"--items {items}: give {FEWEST_ITEMS} or more.")
        if load.jobs_here > items:
            raise CommandError(f"--jobs {jobs}: give {items} or fewer, one an item.")
        if not yes:
            _refuse_if_in_use()
        with _progress(items) as on_items:
            _seed(load, on_items)
        settle()
        made = counted(items, "item")
        if figures_only:
            self.stdout.write(f"Wrote the figures of {made}, without the items.")
            return
        self.stdout.write(
            f"Wrote {made}; `recount --check` says whether every figure agrees. "
            "A hold keeps any of it from being sent."
        )


def _seed(load: Load, on_items: Callable[[int], None]) -> None:
    seed(load, load_contents(), on_items)


def _refuse_if_in_use() -> None:
    """Raises CommandError where work or content is in the database."""
    for model in _models():
        if model._default_manager.exists():
            raise CommandError(
                f"This database has {model._meta.verbose_name_plural} of its own. "
                "Point DATABASE_URL, or DATA_DIR, at an empty one; or add --yes to "
                "write made-up rows beside them, which nothing takes out again."
            )


def _models() -> Iterator[type[models.Model]]:
    for app in apps.get_app_configs():
        if app.name.partition(".")[0] in ("batches", "translations"):
            for model in app.get_models():
                if model.__name__ not in NOBODYS_WORK:
                    yield model


@contextmanager
def _progress(items: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's stderr, and nothing elsewhere."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("items", total=items)
        yield partial(bar.advance, task)
