"""`manage.py reconcile_batches`: the provider's account against the jobs here."""

import getpass
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from batches.management.output import counted, told_to_the_operator
from batches.services.installation import adopt_database
from batches.services.reconciliation import (
    Reconciliation,
    become_new_installation,
    reconcile,
    what_would_be_left,
)


class Command(BaseCommand):
    help = "Compare all batches and files at the provider with the jobs here."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="change nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--adopt",
            action="store_true",
            help="first: this database is the original, moved or restored here",
        )
        which.add_argument(
            "--new-installation",
            action="store_true",
            help="first: this database is a copy; what is unfinished is the original's",
        )

    def handle(
        self, *, dry_run: bool, adopt: bool, new_installation: bool, **options: Any
    ) -> None:
        with told_to_the_operator():
            if adopt and not dry_run:
                adopt_database(by=_who())
                self.stderr.write("This database acts from here from now on.")
            if new_installation:
                self._leave_to_the_original(dry_run)
            report = reconcile(apply=not dry_run, now=timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict()))
        else:
            self._say(report)
        self._raise_trouble(report)

    def _leave_to_the_original(self, dry_run: bool) -> None:
        if dry_run:
            left, verb = what_would_be_left(), "would be"
        else:
            left = become_new_installation(by=_who(), now=timezone.now())
            verb = "were"
        self.stderr.write(
            f"{counted(left.jobs, 'job')} and {counted(left.items, 'waiting item')} "
            f"{verb} left to the original; retry them by hand to pay for them here."
        )

    def _say(self, report: Reconciliation) -> None:
        would = "would be " if report.is_dry_run else ""
        self.stdout.write(
            f"{counted(report.batches, 'batch', 'batches')} of this installation, "
            f"{report.known} known; {report.foreign} of others, left alone."
        )
        for found in report.adopted:
            self.stdout.write(f"Job {found['job']}: {would}given {found['batch']}.")
        for found in report.duplicates:
            self.stdout.write(
                f"Job {found['job']}: made twice, also as {found['batch']} "
                f"({found['status']})."
            )
        for found in report.vanished:
            self.stdout.write(
                f"Job {found['job']}: the provider does not know {found['batch']}."
            )
        for found in report.unknown:
            self.stdout.write(
                f"Unknown: {found['batch']} ({found['status']}, {found['completed']} "
                f"of {found['total']} lines done)."
            )
        files = counted(len(report.files_deleted), "file")
        jobs = counted(report.jobs_cleaned, "finished job")
        self.stdout.write(f"{files} and the files of {jobs} {would}deleted.")

    def _raise_trouble(self, report: Reconciliation) -> None:
        if report.trouble:
            raise CommandError("; ".join(report.trouble))
        if report.unknown:
            raise CommandError(
                f"{counted(len(report.unknown), 'batch', 'batches')} of this "
                "installation belong to no job here. Until a person has answered for "
                "them nothing is sent; see Alerts and Holds in the admin."
            )


def _who() -> str:
    return f"reconcile_batches ({getpass.getuser()})"
