"""What the measures share: rows that are made once, and figures others build on."""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from django.utils import timezone

from batches.benchmark import data, floors, tables
from batches.benchmark.meter import Spent, judging_apart, measure
from batches.benchmark.scratch import engine_settings
from batches.errors import BatchError
from batches.models import BatchItem, BatchJob, ItemRequest, OpenItem
from batches.services.bundling import bundle
from batches.services.ingestion import ingest_jobs
from batches.states import JobStatus
from batches.workloads import get_workload

ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Round:
    """One ingestion of a job, its floor, and what `judge` took of it in CPU seconds."""

    ingested: Spent
    floor: Spent
    judge_cpu: float


@dataclass
class Bench:
    """How much is measured, where, and whom to tell of each step.

    `content` is of a real workload. `sandbox(directory)` runs an embedded provider
    beside the block and yields its address.
    """

    lines: int
    directory: Path
    say: Callable[[str], None]
    content: data.Content
    sandbox: Callable[[Path], AbstractContextManager[str]]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings for processes that work in the same world."""
        return engine_settings(self.directory)

    @cached_property
    def pool(self) -> str:
        """Rows kept aside: a collected run whose items are in no job."""
        self.say(f"making {self.lines:,} items")
        tables.empty()
        data.insert_run(self.lines)
        tables.keep("pool")
        return "pool"

    @cached_property
    def job(self) -> tuple[str, data.ResultFiles]:
        """Rows kept aside: the same in a job, and that job's result files."""
        tables.put_back(self.pool)
        self.say(f"writing result files of {self.lines:,} lines")
        job = only_job()
        files = data.write_result_files(
            job, self.directory / "plain", data.plain_answer
        )
        tables.keep("job")
        return "job", files

    @cached_property
    def content_job(self) -> tuple[str, data.ResultFiles]:
        """Rows kept aside: a job of real content, with its right answers."""
        tables.empty(self.content.results)
        self.say(f"collecting about {self.lines:,} {self.content.workload} items")
        self.content.collect(self.lines)
        job = only_job()
        self.say(f"writing right answers to {job.items_total:,} items")
        files = data.write_result_files(
            job, self.directory / "content", self._right_answer
        )
        tables.keep("content")
        return "content", files

    def _right_answer(self, key: int, chance: random.Random) -> str:
        body = ItemRequest.objects.values_list("body", flat=True).get(pk=key)
        return self.content.answer(body)

    @cached_property
    def rounds(self) -> list[Round]:
        """Ingestions of a job of the trivial workload."""
        name, files = self.job
        return [self._round(number, name, files) for number in range(1, ROUNDS + 1)]

    @cached_property
    def content_rounds(self) -> list[Round]:
        """Ingestions of a job of the real workload."""
        name, files = self.content_job
        return [self._round(number, name, files) for number in range(1, ROUNDS + 1)]

    def _round(self, number: int, name: str, files: data.ResultFiles) -> Round:
        self.say(f"{name}: round {number} of {ROUNDS}")
        tables.put_back(name, self.content.results)
        floor = measure(lambda: floors.write_lines(files.paths))
        tables.settle()
        job = self.job_with_results(files)
        with judging_apart(get_workload(job.workload)) as judging:
            ingested = measure(lambda: ingest_jobs(now=timezone.now()))
        check_ingested(job, files)
        return Round(ingested, floor, sum(judging))

    def job_with_results(self, files: data.ResultFiles) -> BatchJob:
        """The only job there is, ready to be ingested."""
        job = BatchJob.objects.get()
        data.give_results(job, files)
        return job


def only_job() -> BatchJob:
    """Bundle what waits into one job; BatchError if it comes to more."""
    jobs = bundle()
    if len(jobs) != 1:
        raise BatchError(f"Bundling made {len(jobs)} jobs, and 1 was expected.")
    return jobs[0]


def check_ingested(job: BatchJob, files: data.ResultFiles) -> None:
    """A figure counts only if the work was done; raises BatchError."""
    job.refresh_from_db()
    found = (job.status, job.items_complete, job.items_failed, job.lines_read)
    expected = (JobStatus.PROCESSED, files.answered, files.failed, files.lines)
    # What answers ask for further, a repair say, is not in this job.
    left = OpenItem.objects.filter(item__parent=None).count()
    done = BatchItem.objects.filter(finished_at__isnull=False).count()
    if found != expected or left or done != files.lines:
        raise BatchError(
            f"Ingestion ended with {found}, and {expected} was expected: status, items "
            f"done, items failed, lines read. {left} items are open. "
            "What was measured says nothing."
        )
