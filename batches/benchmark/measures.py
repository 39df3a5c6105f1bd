"""One function a target: what is measured, against which floor, in which unit."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils import timezone

from batches.benchmark import data, floors
from batches.benchmark.meter import Spent, best, measure
from batches.benchmark.report import Result
from batches.errors import BatchError
from batches.models import BatchJob, OpenItem
from batches.services.ingestion import ingest_jobs
from batches.states import JobStatus

ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measure is given: how much, where, and whom to tell of its steps."""

    lines: int
    directory: Path
    say: Callable[[str], None]


def ingest_on_postgres(bench: Bench) -> Result:
    """P1: CPU of ingesting a job, over raw COPY of its result lines; ratio."""
    return _ingest(bench, "P1", floors.copy_lines)


def ingest_on_sqlite(bench: Bench) -> Result:
    """P2: CPU of ingesting a job, over raw INSERT of its result lines; ratio."""
    return _ingest(bench, "P2", floors.insert_lines)


MEASURES: dict[str, Callable[[Bench], Result]] = {
    "P1": ingest_on_postgres,
    "P2": ingest_on_sqlite,
}


def _ingest(bench: Bench, key: str, floor: Callable[[Any], None]) -> Result:
    bench.say(f"{key}: writing result files of {bench.lines:,} lines")
    files = data.write_result_files(bench.directory, bench.lines)
    floor_rounds, rounds = [], []
    for number in range(1, ROUNDS + 1):
        bench.say(f"{key}: round {number} of {ROUNDS}, new rows")
        data.clear()
        job = data.job_with_results(bench.lines, files)
        data.settle()
        bench.say(f"{key}: round {number} of {ROUNDS}, floor and ingestion")
        floor_rounds.append(measure(lambda: floor(files.paths)))
        data.settle()
        rounds.append(measure(lambda: ingest_jobs(now=timezone.now())))
        _check_ingested(job, files)
    return ratio(key, best(rounds), best(floor_rounds))


def _check_ingested(job: BatchJob, files: data.ResultFiles) -> None:
    """A figure counts only if the work was done."""
    job.refresh_from_db()
    found = (job.status, job.items_complete, job.items_failed, job.lines_read)
    lines = files.answered + files.failed
    expected = (JobStatus.PROCESSED, files.answered, files.failed, lines)
    if found != expected or OpenItem.objects.exists():
        raise BatchError(
            f"Ingestion ended with {found}, and {expected} was expected: status, items "
            "done, items failed, lines read. What was measured says nothing."
        )


def ratio(key: str, spent: Spent, floor: Spent) -> Result:
    """CPU over the floor's CPU, with what both are made of."""
    return Result(
        key,
        round(spent.cpu / max(floor.cpu, 0.001), 2),
        {
            "cpu_seconds": round(spent.cpu, 3),
            "client_cpu_seconds": round(spent.client_cpu, 3),
            "wall_seconds": round(spent.wall, 3),
            "floor_cpu_seconds": round(floor.cpu, 3),
            "floor_wall_seconds": round(floor.wall, 3),
            "backend": spent.backend_cpu is not None,
        },
    )
