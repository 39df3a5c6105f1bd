"""Many rows at once, in the way that each database is fastest at.

PostgreSQL takes binary COPY (12 times cheaper than `bulk_create`) and updates from a
temporary table; SQLite takes prepared statements, which run in this very process.
Every function works inside the caller's transaction.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar, cast

import orjson
from django.db import connection, models
from django.db.models.expressions import RawSQL
from psycopg.types.datetime import DatetimeBinaryDumper
from psycopg.types.json import set_json_dumps

Row = Sequence[Any]
M = TypeVar("M", bound=models.Model)


def is_postgres() -> bool:
    return connection.vendor == "postgresql"


def insert_rows(
    model: type[models.Model],
    fields: Sequence[str],
    rows: Iterable[Row],
    *,
    alike: Mapping[str, Any] | None = None,
) -> None:
    """Insert rows, each a tuple of values in the order of `fields` (field names).

    `alike` are further fields with the value that they have in every row. Values are
    Python's own (JSON as lists and dicts); defaults of the model are not applied.
    Generated keys are not returned: reserve them with `reserve_keys`.
    """
    alike = alike or {}
    columns = _columns(model, (*fields, *alike))
    tail = tuple(alike.values())
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if is_postgres():
            _copy(cursor, table, columns, ((*row, *tail) for row in rows))
            return
        names, marks = _names(columns), ", ".join(["%s"] * len(columns))
        given, same = columns[: len(fields)], columns[len(fields) :]
        tail = tuple(*_for_sqlite(same, [tail]))
        cursor.executemany(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608
            cast(Any, ((*row, *tail) for row in _for_sqlite(given, rows))),
        )


def update_rows(
    model: type[models.Model],
    fields: Sequence[str],
    rows: Sequence[Row],
) -> None:
    """Set `fields` of rows by primary key: each row is (key, value, value, …)."""
    if not rows:
        return
    columns = _columns(model, fields)
    pk: Any = model._meta.pk
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if is_postgres():
            _update_from_stage(cursor, table, pk, columns, rows)
            return
        sets = ", ".join(f'"{column.column}" = %s' for column in columns)
        cursor.executemany(
            f'UPDATE {table} SET {sets} WHERE "{pk.column}" = %s',  # noqa: S608
            [(*row[1:], row[0]) for row in _for_sqlite([pk, *columns], rows)],
        )


def add_to_rows(
    model: type[models.Model],
    keys: Sequence[str],
    sums: Sequence[str],
    rows: Sequence[Row],
) -> None:
    """Add to the `sums` of the rows with these `keys`, making those that lack.

    Each row is (key, key, …, number, number, …); `keys` are a unique constraint's.
    """
    if not rows:
        return
    columns = _columns(model, (*keys, *sums))
    table = model._meta.db_table
    added = ", ".join(
        f'"{c.column}" = {table}."{c.column}" + excluded."{c.column}"'
        for c in columns[len(keys) :]
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {table} ({_names(columns)}) "  # noqa: S608
            f"VALUES ({', '.join(['%s'] * len(columns))}) "
            f"ON CONFLICT ({_names(columns[: len(keys)])}) DO UPDATE SET {added}",
            list(rows),
        )


def _update_from_stage(
    cursor: Any, table: str, pk: Any, columns: list[Any], rows: Sequence[Row]
) -> None:
    """COPY to a temporary table, then one UPDATE: half the price of unnest()."""
    stage = f"stage_{table}"
    staged = [pk, *columns]
    defined = ", ".join(f'"{column.column}" {_pg_type(column)}' for column in staged)
    sets = ", ".join(f'"{c.column}" = s."{c.column}"' for c in columns)
    keys = [row[0] for row in rows]
    cursor.execute(f"CREATE TEMP TABLE {stage} ({defined}) ON COMMIT DROP")
    _copy(cursor, stage, staged, rows)
    with joining_whole_sets(cursor):
        cursor.execute(
            f"UPDATE {table} t SET {sets} FROM {stage} s "  # noqa: S608
            f'WHERE t."{pk.column}" = s."{pk.column}" '
            # A table without statistics beside one of millions: this keeps the planner
            # from reading all of it when the rows are neighbours.
            f'AND t."{pk.column}" BETWEEN %s AND %s',
            [min(keys), max(keys)],
        )
    cursor.execute(f"DROP TABLE {stage}")


@contextmanager
def joining_whole_sets(cursor: Any) -> Iterator[None]:
    """Have PostgreSQL join thousands of rows with thousands as such.

    In tables that grew since they were last analysed it expects one row on either
    side, and would go through all of one for each of the other.
    """
    if not is_postgres():
        yield
        return
    cursor.execute("SET LOCAL enable_nestloop = off")
    yield
    cursor.execute("SET LOCAL enable_nestloop TO DEFAULT")


def _copy(cursor: Any, table: str, columns: list[Any], rows: Iterable[Row]) -> None:
    # `copy` is psycopg's own: Django does not put its errors into its own words there.
    command = f"COPY {table} ({_names(columns)}) FROM STDIN (FORMAT BINARY)"
    with connection.wrap_database_errors, cursor.copy(command) as copy:
        set_json_dumps(orjson.dumps, copy.cursor)
        copy.cursor.adapters.register_dumper(datetime, _SameTimeDumper)
        copy.set_types([_pg_type(column) for column in columns])
        for row in rows:
            copy.write_row(row)


class _SameTimeDumper(DatetimeBinaryDumper):
    """Times for COPY: nearly all rows of one have the same, which is made once."""

    def __init__(self, cls: type, context: Any = None) -> None:
        super().__init__(cls, context)
        self._last: tuple[datetime | None, Any] = (None, None)

    def dump(self, obj: datetime) -> Any:
        time, dumped = self._last
        if obj is not time:
            dumped = super().dump(obj)
            self._last = (obj, dumped)
        return dumped


def _names(columns: list[Any]) -> str:
    return ", ".join(f'"{column.column}"' for column in columns)


def reserve_keys(model: type[models.Model], count: int) -> Sequence[int]:
    """Take `count` primary keys that no other process will use.

    SQLite has no sequences: there the caller's transaction already excludes other
    writers, and the table's own counter follows the greatest key inserted.
    """
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if is_postgres():
            # The sequence is looked up once: for each key, that would be most of it.
            cursor.execute(
                "WITH keys AS MATERIALIZED "
                "(SELECT pg_get_serial_sequence(%s, 'id')::regclass AS sequence) "
                "SELECT nextval(sequence) FROM keys, generate_series(1, %s)",
                [table, count],
            )
            return [key for (key,) in cursor.fetchall()]
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        last = cursor.fetchone()
        first = (last[0] if last else 0) + 1
        return range(first, first + count)


def one_of(column: str, keys: Iterable[int]) -> tuple[str, Any]:
    """SQL and its one parameter for `column IN (keys)`, however many keys."""
    if is_postgres():
        return f"{column} = ANY(%s::bigint[])", _array(keys)
    return f"{column} IN (SELECT value FROM json_each(%s))", json.dumps(list(keys))  # noqa: S608


def in_keys(
    rows: models.QuerySet[M], field: str, keys: Iterable[int]
) -> models.QuerySet[M]:
    """Rows whose `field` is one of the keys, however many keys."""
    sql, param = (
        ("SELECT unnest(%s::bigint[])", _array(keys))
        if is_postgres()
        else ("SELECT value FROM json_each(%s)", json.dumps(list(keys)))
    )
    return rows.filter(**{f"{field}__in": RawSQL(sql, [param])})  # noqa: S611  # our words


def _array(keys: Iterable[int]) -> str:
    """An array's literal: psycopg takes ten times as long to make it of a list."""
    return f"{{{','.join(map(str, keys))}}}"


