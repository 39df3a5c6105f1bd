"""Words and entries as CSV and JSON Lines; a run's requests and results as files."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
from django.db.models import Sum
from django.utils import timezone

from batches.models import (
    BatchItem,
    BatchJob,
    ItemAttempt,
    ItemRequest,
    JobShare,
    Run,
)
from batches.models.money import to_usd
from batches.states import AttemptOutcome
from translations.dictionary.models import Entry, Word, WordStatus
from translations.dictionary.shapes import whole_entry

ROWS_AT_ONCE = 500
STATE_FILE = "batch_scheduler_state.json"
WORKLOAD = "dictionary"
# What a spreadsheet takes for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")

WORD_COLUMNS = (
    "language",
    "text",
    "status",
    "reason",
    "headword",
    "zipf",
    "forms",
    "preset",
    "source",
)
ENTRY_COLUMNS = (
    "language",
    "headword",
    "is_word",
    "number",
    "status",
    "score",
    "findings",
    "is_sandbox",
    "pronunciations",
    "meanings",
    "inflections",
    "etymology",
)


def word_rows(words: Iterable[Word]) -> Iterator[dict[str, Any]]:
    for word in words:
        yield {name: getattr(word, name) for name in WORD_COLUMNS}


def entry_rows(entries: Iterable[Entry]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        content = whole_entry(entry.content)
        row = content | {
            "number": entry.number,
            "status": entry.status,
            "score": entry.score,
            "findings": [finding["code"] for finding in entry.findings],
            "is_sandbox": entry.is_sandbox,
        }
        yield {name: row[name] for name in ENTRY_COLUMNS}


def as_csv(columns: Iterable[str], rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Lines of a CSV; lists and objects are JSON in their cell, and no cell begins a
    formula when a spreadsheet opens it."""
    writer = csv.writer(_Echo())
    columns = list(columns)
    yield str(writer.writerow(columns))
    for row in rows:
        yield str(writer.writerow([_cell(row[name]) for name in columns]))


def as_jsonl(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield orjson.dumps(row).decode() + "\n"


class _Echo:
    """Hands back each line that a csv writer writes."""

    def write(self, line: str) -> str:
        return line


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def write_run(run: Run, directory: Path) -> Path:
    """Write a run's requests, answers and entries under `run_NUMBER`; safe to repeat.

    For each job `batch_JOB_input.jsonl` and `batch_JOB_output.jsonl`, as a provider
    takes and gives them; `entries.jsonl` holds what came of them.
    """
    place = directory / f"run_{run.pk}"
    place.mkdir(parents=True, exist_ok=True)
    jobs = BatchItem.objects.filter(run=run, job__isnull=False).order_by("job_id")
    for job in list(jobs.values_list("job_id", flat=True).distinct()):
        items = BatchItem.objects.filter(run=run, job_id=job).order_by("pk")
        _write(place / f"batch_{job}_input.jsonl", _requests(items.values_list("pk")))
        _write(place / f"batch_{job}_output.jsonl", _answers(items.values_list("pk")))
    made = BatchItem.objects.filter(run=run).values("pk")
    entries = Entry.objects.filter(item__in=made).order_by("pk")
    rows = entry_rows(entries.iterator(chunk_size=ROWS_AT_ONCE))
    _write(place / "entries.jsonl", rows)
    return place


def _requests(items: Any) -> Iterator[dict[str, Any]]:
    rows = ItemRequest.objects.filter(item__in=items).order_by("item_id")
    rows = rows.select_related("item")
    for row in rows.iterator(chunk_size=ROWS_AT_ONCE):
        yield {
            "custom_id": str(row.item_id),
            "method": "POST",
            "url": row.item.endpoint,
            "body": orjson.Fragment(row.body),
        }


def _answers(items: Any) -> Iterator[dict[str, Any]]:
    rows = ItemAttempt.objects.filter(item__in=items).order_by("item_id", "pk")
    for row in rows.iterator(chunk_size=ROWS_AT_ONCE):
        yield {
            "custom_id": str(row.item_id),
            "outcome": AttemptOutcome(row.outcome).value,
            "error": row.error_code or None,
            "answer": row.answer,
        }


def write_state(directory: Path) -> Path:
    """Write how far the dictionary is, for programs that watch a file. The database is
    what counts; nothing reads this file here."""
    words = Word.objects.filter(status=WordStatus.KEPT)
    runs = Run.objects.filter(workload=WORKLOAD)
    spent = JobShare.objects.filter(run__in=runs).aggregate(
        cost=Sum("cost_nanos", default=0)
    )
    last = runs.order_by("pk").last()
    state = {
        "updated_at": timezone.now(),
        "last_run": str(last.public_id) if last else None,
        "last_run_status": last.status if last else None,
        "words": words.count(),
        "words_processed": words.filter(entry__isnull=False).count(),
        "cost_usd": f"{to_usd(spent['cost']):f}",
        "active_jobs": BatchJob.objects.unfinished().filter(workload=WORKLOAD).count(),
    }
    path = directory / STATE_FILE
    _write(path, [state])
    return path


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Whole or not at all: who reads it meanwhile sees the file before."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.writelines(as_jsonl(rows))
    part.replace(path)


Rows = Callable[[Iterable[Any]], Iterator[dict[str, Any]]]
# What can be handed out in the admin: columns, and rows of a queryset.
EXPORTS: dict[type[Word] | type[Entry], tuple[tuple[str, ...], Rows]] = {
    Word: (WORD_COLUMNS, word_rows),
    Entry: (ENTRY_COLUMNS, entry_rows),
}
