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
    """What is promised of one measure: a bound, in a unit, on some databases."""

    title: str
    bound: float
    unit: str
    databases: frozenset[str] = BOTH
    at_least: bool = False  # else at most

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


TARGETS = {
    "P1": Target("Ingest, over raw COPY of the bytes", 3.0, "x", POSTGRES),
    "P2": Target("Ingest, over raw INSERT of the bytes", 3.0, "x", SQLITE),
}


@dataclass(frozen=True, slots=True)
class Result:
    """A measured value in its target's unit, and the figures that it came from."""

    key: str
    value: float
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
            "target": self.target.bound,
            "met": self.is_met,
            "unit": self.target.unit,
            "title": self.target.title,
            **self.details,
        }


def keys_here() -> list[str]:
    """The targets that the database in use has, in their order."""
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
            f"{'≥' if target.at_least else '≤'} {target.bound:g} {target.unit}",
            "met" if result.is_met else "MISSED",
            ", ".join(f"{name} {value}" for name, value in result.details.items()),
        )
    return shown
