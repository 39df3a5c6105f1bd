"""The automatic checks, for anybody's file of translations."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from batches.management.output import counted
from translations.pair_files import READERS, Entry, FileRefused, Told, read_entries
from translations.quality import Finding, check_pair, score
from translations.quality.answers import ending

ENTRIES_PER_LINE = 5_000  # of progress


class Command(BaseCommand):
    help = "Checks the translations in a file: JSON Lines, PO or XLIFF."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file",
            metavar="FILE",
            help=f"{', '.join(READERS)}; - reads JSON Lines from stdin",
        )
        parser.add_argument(
            "--json",
            action="store_true",
            help="print one JSON object for each translation, in the file's order",
        )
        parser.add_argument(
            "--source-language",
            default="",
            metavar="TAG",
            help="where the file does not say; PO files do not (default there: en)",
        )
        parser.add_argument(
            "--target-language",
            default="",
            metavar="TAG",
            help="where the file does not say",
        )

    def handle(
        self,
        *,
        file: str,
        json: bool,
        source_language: str,
        target_language: str,
        **options: Any,
    ) -> None:
        told = Told(
            source_language, target_language, frozenset(settings.LANGUAGES_TOLD_APART)
        )
        name = "standard input.jsonl" if file == "-" else Path(file).name
        skipped: Counter[str] = Counter()
        tally = Tally()
        refusal = ""
        try:
            with _opened(file) as stream:
                for entry in read_entries(stream, name, told, skipped):
                    self._show(entry, tally, as_json=json)
        except FileRefused as err:
            refusal = str(err)
        for reason, count in skipped.items():
            self.stderr.write(f"Not checked, because {reason}: {count}")
        if refusal:
            raise CommandError(f"{refusal} Checked before that: {tally.checked}.")
        if not tally.total:
            raise CommandError(f"{file} has no translations to check.")
        (self.stderr if json else self.stdout).write(tally.summary())
        if tally.bad:
            raise CommandError(
                f"{counted(tally.bad, 'translation has', 'translations have')} errors."
            )

    def _show(self, entry: Entry, tally: "Tally", *, as_json: bool) -> None:
        if entry.pair is None:
            tally.add_unreadable()
            self.stderr.write(f"{_place(entry)}: {entry.problem}.")
            if as_json:
                self.stdout.write(_unreadable(entry))
            return
        findings = [*ending(entry.finish_reason), *check_pair(entry.pair)]
        points = score(findings)
        tally.add(findings)
        if as_json:
            self.stdout.write(_as_json(entry, findings, points))
        elif findings:
            self.stdout.write(f"{_place(entry)}: {points} of 100")
            for finding in findings:
                self.stdout.write(
                    f"  {finding.severity} {finding.code}: {finding.message}"
                )
        if tally.total % ENTRIES_PER_LINE == 0:
            self.stderr.write(f"{tally.total:,} translations read")


class Tally:
    """What came of the translations so far."""

    def __init__(self) -> None:
        self.total = self.clean = self.warned = self.faulty = self.unreadable = 0
        self.codes: Counter[tuple[str, str]] = Counter()

    @property
    def checked(self) -> int:
        return self.total - self.unreadable

    @property
    def bad(self) -> int:
        return self.faulty + self.unreadable

    def add(self, findings: list[Finding]) -> None:
        self.total += 1
        severities = {finding.severity for finding in findings}
        if "error" in severities:
            self.faulty += 1
        elif "warning" in severities:
            self.warned += 1
        else:
            self.clean += 1
        self.codes.update({(finding.severity, finding.code) for finding in findings})

    def add_unreadable(self) -> None:
        self.total += 1
        self.unreadable += 1

    def summary(self) -> str:
        lines = [
            f"{counted(self.total, 'translation')}: {self.faulty:,} with errors, "
            f"{self.warned:,} with warnings only, {self.clean:,} clean, "
            f"{self.unreadable:,} unreadable."
        ]
        for (severity, code), count in sorted(self.codes.items()):
            lines.append(f"  {severity:8}{code:22}{count:>7,}")
        return "\n".join(lines)


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 (only opening may fail so)
    except OSError as err:
        raise CommandError(
            f"{file} cannot be read ({err.strerror}); check the path."
        ) from err
    with stream:
        yield stream


def _place(entry: Entry) -> str:
    """`line 3, id a-7`; the id is left out where it is the number of the line."""
    if entry.place == f"line {entry.id}":
        return entry.place.capitalize()
    label = " ".join(str(entry.id).split())
    label = label if len(label) <= 60 else label[:59] + "…"
    return f"{entry.place.capitalize()}, {label}"


def _as_json(entry: Entry, findings: list[Finding], points: int) -> str:
    by_severity: dict[str, list[str]] = {"error": [], "warning": [], "note": []}
    for finding in findings:
        codes = by_severity[finding.severity]
        if finding.code not in codes:
            codes.append(finding.code)
    row: dict[str, Any] = {
        "id": entry.id,
        "codes": by_severity["error"] + by_severity["warning"],
        "errors": by_severity["error"],
        "warnings": by_severity["warning"],
        "score": points,
    }
    if by_severity["note"]:
        row["notes"] = by_severity["note"]
    return orjson.dumps(row).decode()


def _unreadable(entry: Entry) -> str:
    row = {
        "id": entry.id,
        "codes": ["unreadable"],
        "errors": ["unreadable"],
        "warnings": [],
        "score": 0,
        "problem": entry.problem,
    }
    return orjson.dumps(row).decode()
