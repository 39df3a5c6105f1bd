"""Attempts: what items came to in a job, and the rows that say so."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

import msgspec

from batches.models import BatchJob, ItemAttempt
from batches.providers.result_lines import ResultLine
from batches.services.bulk import insert_rows
from batches.services.failures import Failure
from batches.services.lifecycle import ClosedItem
from batches.states import AttemptOutcome, FileKind
from batches.workloads import Verdict

ATTEMPT_FIELDS = (
    "item",
    "outcome",
    "error_code",
    "error_message",
    "http_status",
    "finish_reason",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "cost_nanos",
    "price_version",
    "prompt_version",
    "model_snapshot",
    "system_fingerprint",
    "raised_limit",
    "file_kind",
    "line",
    "answer",
    "raw_line",
    "checks_failed",
)

# Looked up once: what is done for each line must cost next to nothing.
APPLIED = AttemptOutcome.APPLIED


def _no_line() -> ResultLine:
    return ResultLine("")


class Outcome(msgspec.Struct, gc=False):
    """What an item's attempt in this job came to.

    With `failure`, whether the item ends or goes out again is settled when it is
    written, from what it has been through; `outcome` is then what holds if it ends.
    """

    item_id: int
    outcome: AttemptOutcome
    failure: Failure | None = None
    error_code: str = ""
    error_message: str = ""
    read: ResultLine = msgspec.field(default_factory=_no_line)
    cost_nanos: int = 0
    price_version: str = ""
    file_kind: FileKind | None = None
    raw_line: str = ""
    verdict: Verdict | None = None


def write_attempts(
    job: BatchJob,
    won: Sequence[Outcome],
    closed: dict[int, ClosedItem],
    now: datetime,
) -> None:
    """Insert what items came to in this job; their texts are let go of."""
    rows = _attempt_rows(won, closed)
    alike = {"job": job.pk, "created_at": now}
    insert_rows(ItemAttempt, ATTEMPT_FIELDS, rows, alike=alike)


def _attempt_rows(
    won: Sequence[Outcome], closed: dict[int, ClosedItem]
) -> Iterator[tuple[Any, ...]]:
    """In the order of items, neighbours in the table's index.

    What was written is let go of: a chunk's texts are most of what is in memory.
    """
    applied = APPLIED.value
    for o in sorted(won, key=attrgetter("item_id")):
        read, item = o.read, closed[o.item_id]
        yield (
            o.item_id,
            applied if o.outcome is APPLIED else o.outcome.value,
            o.error_code,
            o.error_message,
            read.http_status,
            read.finish_reason[:32],
            read.input_tokens,
            read.cached_tokens,
            read.output_tokens,
            o.cost_nanos,
            o.price_version,
            item.prompt_version_id,
            read.model[:100],
            read.fingerprint[:100],
            item.raised_limit,
            o.file_kind,
            read.number,
            read.text or read.refusal,
            o.raw_line,
            o.verdict.errors if o.verdict else "",
        )
        read.text = o.raw_line = ""
        if o.verdict:
            o.verdict.answer.text = ""
