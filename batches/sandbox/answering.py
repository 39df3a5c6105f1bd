"""Answering the lines of one batch: in chunks here, or a few at once by a server."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from batches.sandbox import tokens
from batches.sandbox.bodies import Outcome
from batches.sandbox.lines import LineWriter
from batches.sandbox.storage import Batch, FinishedLine
from batches.sandbox.validation import Lines

if TYPE_CHECKING:
    from batches.sandbox.app import Sandbox

CHUNK_LINES = 1000
CHUNK_BYTES = 1024 * 1024
STEPS_PER_SECOND = 10  # how often a slow batch shows progress
LOOK_UP_SECONDS = 1.0
# A status code of 0 has been seen by users, in output files and counted as completed.
WRITTEN_AS_OUTPUT = (200, 0)


@dataclass
class Settled:
    """What a chunk of lines came to: bytes for both files, and the lines' rows."""

    output: list[bytes] = field(default_factory=list)
    errors: list[bytes] = field(default_factory=list)
    rows: list[FinishedLine] = field(default_factory=list)


class Answering:
    """The lines of a batch whose input file is open as the descriptor `source`.

    With a pool, whose threads wait for the server, lines go to it one by one.
    """

    def __init__(
        self,
        sandbox: "Sandbox",
        batch: Batch,
        lines: Lines,
        source: int,
        pool: ThreadPoolExecutor | None,
    ) -> None:
        self.responder = sandbox.responder
        self.running_seconds = sandbox.pace.running
        self.batch = batch
        self.lines = lines
        self.source = source
        self.pool = pool
        self.writer = LineWriter(sandbox, batch)

    def of(
        self,
        order: list[int],
        *,
        look_up: Callable[[int], None],
        is_over: Callable[[], bool],
    ) -> Iterator[Settled]:
        """What the lines with these numbers came to, until all are or it `is_over`.

        `look_up` is told how many are finished where an answer is long in coming; who
        takes what is yielded looks up by itself.
        """
        if self.pool is not None:
            yield from self._in_pool(self.pool, order, look_up, is_over)
            return
        for chunk in self._chunks(order):
            if is_over():
                return
            yield self._settle(chunk)

    def _chunks(self, order: list[int]) -> Iterator[list[int]]:
        steps = max(1.0, self.running_seconds * STEPS_PER_SECOND)
        most = min(CHUNK_LINES, max(1, int(self.batch.total / steps)))
        chunk: list[int] = []
        size = 0
        for number in order:
            chunk.append(number)
            size += self.lines.lengths[number]
            if len(chunk) >= most or size >= CHUNK_BYTES:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk

    def _in_pool(
        self,
        pool: ThreadPoolExecutor,
        order: list[int],
        look_up: Callable[[int], None],
        is_over: Callable[[], bool],
    ) -> Iterator[Settled]:
        """Single lines, a few in flight; an ending waits for what is under way."""
        waiting = iter(order)
        in_flight: set[Future[Settled]] = set()
        finished = self.batch.total - len(order)
        while True:
            while not is_over() and len(in_flight) < self.responder.at_once:
                number = next(waiting, None)
                if number is None:
                    break
                in_flight.add(pool.submit(self._settle, [number]))
            if not in_flight:
                return
            done, in_flight = wait(
                in_flight, timeout=LOOK_UP_SECONDS, return_when=FIRST_COMPLETED
            )
            for future in done:
                finished += 1
                yield future.result()
            if not done:
                look_up(finished)

    def _settle(self, chunk: list[int]) -> Settled:
        settled = Settled()
        for number in chunk:
            self._settle_line(number, settled)
        return settled

    def _settle_line(self, number: int, settled: Settled) -> None:
        lines = self.lines
        raw = os.pread(self.source, lines.lengths[number], lines.offsets[number])
        request = orjson.loads(raw)
        custom_id = request["custom_id"]
        outcome = self.writer.failure(custom_id, raw)
        if outcome is None:
            body = request["body"]
            opening = tokens.cacheable_tokens(lines.openings[number])
            outcome = self.responder.respond(
                self.batch.endpoint,
                body,
                input_tokens=lines.tokens[number],
                cached_tokens=self.writer.cached_tokens(opening, body),
                change=self.writer.change(custom_id, raw),
            )
        self._add(settled, number + 1, custom_id, raw, outcome)

    def _add(
        self,
        settled: Settled,
        line: int,
        custom_id: str,
        request: bytes,
        outcome: Outcome,
    ) -> None:
        is_output = outcome.status in WRITTEN_AS_OUTPUT
        into = settled.output if is_output else settled.errors
        into.extend(self.writer.lines(custom_id, request, outcome))
        usage = outcome.usage
        settled.rows.append(
            FinishedLine(
                line,
                custom_id,
                outcome.status,
                usage.input_tokens,
                usage.cached_tokens,
                usage.output_tokens,
                usage.reasoning_tokens,
            )
        )
