"""The least that each database can ask for the same bytes, and the plain loop."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import orjson
from django.db import connection, transaction
from django.utils import timezone

from batches.models import BatchItem, BatchJob, ItemAttempt, ItemRequest, OpenItem
from batches.services.bulk import is_postgres
from batches.states import AttemptOutcome, FileKind, ItemStatus

COMMIT_LINES = 5_000
TABLE = "benchmark_floor"


def write_lines(paths: Iterable[Path]) -> None:
    """Put files, line by line, into a new table of one column.

    PostgreSQL: one raw COPY; SQLite: raw INSERTs in commits of 5,000 lines.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {TABLE}")
        cursor.execute(f"CREATE TABLE {TABLE} (line text)")
    (_copy if is_postgres() else _insert)(_lines(paths))


def _copy(lines: Iterator[str]) -> None:
    command = f"COPY {TABLE} (line) FROM STDIN (FORMAT BINARY)"
    with connection.cursor() as cursor, cursor.copy(command) as copy:
        copy.set_types(["text"])
        for line in lines:
            copy.write_row((line,))


def _insert(lines: Iterator[str]) -> None:
    while page := [(line,) for line in islice(lines, COMMIT_LINES)]:
        with transaction.atomic():
            connection.connection.executemany(
                f"INSERT INTO {TABLE} (line) VALUES (?)",  # noqa: S608
                page,
            )


def _lines(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                yield line.decode()


def read_requests() -> None:
    """Read the columns that an input line is made of: COPY TO, or a bare SELECT."""
    table = ItemRequest._meta.db_table
    with connection.cursor() as cursor:
        if is_postgres():
            with cursor.copy(f"COPY {table} (item_id, body) TO STDOUT") as copy:
                for _ in copy:
                    pass
            return
        cursor.execute(f"SELECT item_id, body FROM {table}")  # noqa: S608
        while cursor.fetchmany(1_000):
            pass


def update_per_row(job: BatchJob, path: Path, lines: int) -> None:
    """What plain Django code does with so many lines of an output file.

    Kind to it: no `get` and `save`, no checks of the answer, and one commit for all.
    """
    with transaction.atomic(), path.open("rb") as file:
        for number, raw in enumerate(islice(file, lines), start=1):
            line = orjson.loads(raw)
            key, body = int(line["custom_id"]), line["response"]["body"]
            now = timezone.now()
            BatchItem.objects.filter(pk=key).update(
                status=ItemStatus.COMPLETE,
                input_tokens=body["usage"]["prompt_tokens"],
                output_tokens=body["usage"]["completion_tokens"],
                finished_at=now,
            )
            OpenItem.objects.filter(pk=key, job=job).delete()
            ItemAttempt.objects.create(
                item_id=key,
                job=job,
                outcome=AttemptOutcome.APPLIED,
                http_status=line["response"]["status_code"],
                finish_reason=body["choices"][0]["finish_reason"],
                input_tokens=body["usage"]["prompt_tokens"],
                output_tokens=body["usage"]["completion_tokens"],
                model_snapshot=body["model"],
                file_kind=FileKind.OUTPUT,
                line=number,
                answer=body["choices"][0]["message"]["content"].replace("\0", "\ufffd"),
                created_at=now,
            )
