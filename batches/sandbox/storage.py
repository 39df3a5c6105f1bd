"""The sandbox's own storage: one SQLite file and a folder of file contents.

Everything that must survive a kill of the process is in here before it is told to
anyone. One connection behind one lock: statements are short, contents never pass it.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson

from batches.sandbox.clock import Clock

FINAL = ("completed", "failed", "expired", "cancelled")

SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    purpose TEXT NOT NULL,
    filename TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL,
    visible_at REAL NOT NULL,
    deleted_at REAL,
    has_content INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE IF NOT EXISTS batches (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    model TEXT,
    input_file_id TEXT NOT NULL,
    visible_at REAL NOT NULL,
    queued_tokens INTEGER NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS batches_under_way ON batches (status, model);
CREATE TABLE IF NOT EXISTS lines (
    batch INTEGER NOT NULL,
    line INTEGER NOT NULL,
    custom_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    PRIMARY KEY (batch, line)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queue_changes (
    at REAL NOT NULL,
    model TEXT NOT NULL,
    tokens INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS webhook_endpoints (
    id TEXT PRIMARY KEY,
    document TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS deliveries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at REAL NOT NULL,
    tries INTEGER NOT NULL,
    next_at REAL
);
"""


@dataclass
class StoredFile:
    """A row of `files`; times are unix seconds, the bytes are at `Storage.path(id)`."""

    id: str
    purpose: str
    filename: str
    bytes: int
    created_at: float
    expires_at: float | None
    visible_at: float

    def to_wire(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.bytes,
            "created_at": int(self.created_at),
            "expires_at": None if self.expires_at is None else int(self.expires_at),
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


@dataclass
class Batch:
    """A batch as OpenAI shows it, and below the line what only the sandbox knows."""

    id: str
    endpoint: str
    input_file_id: str
    completion_window: str
    created_at: float
    expires_at: float
    metadata: dict[str, str] | None = None
    model: str | None = None
    status: str = "validating"
    errors: list[dict[str, Any]] | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    in_progress_at: float | None = None
    finalizing_at: float | None = None
    completed_at: float | None = None
    failed_at: float | None = None
    expired_at: float | None = None
    cancelling_at: float | None = None
    cancelled_at: float | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    # ----
    seq: int = 0
    visible_at: float = 0.0
    validate_at: float = 0.0
    queued_tokens: int = 0
    output_seconds: int | None = None  # lifetime asked for the result files
    ending: str | None = None  # the final status, once the lines are settled
    ending_errors: list[dict[str, Any]] | None = None
    planned_output_id: str | None = None
    planned_error_id: str | None = None
    output_bytes: int = 0  # of the work files, up to the last settled line
    error_bytes: int = 0
    empty_ids: bool = False  # shows "" where OpenAI shows null
    shown_usage: float | None = 1.0  # share of its tokens that it shows; None: no usage

    @classmethod
    def from_document(cls, text: str, seq: int) -> Self:
        batch = cls(**orjson.loads(text))
        batch.seq = seq
        return batch

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    def to_wire(self) -> dict[str, Any]:
        """Every key of the batch object, nulls included."""
        nothing = "" if self.empty_ids and self.is_final else None
        errors = (
            None if self.errors is None else {"object": "list", "data": self.errors}
        )
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "model": self.model,
            "errors": errors,
            "input_file_id": self.input_file_id,
            "completion_window": self.completion_window,
            "status": self.status,
            "output_file_id": self.output_file_id or nothing,
            "error_file_id": self.error_file_id or nothing,
            "created_at": int(self.created_at),
            "in_progress_at": _whole(self.in_progress_at),
            "expires_at": int(self.expires_at),
            "finalizing_at": _whole(self.finalizing_at),
            "completed_at": _whole(self.completed_at),
            "failed_at": _whole(self.failed_at),
            "expired_at": _whole(self.expired_at),
            "cancelling_at": _whole(self.cancelling_at),
            "cancelled_at": _whole(self.cancelled_at),
            "request_counts": {
                "total": self.total,
                "completed": self.completed,
                "failed": self.failed,
            },
            "usage": self._usage(),
            "metadata": self.metadata,
        }

    def _usage(self) -> dict[str, Any] | None:
        share = self.shown_usage
        if share is None:
            return None
        fresh, output = int(self.input_tokens * share), int(self.output_tokens * share)
        return {
            "input_tokens": fresh,
            "input_tokens_details": {"cached_tokens": self.cached_tokens},
            "output_tokens": output,
            "output_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
            "total_tokens": fresh + output,
        }


