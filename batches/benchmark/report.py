"""Targets, what was measured against them, and how both are shown."""

import os
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.db import connection
from rich.table import Table

from batches.services.bulk import is_postgres

BOTH = frozenset({"postgresql", "sqlite"})
POSTGRES = frozenset({"postgresql"})
SQLITE = frozenset({"sqlite"})


@dataclass(frozen=True, slots=True)
class Target:
    """What is promised of one figure: a bound, in a unit, on some databases."""

    title: str
    bound: float
    unit: str
    databases: frozenset[str] = BOTH
    on_sqlite: float | None = None  # the bound there, where it is another
    at_least: bool = False  # else at most

    @property
    def bound_here(self) -> float:
        if self.on_sqlite is not None and not is_postgres():
            return self.on_sqlite
        return self.bound

    def is_met(self, value: float) -> bool:
        bound = self.bound_here
        return value >= bound if self.at_least else value <= bound


TARGETS = {
    "P1": Target("Ingest, over raw COPY of the bytes", 3.0, "x", POSTGRES),
    "P1b": Target("The same with translations, judge apart", 4.0, "x", POSTGRES),
    "P2": Target("Ingest, over raw INSERT of the bytes", 3.0, "x", SQLITE),
    "P2b": Target("The same with translations, judge apart", 3.7, "x", SQLITE),
    "P3": Target("Plain loop of updates, over ingest", 20.0, "x", at_least=True),
    "P4": Target("Memory growth while ingesting", 40.0, "MB"),
    "P4-flat": Target("Greatest over least of three sizes", 1.2, "x"),
    "P4-checks": Target("The same with translations and all checks", 60.0, "MB"),
    "P5": Target("Input file, over reading its columns", 2.5, "x", on_sqlite=5.0),
    "P5-memory": Target("Memory growth while writing it", 20.0, "MB"),
    "P6": Target("Round trip through a local sandbox", 8.0, "s"),
    "P7": Target("Monitoring summary, slowest range", 20.0, "ms"),
    "P7-flat": Target("The same, slowest over quickest range", 1.5, "x"),
    "P7-10m": Target("The same with figures of 10 million items", 20.0, "ms"),
    "P7-10m-flat": Target("And slowest over quickest range", 1.5, "x"),
    "P8": Target("Slowest list or page", 300.0, "ms"),
    "P8-cpu": Target("Slowest list or page, in CPU", 300.0, "ms"),
    "P8-queries": Target("Most queries of a list or page", 15.0, "queries"),
    "P8-counts": Target("Pages that count all items", 0.0, "pages"),
    "P9": Target("Replay of finished files, over first pass", 0.6, "x"),
    "P10": Target("All checks of a text of 500 characters", 1.0, "ms"),
    "P11": Target("Collect 1 in 20 subjects, int keys", 5.0, "CPU s"),
    "P11-uuid": Target("Collect 1 in 20 subjects, UUID keys", 5.0, "CPU s"),
    "P11-memory": Target("Memory growth while collecting", 40.0, "MB"),
    "P12": Target("Bundle all items", 2.0, "CPU s"),
    "P12-lock": Target("Bundling lock, at most held", 3.0, "s"),
    "P13": Target("Insert items, over raw COPY", 6.0, "x", POSTGRES),
}


@dataclass(frozen=True, slots=True)
class Result:
    """A measured value in its target's unit, and the figures that it came from.

    `basis` says them to a person, `details` to a program.
    """

    key: str
    value: float
    basis: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> Target:
        return TARGETS[self.key]

    @property
    def is_met(self) -> bool:
        return self.target.is_met(self.value)

    def as_dict(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "target": self.target.bound_here,
            "met": self.is_met,
            "unit": self.target.unit,
            "title": self.target.title,
            **self.details,
        }


def figures_here() -> list[str]:
    """The keys of all figures that the database in use has, in their order."""
    return [
        key for key, target in TARGETS.items() if connection.vendor in target.databases
    ]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the figures were taken."""

    cpu: str
    cores: int
    python: str
    django: str
    psycopg: str
    database: str
    lines: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def this_machine(lines: int) -> Machine:
    return Machine(
        cpu=_cpu_name(),
        cores=os.cpu_count() or 0,
        python=platform.python_version(),
        django=version("django"),
        psycopg=version("psycopg"),
        database=_database(),
        lines=lines,
    )


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _database() -> str:
    if is_postgres():
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            return f"PostgreSQL {cursor.fetchone()[0]}"
    import sqlite3

    return f"SQLite {sqlite3.sqlite_version}"


def table(results: list[Result]) -> Table:
    """Value beside target, for a person."""
    shown = Table(box=None, pad_edge=False)
    for name in ("", "What", "Measured", "Target", "", "From"):
        shown.add_column(name, no_wrap=name != "From")
    for result in results:
        target = result.target
        shown.add_row(
            result.key,
            target.title,
            f"{result.value:.2f} {target.unit}",
            f"{'≥' if target.at_least else '≤'} {target.bound_here:g} {target.unit}",
            "met" if result.is_met else "MISSED",
            result.basis,
        )
    return shown