def _columns(model: type[models.Model], names: Sequence[str]) -> list[Any]:
    return [model._meta.get_field(name) for name in names]


def _pg_type(column: Any) -> str:
    kind = column.cast_db_type(connection) if not column.is_relation else None
    if kind is None:
        kind = column.target_field.cast_db_type(connection)
    return str(kind).split("(")[0].replace("character varying", "varchar")


def _for_sqlite(columns: Sequence[Any], rows: Iterable[Row]) -> Iterator[Row]:
    """Rows with times and JSON as SQLite keeps them; the rest goes in as it is."""
    special: list[tuple[int, Callable[[Any], Any]]] = []
    for place, column in enumerate(columns):
        if isinstance(column, models.JSONField):
            special.append((place, _json_text))
        elif isinstance(column, models.DateTimeField):
            special.append((place, _TimesInWords(column).__getitem__))
    if not special:
        yield from rows
        return
    for row in rows:
        values = list(row)
        for place, in_words in special:
            values[place] = in_words(values[place])
        yield values


def _json_text(value: Any) -> str:
    return orjson.dumps(value).decode()


class _TimesInWords(dict[Any, Any]):
    """{time: as SQLite keeps it}: rows of one commit share theirs."""

    def __init__(self, column: Any) -> None:
        self._column = column

    def __missing__(self, time: Any) -> Any:
        words = self._column.get_db_prep_save(time, connection=connection)
        self[time] = words
        return words
