"""The least that each database can ask for the same bytes or rows."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from django.db import connection, transaction

COMMIT_LINES = 5_000


def copy_lines(paths: Iterable[Path]) -> None:
    """Raw COPY of files, line by line, into a PostgreSQL table of one column."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS benchmark_floor")
        cursor.execute("CREATE TABLE benchmark_floor (line text)")
        command = "COPY benchmark_floor (line) FROM STDIN (FORMAT BINARY)"
        with cursor.copy(command) as copy:
            copy.set_types(["text"])
            for line in _lines(paths):
                copy.write_row((line,))


def insert_lines(paths: Iterable[Path]) -> None:
    """Raw INSERT of the same into a SQLite table, in commits of 5,000 lines."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS benchmark_floor")
        cursor.execute("CREATE TABLE benchmark_floor (line text)")
    lines = _lines(paths)
    while page := [(line,) for line in islice(lines, COMMIT_LINES)]:
        with transaction.atomic():
            connection.connection.executemany(
                "INSERT INTO benchmark_floor (line) VALUES (?)", page
            )


def _lines(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                yield line.decode()
