"""Tables of content to collect from: a million rows, one in twenty without a result."""

import hashlib
import uuid
from collections.abc import Iterator
from typing import Any

from django.db import connection, transaction

from batches.services.bulk import is_postgres

INT, UUID = "benchmark_int", "benchmark_uuid"
ROWS_PER_LACKING = 20
WINDOW = 5_000
TEXT = (
    "Ilmaha la hadal maalin kasta, oo dhegayso waxa uu ku leeyahay. Lesson number "
    "{number} has a text of the usual length, so that the request is a usual one too."
)


def make_subjects(table: str, lacking: int) -> None:
    """Write subjects and results, so that `lacking` subjects have no result."""
    key_type = {INT: "bigint", UUID: "uuid" if is_postgres() else "char(32)"}[table]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} (id {key_type} PRIMARY KEY, text text)")
        cursor.execute(
            f"CREATE TABLE {table}_results (object_id varchar(255) PRIMARY KEY)"
        )
        numbers = range(1, lacking * ROWS_PER_LACKING + 1)
        _insert(
            f"{table} (id, text)",
            ((_key(table, n), TEXT.format(number=n)) for n in numbers),
        )
        _insert(
            f"{table}_results (object_id)",
            (
                (str(_uuid(n)) if table == UUID else str(n),)
                for n in numbers
                if n % ROWS_PER_LACKING
            ),
        )


def _key(table: str, number: int) -> str:
    """As Django's own fields keep it: a UUID without dashes on SQLite."""
    if table == INT:
        return str(number)
    return str(_uuid(number)) if is_postgres() else _uuid(number).hex


def _uuid(number: int) -> uuid.UUID:
    digest = hashlib.sha256(b"%d" % number).digest()
    return uuid.UUID(bytes=digest[:16], version=4)


def _insert(into: str, rows: Iterator[tuple[str, ...]]) -> None:
    with connection.cursor() as cursor:
        if is_postgres():
            with cursor.copy(f"COPY {into} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        marks = ", ".join("?" * (into.count(",") + 1))
        connection.connection.executemany(
            f"INSERT INTO {into} VALUES ({marks})",  # noqa: S608
            rows,  # noqa: S608
        )


def lacking(
    table: str, after: str, limit: int
) -> tuple[list[tuple[str, str]], str | None]:
    """At most `limit` (key, text) without a result, and the cursor; None at the end.

    Looks at windows of 5,000 keys in key order, and joins by the key as text, which is
    how the engine names subjects. Keys come from the index alone; a row is read only
    where it is wanted.
    """
    found: list[tuple[str, str]] = []
    last = after
    with connection.cursor() as cursor:
        while len(found) < limit:
            end = _end_of_window(cursor, table, last)
            bounds = " AND ".join(
                [f"s.id {sign} %s" for sign, key in ((">", last), ("<=", end)) if key]
            )
            cursor.execute(
                f"SELECT s.id, {_as_text(table)}, s.text FROM "  # noqa: S608
                f"(SELECT s.id FROM {table} s WHERE {bounds or '1 = 1'} "
                f"AND NOT EXISTS (SELECT 1 FROM {table}_results r "
                f"WHERE r.object_id = {_as_text(table)}) "
                f"ORDER BY s.id LIMIT %s) lacks JOIN {table} s ON s.id = lacks.id "
                "ORDER BY s.id",
                [*(key for key in (last, end) if key), limit - len(found)],
            )
            rows = cursor.fetchall()
            found += [(key, text) for _, key, text in rows]
            if len(found) == limit:
                return found, str(rows[-1][0])
            if not end:
                return found, None
            last = end
    return found, last


def _end_of_window(cursor: Any, table: str, last: str) -> str:
    """The last key of the next window; empty where fewer than a window are left."""
    begin = "WHERE id > %s" if last else ""
    cursor.execute(
        f"SELECT id FROM {table} {begin} ORDER BY id LIMIT 1 OFFSET {WINDOW - 1}",  # noqa: S608
        [last] if last else [],
    )
    row = cursor.fetchone()
    return str(row[0]) if row else ""


def _as_text(table: str) -> str:
    """SQL for a subject's key as Python's `str` writes it."""
    if is_postgres():
        return "s.id::text"
    if table == INT:
        return "CAST(s.id AS text)"
    cuts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    return " || '-' || ".join(f"substr(s.id, {start}, {n})" for start, n in cuts)
