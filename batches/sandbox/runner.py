"""Working batches off: validating, in_progress, finalizing, and the four endings.

One thread a batch. Results are appended to work files and the lines behind them are
written down in one transaction with the files' lengths, so that a process that was
killed cuts the files back to what is written down and goes on from there: a line that
was finished is neither asked nor billed again.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import orjson

from batches.sandbox.answering import WRITTEN_AS_OUTPUT, Answering, Settled
from batches.sandbox.faults import seeded
from batches.sandbox.lines import LineWriter, not_executed
from batches.sandbox.storage import Batch, StoredFile
from batches.sandbox.validation import (
    Lines,
    batch_error,
    cannot_find_file,
    read_lines,
    token_limit_error,
)
from batches.sandbox.wire import file_id

if TYPE_CHECKING:
    from batches.sandbox.app import Sandbox

logger = logging.getLogger("batches.sandbox")

RESULT_LIFETIME_SECONDS = 30 * 86400
TICK_SECONDS = 0.05
STANDSTILL_TICK_SECONDS = 0.01  # how soon a batch finds that the clock runs again


class Runner:
    """The threads of the batches that are under way."""

    def __init__(self, sandbox: "Sandbox") -> None:
        self.sandbox = sandbox
        self.stopping = threading.Event()
        self._wakers: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        at_once = sandbox.responder.at_once
        self.pool = ThreadPoolExecutor(at_once, "upstream") if at_once else None

    def start(self, batch_id: str) -> None:
        waker = threading.Event()
        with self._lock:
            self._wakers[batch_id] = waker
        threading.Thread(
            target=self._run, args=(batch_id, waker), name=batch_id, daemon=True
        ).start()

    def resume(self) -> None:
        """Go on with every batch that a stop or a kill left unfinished."""
        for batch_id in self.sandbox.storage.unfinished_batches():
            self.start(batch_id)

    def wake(self, batch_id: str) -> None:
        """Make the batch look at its row: somebody cancelled it."""
        with self._lock:
            waker = self._wakers.get(batch_id)
        if waker is not None:
            waker.set()

    def stop(self) -> None:
        self.stopping.set()
        with self._lock:
            for waker in self._wakers.values():
                waker.set()
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, batch_id: str, waker: threading.Event) -> None:
        try:
            BatchRun(self, batch_id, waker).run()
        except Stopped:
            pass
        except Exception:
            if self.stopping.is_set():
                return  # the storage was closed under it
            logger.exception(
                "sandbox batch %s stopped on an error of its own", batch_id
            )
            with self.sandbox.storage.changing(batch_id) as batch:
                batch.status, batch.failed_at = "failed", self.sandbox.clock.now()
                batch.queued_tokens = 0
                batch.errors = [batch_error("server_error", "The sandbox failed.")]
        finally:
            with self._lock:
                self._wakers.pop(batch_id, None)


class Stopped(Exception):
    """The sandbox is going down; the batch goes on at the next start."""


class BatchRun:
    """One batch from where its row says it is to its end."""

    def __init__(self, runner: Runner, batch_id: str, waker: threading.Event) -> None:
        self.runner = runner
        self.sandbox = runner.sandbox
        self.storage = runner.sandbox.storage
        self.faults = runner.sandbox.faults
        self.clock = runner.sandbox.clock
        self.id = batch_id
        self.waker = waker
        self.lines = Lines()
        self.interruption: str | None = None  # how the batch ends before its last line

    def run(self) -> None:
        batch = self._batch()
        if batch.status == "validating":
            self._validate(batch)
        elif not batch.is_final and batch.planned_output_id is None:
            self.lines = read_lines(
                self.storage.path(batch.input_file_id), batch.endpoint, any_model=True
            )
        batch = self._batch()
        if batch.status == "cancelling" and batch.in_progress_at is None:
            self._end(batch, "cancelled")
        elif batch.status in ("in_progress", "cancelling") and batch.ending is None:
            self._work(batch)
        batch = self._batch()
        if not batch.is_final and batch.ending is not None:
            self._finish(batch)
        self.sandbox.drop_unused_contents()

    def _batch(self) -> Batch:
        batch = self.storage.batch(self.id)
        if batch is None:
            raise Stopped
        return batch

    # --- validating -------------------------------------------------------------------

    def _validate(self, batch: Batch) -> None:
        """Read the whole file; refuse it with all that is wrong, or begin."""
        began = self.clock.now()
        self._wait_until(lambda: time.time() >= batch.validate_at)
        if self._is_cancelling():
            return
        errors = self._file_error(batch)
        if not errors:
            path = self.storage.path(batch.input_file_id)
            any_model = self.sandbox.responder.any_model
            try:
                self.lines = read_lines(
                    path,
                    batch.endpoint,
                    any_model=any_model,
                    stopped=self.runner.stopping.is_set,
                )
            except FileNotFoundError:
                errors = [cannot_find_file(batch.input_file_id)]
            self._stop_if_told()
        self._pace(began, self.sandbox.pace.validating)
        if self._is_cancelling():
            return
        # A file that was deleted meanwhile is missing too.
        errors = errors or self.lines.errors or self._file_error(batch)
        if not errors and self.faults.strikes("billing_limit"):
            errors = [
                batch_error(
                    "billing_hard_limit_reached", "Billing hard limit has been reached."
                )
            ]
        with self.storage.changing(self.id) as batch:
            if batch.status != "validating":
                return
            batch.model = self.lines.model
            queued = self.lines.input_tokens
            limit = self.sandbox.token_limit(batch.model or "")
            waiting = self.storage.queued_tokens(batch.model or "")
            if not errors and limit is not None and waiting + queued > limit:
                is_told = not (self.faults.on("token_limit") or {}).get("untold")
                errors = [token_limit_error(batch.model or "", limit, is_told=is_told)]
            if errors:
                batch.status, batch.failed_at = "failed", self.clock.now()
                batch.errors = errors
            else:
                batch.status = "in_progress"
                batch.in_progress_at = self.clock.now()
                batch.total = len(self.lines.offsets)
                batch.queued_tokens = queued
        if errors:
            self.sandbox.webhooks.announce(batch)

    def _file_error(self, batch: Batch) -> list[dict[str, Any]]:
        if self.storage.file(batch.input_file_id) is not None:
            return []
        deleted_at = self.storage.file_deleted_at(batch.input_file_id)
        still_found = self.sandbox.late_delete_seconds
        if deleted_at is not None and time.time() < deleted_at + still_found:
            return []
        return [cannot_find_file(batch.input_file_id)]

    # --- in progress ------------------------------------------------------------------

    def _work(self, batch: Batch) -> None:
        """Answer the lines that are not answered yet, in an order of our own."""
        now = self.clock.now()
        began = min(batch.in_progress_at or now, now)
        done = self.storage.finished_lines(batch)
        order = [n for n in range(batch.total) if n + 1 not in done]
        seeded(self.sandbox.seed, batch.seq).shuffle(order)
        self._cut_back(batch)
        stop_at = self._stop_at(batch)
        if stop_at is not None:
            order = order[: max(0, stop_at - len(done))]
        with (
            self.storage.path(batch.input_file_id).open("rb") as source,
            self.storage.work_path(batch, "output").open("ab") as output,
            self.storage.work_path(batch, "error").open("ab") as error,
        ):
            answering = Answering(
                self.sandbox, batch, self.lines, source.fileno(), self.runner.pool
            )
            finished = len(done)
            self._look_up(batch, finished)
            for settled in answering.of(
                order,
                look_up=lambda finished: self._look_up(batch, finished),
                is_over=lambda: self.interruption is not None,
            ):
                output.write(b"".join(settled.output))
                error.write(b"".join(settled.errors))
                output.flush()
                error.flush()
                self._write_down(batch, settled, output.tell(), error.tell())
                finished += len(settled.rows)
                running = self.sandbox.pace.running
                self._pace(began, running * finished / batch.total)
                self._look_up(batch, finished)
        ending = self.interruption or ("completed" if stop_at is None else "expired")
        with self.storage.changing(self.id) as batch:
            batch.ending = ending
            if ending == "failed":
                batch.ending_errors = [cannot_find_file(batch.input_file_id)]
            if batch.status == "in_progress" and ending == "completed":
                batch.status = "finalizing"
                batch.finalizing_at = self.clock.now()

    def _write_down(
        self, batch: Batch, settled: Settled, output_bytes: int, error_bytes: int
    ) -> None:
        """Rows, counts and file lengths of one chunk, in one transaction."""
        with self.storage.changing(self.id) as row:
            self.storage.add_lines(row, settled.rows)
            for line in settled.rows:
                if line.status in WRITTEN_AS_OUTPUT:
                    row.completed += 1
                else:
                    row.failed += 1
                row.input_tokens += line.input_tokens
                row.cached_tokens += line.cached_tokens
                row.output_tokens += line.output_tokens
                row.reasoning_tokens += line.reasoning_tokens
            row.output_bytes, row.error_bytes = output_bytes, error_bytes

    def _cut_back(self, batch: Batch) -> None:
        """Drop what a killed process wrote after its last transaction."""
        for kind, size in (
            ("output", batch.output_bytes),
            ("error", batch.error_bytes),
        ):
            with self.storage.work_path(batch, kind).open("ab") as work:
                work.truncate(size)

    def _stop_at(self, batch: Batch) -> int | None:
        """How many lines are answered before the batch expires by a fault."""
        fault = self.faults.strikes("expire_partial")
        return None if fault is None else int(batch.total * fault["share"])

    def _look_up(self, batch: Batch, finished: int) -> None:
        """Between two chunks: note whether, and how, the batch ends now."""
        while self.interruption is None:
            self._stop_if_told()
            if self._is_cancelling():
                self.interruption = "cancelled"
            elif time.time() >= batch.expires_at:
                self.interruption = "expired"
            elif self.faults.on("file_needed") and self.storage.file_deleted_at(
                batch.input_file_id
            ):
                self.interruption = "failed"
            elif self.faults.on("never_ending") is None or 2 * finished < batch.total:
                return
            else:
                self._sleep(TICK_SECONDS)

    # --- the end ----------------------------------------------------------------------

    def _finish(self, batch: Batch) -> None:
        """Write what was not executed, publish both files, and end."""
        began = self.clock.now()
        self._finish_files(batch)
        if batch.status == "finalizing":
            self._wait_until(lambda: self.faults.on("stuck_finalizing") is None)
        self._pace(began, self.sandbox.pace.finalizing)
        batch = self._batch()
        ending = batch.ending or "completed"
        if batch.status == "cancelling":
            ending = "cancelled"
        elif batch.status == "finalizing" and time.time() >= batch.expires_at:
            ending = "expired"
        self._end(batch, ending)

    def _finish_files(self, batch: Batch) -> None:
        """The lines that were not executed go to the error file; safe to repeat."""
        if batch.planned_output_id is None:
            self._cut_back(batch)
            if batch.ending != "completed":
                self._write_not_executed(batch)
            with self.storage.changing(self.id) as row:
                row.planned_output_id, row.planned_error_id = file_id(), file_id()

    def _write_not_executed(self, batch: Batch) -> None:
        done = self.storage.finished_lines(batch)
        left = [n for n in range(batch.total) if n + 1 not in done]
        code = {"cancelled": "batch_cancelled"}.get(batch.ending or "", "batch_expired")
        if batch.ending == "failed":
            return
        line_end = LineWriter(self.sandbox, batch).line_end
        path = self.storage.path(batch.input_file_id)
        with (
            path.open("rb") as source,
            self.storage.work_path(batch, "error").open("ab") as error,
        ):
            for number in left:
                raw = os.pread(
                    source.fileno(),
                    self.lines.lengths[number],
                    self.lines.offsets[number],
                )
                error.write(
                    not_executed(orjson.loads(raw)["custom_id"], code) + line_end
                )
        if self.faults.on("expire_counted"):
            with self.storage.changing(self.id) as row:
                row.failed = row.total - row.completed

    def _end(self, batch: Batch, ending: str) -> None:
        now = self.clock.now()
        published = self._publish(batch, now)
        with self.storage.changing(self.id) as row:
            for file in published.values():
                self.storage.add_file(file)
            row.output_file_id = (
                published["output"].id if "output" in published else None
            )
            row.error_file_id = published["error"].id if "error" in published else None
            row.status = ending
            setattr(row, f"{ending}_at", now)
            row.errors = row.ending_errors
            row.queued_tokens = 0
            row.empty_ids = self.faults.strikes("empty_string_ids") is not None
            other = self.faults.strikes("other_batch_usage")
            if other is not None:
                row.shown_usage = float(other["share"])
            if self.faults.strikes("no_batch_usage") is not None:
                row.shown_usage = None
        self.sandbox.webhooks.announce(row)

    def _publish(self, batch: Batch, now: float) -> dict[str, StoredFile]:
        """Each result file that has a line (or that a fault wants empty) as a file."""
        published: dict[str, StoredFile] = {}
        if batch.planned_output_id is None or batch.planned_error_id is None:
            return published
        empty_too = self.faults.strikes("empty_files") is not None
        lifetime = batch.output_seconds or RESULT_LIFETIME_SECONDS
        for kind, planned in (
            ("output", batch.planned_output_id),
            ("error", batch.planned_error_id),
        ):
            work = self.storage.work_path(batch, kind)
            size = self.storage.publish(work, planned)
            if size == 0 and not empty_too:
                self.storage.path(planned).unlink(missing_ok=True)
                continue
            name = f"{batch.id}_{kind}.jsonl"
            published[kind] = StoredFile(
                planned, "batch_output", name, size, now, now + lifetime, now
            )
        return published

    # --- waiting ----------------------------------------------------------------------

    def _is_cancelling(self) -> bool:
        return self._batch().status == "cancelling"

    def _stop_if_told(self) -> None:
        if self.runner.stopping.is_set():
            raise Stopped

    def _sleep(self, seconds: float) -> None:
        """Wait, or less if the batch was cancelled or the sandbox stops."""
        self.waker.wait(seconds)
        self.waker.clear()
        self._stop_if_told()

    def _pace(self, began: float, seconds: float) -> None:
        """Wait until so long after `began`; not past a cancel or the window's end."""
        until = began + seconds
        while (left := until - self.clock.now()) > 0:
            batch = self._batch()
            left = min(left, batch.expires_at - time.time())
            if batch.status == "cancelling" or left <= 0:
                return
            self._sleep(left if self.clock.is_running else STANDSTILL_TICK_SECONDS)

    def _wait_until(self, ready: Callable[[], bool]) -> None:
        """Wait for a condition, a cancel or the end of the window."""
        while not ready():
            batch = self._batch()
            if batch.status == "cancelling" or time.time() >= batch.expires_at:
                return
            self._sleep(TICK_SECONDS)