@dataclass
class FinishedLine:
    """One line that was executed; `tokens` are zero unless it is billed."""

    line: int  # 1-based, in the input file
    custom_id: str
    status: int
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = field(default=0, compare=False)


def _whole(moment: float | None) -> int | None:
    return None if moment is None else int(moment)


class Storage:
    """Files, batches, finished lines and webhook deliveries of one sandbox."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.directory = directory
        self.clock = clock
        self.contents = directory / "files"
        self.work = directory / "work"
        for folder in (directory, self.contents, self.work):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            directory / "sandbox.sqlite3", check_same_thread=False, isolation_level=None
        )
        # A killed process loses nothing with either setting; NORMAL also outlives a
        # power cut, at the price of losing its last moments.
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection.in_transaction:  # a caller of ours holds one already
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    # --- files ------------------------------------------------------------------------

    def path(self, file_id: str) -> Path:
        return self.contents / file_id

    def add_file(self, file: StoredFile) -> None:
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO files (id, purpose, filename, bytes, created_at,"
                " expires_at, visible_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    file.id,
                    file.purpose,
                    file.filename,
                    file.bytes,
                    file.created_at,
                    file.expires_at,
                    file.visible_at,
                ),
            )

    def file(self, file_id: str) -> StoredFile | None:
        """The file if a client can see it now: not deleted, not expired, not hidden."""
        found = self._files("AND id = ?", file_id)
        return found[0] if found else None

    def files(
        self, *, after: str | None, limit: int, newest_first: bool, purpose: str | None
    ) -> list[StoredFile]:
        where, values = "", []
        if purpose is not None:
            where += " AND purpose = ?"
            values.append(purpose)
        if after is not None:
            where += " AND seq < " if newest_first else " AND seq > "
            where += "(SELECT seq FROM files WHERE id = ?)"
            values.append(after)
        where += f" ORDER BY seq {'DESC' if newest_first else 'ASC'} LIMIT {limit:d}"
        return self._files(where, *values)

    def _files(self, where: str, *values: Any) -> list[StoredFile]:
        now = time.time()
        statement = (
            "SELECT id, purpose, filename, bytes, created_at, expires_at, visible_at"  # noqa: S608
            " FROM files WHERE deleted_at IS NULL AND visible_at <= ?"
            " AND (expires_at IS NULL OR expires_at > ?) " + where
        )
        return [StoredFile(*row) for row in self.rows(statement, now, now, *values)]

    def knows_file(self, file_id: str) -> bool:
        """Whether there ever was such a file; a page may go on after a deleted one."""
        return bool(self.rows("SELECT 1 FROM files WHERE id = ?", file_id))

    def delete_file(self, file_id: str) -> bool:
        """Forget the file; its bytes go once no batch reads them. False if unknown."""
        if self.file(file_id) is None:
            return False
        with self.transaction() as connection:
            connection.execute(
                "UPDATE files SET deleted_at = ? WHERE id = ?", (time.time(), file_id)
            )
        return True

    def file_deleted_at(self, file_id: str) -> float | None:
        """When the file was deleted or ran out (unix seconds); None while it lives."""
        rows = self.rows(
            "SELECT deleted_at, expires_at FROM files WHERE id = ?", file_id
        )
        if not rows:
            return None
        deleted_at, expires_at = rows[0]
        if deleted_at is None and expires_at is not None and expires_at <= time.time():
            return float(expires_at)
        return None if deleted_at is None else float(deleted_at)

    def live_files(self) -> int:
        statement = (
            "SELECT COUNT(*) FROM files WHERE deleted_at IS NULL"
            " AND (expires_at IS NULL OR expires_at > ?)"
        )
        return int(self.rows(statement, time.time())[0][0])

    def drop_unused_contents(self, keep_seconds: float) -> None:
        """Remove the bytes of files that were deleted or expired so long ago and that
        no open batch needs."""
        statement = (
            "SELECT id FROM files WHERE has_content"
            " AND (deleted_at <= :then OR expires_at <= :then)"
            " AND id NOT IN (SELECT input_file_id FROM batches WHERE status NOT IN"
            " ('completed', 'failed', 'expired', 'cancelled'))"
        )
        then = {"then": time.time() - keep_seconds}
        with self._lock:
            unused = self._connection.execute(statement, then).fetchall()
        for (file_id,) in unused:
            self.path(file_id).unlink(missing_ok=True)
            with self.transaction() as connection:
                connection.execute(
                    "UPDATE files SET has_content = 0 WHERE id = ?", (file_id,)
                )

    def drop_torn_uploads(self) -> None:
        """Remove what a kill left half uploaded."""
        for part in self.contents.glob("*.part"):
            part.unlink(missing_ok=True)

    # --- batches ----------------------------------------------------------------------

    def add_batch(self, batch: Batch) -> None:
        with self.transaction() as connection:
            batch.seq = (
                connection.execute(
                    "INSERT INTO batches (id, status, model, input_file_id, visible_at,"
                    " queued_tokens, document) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    self._batch_values(batch),
                ).lastrowid
                or 0
            )

    def batch(self, batch_id: str) -> Batch | None:
        rows = self.rows("SELECT document, seq FROM batches WHERE id = ?", batch_id)
        return Batch.from_document(*rows[0]) if rows else None

    def batches(self, *, after: int | None, limit: int) -> list[Batch]:
        """Batches the list already shows, newest first, older than sequence `after`."""
        rows = self.rows(
            "SELECT document, seq FROM batches WHERE visible_at <= ? AND seq < ?"
            " ORDER BY seq DESC LIMIT ?",
            time.time(),
            (1 << 62) if after is None else after,
            limit,
        )
        return [Batch.from_document(*row) for row in rows]

    def unfinished_batches(self) -> list[str]:
        rows = self.rows(
            "SELECT id FROM batches WHERE status NOT IN"
            " ('completed', 'failed', 'expired', 'cancelled') ORDER BY seq"
        )
        return [row[0] for row in rows]

    @contextmanager
    def changing(self, batch_id: str) -> Iterator[Batch]:
        """The batch as it is now, saved when the block ends; nobody writes between."""
        with self.transaction() as connection:
            row = connection.execute(
                "SELECT document, seq FROM batches WHERE id = ?", (batch_id,)
            ).fetchone()
            batch = Batch.from_document(*row)
            queued = batch.queued_tokens
            yield batch
            connection.execute(
                "UPDATE batches SET id = ?, status = ?, model = ?, input_file_id = ?,"
                " visible_at = ?, queued_tokens = ?, document = ? WHERE seq = ?",
                (*self._batch_values(batch), batch.seq),
            )
            if queued != batch.queued_tokens:
                self._note_queue(connection, batch.model or "")

    def _batch_values(self, batch: Batch) -> tuple[Any, ...]:
        return (
            batch.id,
            batch.status,
            batch.model,
            batch.input_file_id,
            batch.visible_at,
            batch.queued_tokens,
            orjson.dumps(asdict(batch)).decode(),
        )

    # --- the queue of input tokens ----------------------------------------------------

    def queued_tokens(self, model: str) -> int:
        """Input tokens of the batches of this model that were accepted and are open."""
        rows = self.rows(
            "SELECT COALESCE(SUM(queued_tokens), 0) FROM batches WHERE model = ?"
            " AND queued_tokens > 0",
            model,
        )
        return int(rows[0][0])

    def _note_queue(self, connection: sqlite3.Connection, model: str) -> None:
        connection.execute(
            "INSERT INTO queue_changes (at, model, tokens) VALUES (?, ?, ?)",
            (self.clock.now(), model, self.queued_tokens(model)),
        )

    # --- finished lines ---------------------------------------------------------------

    def add_lines(self, batch: Batch, lines: list[FinishedLine]) -> None:
        """Write down executed lines; the same line twice is an IntegrityError."""
        with self.transaction() as connection:
            connection.executemany(
                "INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        batch.seq,
                        line.line,
                        line.custom_id,
                        line.status,
                        line.input_tokens,
                        line.cached_tokens,
                        line.output_tokens,
                    )
                    for line in lines
                ],
            )

    def finished_lines(self, batch: Batch) -> set[int]:
        """Numbers (1-based) of the lines of this batch that were executed."""
        rows = self.rows("SELECT line FROM lines WHERE batch = ?", batch.seq)
        return {row[0] for row in rows}

    # --- result files -----------------------------------------------------------------

    def work_path(self, batch: Batch, kind: str) -> Path:
        """Where results (`output` or `error`) gather until the batch is final."""
        return self.work / f"{batch.id}_{kind}.jsonl"

    def publish(self, work: Path, file_id: str) -> int:
        """Move a finished work file to its place; safe to repeat. Size in bytes."""
        target = self.path(file_id)
        if work.exists():
            os.replace(work, target)
        return target.stat().st_size if target.exists() else 0
