"""Files on the way out and in: under SPOOL_DIR, disposable, one folder a job.

A file appears whole under its name or not at all. While it is written it has a name
that no other writer has: a process that was overtaken and goes on for a moment writes
beside the file of its successor, never into it.
"""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import orjson
from django.conf import settings
from django.db import connection

from batches.models import BatchJob, ItemRequest, OpenItem
from batches.services.rendering import OUTPUT_LIMITS

KEYS = 10_000  # of open items, listed in one query
PIECE_BYTES = 1024 * 1024  # of requests, held in memory at once


def job_dir(job: BatchJob) -> Path:
    """A job's folder, made where it is missing."""
    path: Path = settings.SPOOL_DIR / "jobs" / job.token
    path.mkdir(parents=True, exist_ok=True)
    return path


def remove_job_dir(job: BatchJob) -> None:
    shutil.rmtree(settings.SPOOL_DIR / "jobs" / job.token, ignore_errors=True)


def remove_parts(job: BatchJob) -> None:
    """Remove what killed processes left half written for a job that we hold."""
    for part in job_dir(job).glob("*.part"):
        part.unlink(missing_ok=True)


def write_input_file(job: BatchJob, *, on_block: Callable[[], None]) -> Path:
    """Write the requests of a job's open items as batch input lines, in key order.

    The stored body goes in as it is; it was rendered once, canonically. Only where an
    item is to be sent with a raised output limit is its body written anew. Flat memory:
    1 MB of requests at a time, or one that is larger; `on_block` is called before each
    and may raise to stop, which leaves nothing behind.
    """
    remove_parts(job)
    path = job_dir(job) / f"{job.submission_number}.jsonl"
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("wb") as out:
            for lines in _input_lines(job):
                on_block()
                out.write(lines)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    return path


# (item id, bytes of its body, raised output limit or None)
Key = tuple[int, int, int | None]


def _input_lines(job: BatchJob) -> Iterator[bytes]:
    """The lines of a job's file, a piece at a time."""
    url = orjson.dumps(job.endpoint)
    for piece in _pieces(job):
        bodies = _bodies(job, piece[0][0], piece[-1][0])
        if raised := {key: limit for key, _, limit in piece if limit is not None}:
            bodies = [
                (key, _with_limit(body, raised[key]) if key in raised else body)
                for key, body in bodies
            ]
        # Each body is encoded by itself: joined first, one emoji would quadruple the
        # memory of them all.
        yield b"".join(
            [
                b'{"custom_id":"%d","method":"POST","url":%b,"body":%b}\n'
                % (key, url, body.encode())
                for key, body in bodies
            ]
        )


def _pieces(job: BatchJob) -> Iterator[list[Key]]:
    """The keys of a job's open items in order, in pieces of about PIECE_BYTES."""
    last, size = 0, 0
    piece: list[Key] = []
    while keys := _keys(job, last):
        for key in keys:
            if piece and size + key[1] > PIECE_BYTES:
                yield piece
                piece, size = [], 0
            piece.append(key)
            size += key[1]
        last = keys[-1][0]
    if piece:
        yield piece


# Raw cursors: through the ORM the file costs half as much again.
def _keys(job: BatchJob, after: int) -> list[Key]:
    table = OpenItem._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT item_id, body_bytes, raised_limit FROM {table} "  # noqa: S608
            "WHERE job_id = %s AND item_id > %s ORDER BY item_id LIMIT %s",
            [job.pk, after, KEYS],
        )
        return cursor.fetchall()


def _bodies(job: BatchJob, first: int, last: int) -> list[tuple[int, str]]:
    """(item id, body) of the open items between two keys, both included.

    Both tables are told the bounds: PostgreSQL then merges two index scans, instead of
    reading all requests there are for each piece.
    """
    open_items, requests = OpenItem._meta.db_table, ItemRequest._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT o.item_id, r.body FROM {open_items} o "  # noqa: S608
            f"JOIN {requests} r ON r.item_id = o.item_id "
            "WHERE o.job_id = %s AND o.item_id BETWEEN %s AND %s "
            "AND r.item_id BETWEEN %s AND %s ORDER BY o.item_id",
            [job.pk, first, last, first, last],
        )
        return cursor.fetchall()


def _with_limit(body: str, limit: int) -> str:
    """A rendered body with another bound on its output, in the same canonical form."""
    request = orjson.loads(body)
    for name in OUTPUT_LIMITS:
        if name in request:
            request[name] = limit
    return orjson.dumps(request, option=orjson.OPT_SORT_KEYS).decode()
