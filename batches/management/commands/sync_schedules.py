"""`manage.py sync_schedules`: the worker's schedules as the settings say."""

from typing import Any

from django.core.management.base import BaseCommand

from batches.management.output import counted, told_to_the_operator
from batches.schedules import sync_schedules


class Command(BaseCommand):
    help = "Bring the worker's schedules in line with the settings."

    def handle(self, **options: Any) -> None:
        with told_to_the_operator():
            report = sync_schedules()
        for name in report.edited:
            self.stderr.write(f"{name} was edited in the admin; it is left as it is.")
        self.stdout.write(
            f"{counted(len(report.written), 'schedule')} written, "
            f"{len(report.removed)} removed, {len(report.edited)} left as edited."
        )
