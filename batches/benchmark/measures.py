"""One function a target: what is measured, against which floor, in which unit."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Count, Sum
from django.test.utils import override_settings
from django.utils import timezone

from batches.benchmark import data, errands, floors, subjects, tables
from batches.benchmark.bench import ROUNDS, Bench, Round, check_ingested, only_job
from batches.benchmark.memory import growth_and_answer, growth_mb
from batches.benchmark.meter import Spent, best, measure
from batches.benchmark.report import Result
from batches.errors import BatchError
from batches.models import (
    BatchItem,
    BatchJob,
    HourlyUsage,
    ItemAttempt,
    JobShare,
    JobTally,
    OpenItem,
    Run,
    StrayLine,
)
from batches.providers.registry import SANDBOX
from batches.providers.tokens import count_tokens
from batches.services.bundling import bundle
from batches.services.collection import PAGE_SUBJECTS, collect_run, start_run
from batches.services.ingestion import ingest_jobs
from batches.services.items import Destination, NewItem, insert_items
from batches.services.polling import poll_jobs
from batches.services.rendering import render
from batches.services.spool import write_input_file
from batches.services.submission import submit_jobs
from batches.states import JobStatus, Trigger
from batches.workloads import CHAT, Request

NAIVE_LINES = 2_000
ROUND_TRIP_SECONDS = 900  # after which a round trip is given up
POLL_PAUSE_SECONDS = 0.05


def ingest_trivial(bench: Bench, key: str) -> list[Result]:
    """P1, P2: CPU of ingesting a job, over raw writing of its lines; ratio.

    Client and database backend; the workload does nothing, so all of it is the engine.
    """
    return [_over_floor(key, bench.rounds)]


def ingest_content(bench: Bench, key: str) -> list[Result]:
    """P1b, P2b: the same with translations, `judge` subtracted and shown apart."""
    result = _over_floor(key, bench.content_rounds)
    judge_cpu = min(round_.judge_cpu for round_ in bench.content_rounds)
    apart = _judge_apart(judge_cpu, bench.content_job[1].lines)
    basis = f"{result.basis}; judge {judge_cpu:.2f} s apart"
    return [replace(result, basis=basis, details={**result.details, **apart})]


def _judge_apart(judge_cpu: float, lines: int) -> dict[str, Any]:
    return {
        "judge_cpu_seconds": round(judge_cpu, 2),
        "judge_ms_per_answer": round(1000 * judge_cpu / lines, 3),
        "lines": lines,
    }


def _over_floor(key: str, rounds: Sequence[Round]) -> Result:
    return ratio(
        key,
        best(r.ingested.without(r.judge_cpu) for r in rounds),
        best(r.floor for r in rounds),
    )


def against_plain_loop(bench: Bench, key: str) -> list[Result]:
    """P3: CPU of a plain loop of `queryset.update()`, over that of ingestion; ratio.

    The loop runs over 2,000 lines and is scaled to all.
    """
    ingested = best(round_.ingested for round_ in bench.rounds)
    name, files = bench.job
    lines = min(NAIVE_LINES, files.answered)
    loops = []
    for number in range(1, ROUNDS + 1):
        bench.say(f"{key}: round {number} of {ROUNDS}")
        tables.put_back(name)
        job = BatchJob.objects.get()
        loops.append(measure(partial(floors.update_per_row, job, files.output, lines)))
    loop = best(loops)
    per_line, loop_per_line = ingested.cpu / files.lines, loop.cpu / lines
    return [
        Result(
            key,
            round(loop_per_line / per_line, 1),
            f"{1e6 * loop_per_line:.0f} over {1e6 * per_line:.0f} CPU µs a line",
            {
                "loop_us_per_line": round(1e6 * loop_per_line),
                "ingest_us_per_line": round(1e6 * per_line),
                "backend": loop.backend_cpu is not None,
            },
        )
    ]


def memory_of_ingestion(bench: Bench, key: str) -> list[Result]:
    """P4: growth of a process that ingests a fifth, all, and all with 200 MB; MB.

    The greatest of the three, and how far they are from each other; ratio. And the
    growth with translations, all checks on; MB.
    """
    sizes: dict[str, tuple[int, data.AnswerText]] = {
        "fifth_mb": (max(1, bench.lines // 5), data.plain_answer),
        "all_mb": (bench.lines, data.plain_answer),
        "large_mb": (bench.lines, data.long_answer),
    }
    grown: dict[str, float] = {}
    for name, (lines, answer) in sizes.items():
        bench.say(f"{key}: {lines:,} lines, {name}")
        tables.empty()
        data.insert_run(lines)
        files = data.write_result_files(only_job(), bench.directory / name, answer)
        grown[name], _ = _growth_of_ingestion(bench, files)
    large_mb = sum(path.stat().st_size for path in files.paths) / 1e6
    bench.say(f"{key}: {bench.content.workload}")
    kept, files = bench.content_job
    tables.put_back(kept, bench.content.results)
    with_checks, judge_cpu = _growth_of_ingestion(bench, files)
    details = {**grown, "large_file_mb": round(large_mb)}
    greatest, least = max(grown.values()), max(min(grown.values()), 1.0)
    basis = " / ".join(f"{figure:.1f}" for figure in grown.values()) + " MB"
    sizes_said = f"{basis} for a fifth, all, and all in {large_mb:.0f} MB"
    return [
        Result(key, greatest, sizes_said, details),
        Result(f"{key}-flat", round(greatest / least, 2), basis, details),
        Result(
            f"{key}-checks",
            with_checks,
            f"{bench.content.workload}; judge {judge_cpu:.2f} s apart",
            _judge_apart(judge_cpu, files.lines),
        ),
    ]


def _growth_of_ingestion(bench: Bench, files: data.ResultFiles) -> tuple[float, float]:
    """MB, and the CPU seconds of `judge`."""
    job = bench.job_with_results(files)
    tables.settle()
    grown, judge_cpu = growth_and_answer("ingest", overrides=bench.settings)
    check_ingested(job, files)
    return grown, judge_cpu


def creating_file(bench: Bench, key: str) -> list[Result]:
    """P5: CPU of writing the input file, over reading the same columns; ratio.

    And the growth of a process that does it; MB.
    """
    name, _ = bench.job
    tables.put_back(name)
    job = BatchJob.objects.get()
    floor, written = [], []
    for number in range(1, ROUNDS + 1):
        bench.say(f"{key}: round {number} of {ROUNDS}")
        floor.append(measure(floors.read_requests))
        written.append(measure(lambda: errands.write_file(job.pk)))
    path = write_input_file(job, on_block=errands.on_block)
    size_mb = path.stat().st_size / 1e6
    result = ratio(key, best(written), best(floor))
    result.details["file_mb"] = round(size_mb, 1)
    grown = growth_mb("write_file", job.pk, overrides=bench.settings)
    return [result, Result(f"{key}-memory", grown, f"a file of {size_mb:.1f} MB")]


def round_trip(bench: Bench, key: str) -> list[Result]:
    """P6: rows, file, upload, sandbox, download and ingestion of a job; wall seconds.

    The sandbox is a process of its own, and its work is part of the time.
    """
    tables.empty()
    tables.settle()
    took: dict[str, float] = {}
    with (
        bench.sandbox(bench.directory / "sandbox") as address,
        override_settings(SANDBOX_URL=address),
    ):
        bench.say(f"{key}: rows")
        began = time.perf_counter()
        data.insert_run(bench.lines)
        job = only_job()
        took["rows"] = time.perf_counter() - began
        for stage, reached in (
            (submit_jobs, JobStatus.VALIDATING),
            (poll_jobs, JobStatus.COMPLETED),
            (ingest_jobs, JobStatus.PROCESSED),
        ):
            bench.say(f"{key}: {stage.__name__}")
            stage_began = time.perf_counter()
            _until(job, stage, reached)
            took[stage.__name__.removesuffix("_jobs")] = (
                time.perf_counter() - stage_began
            )
        wall = time.perf_counter() - began
    job.refresh_from_db()
    if job.items_complete + job.items_failed != bench.lines:
        raise BatchError(
            f"The round trip ended {job.items_complete} items well and "
            f"{job.items_failed} failed; {bench.lines} were sent."
        )
    basis = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in took.items())
    details: dict[str, Any] = {
        f"{name}_seconds": round(t, 2) for name, t in took.items()
    }
    details["failed"] = job.items_failed
    return [Result(key, round(wall, 2), basis, details)]


def _until(job: BatchJob, stage: Callable[..., int], reached: JobStatus) -> None:
    """Run a stage, told that it is an hour later, until the job is there."""
    deadline = time.monotonic() + ROUND_TRIP_SECONDS
    while True:
        stage(now=timezone.now() + timedelta(hours=1))
        job.refresh_from_db()
        if job.status == reached:
            return
        if job.finished_at or time.monotonic() > deadline:
            raise BatchError(
                f"The job is {job.status} after {stage.__name__}, and {reached} was "
                f"expected: {job.waiting_reason or job.provider_answer}"
            )
        time.sleep(POLL_PAUSE_SECONDS)


def replay(bench: Bench, key: str) -> list[Result]:
    """P9: CPU of reading finished files once more, over the first pass; ratio.

    As after a checkpoint that was lost: the job is completed and not ended, and all its
    answers are applied. Raises BatchError when anything is different afterwards.
    """
    name, files = bench.job
    first, second = [], []
    for number in range(1, ROUNDS + 1):
        bench.say(f"{key}: round {number} of {ROUNDS}")
        tables.put_back(name)
        job = bench.job_with_results(files)
        first.append(measure(lambda: ingest_jobs(now=timezone.now())))
        check_ingested(job, files)
        before = _all_figures()
        _lose_checkpoint(job)
        data.lay_out(job, files)
        tables.settle()
        second.append(measure(lambda: ingest_jobs(now=timezone.now())))
        check_ingested(job, files)
        if (after := _all_figures()) != before:
            changed = [name for name, rows in before.items() if after[name] != rows]
            raise BatchError(f"The replay changed {', '.join(changed)}.")
    return [ratio(key, best(second), best(first), of="first")]


def _lose_checkpoint(job: BatchJob) -> None:
    """Put an ended job back to before its end, with nothing read."""
    BatchJob.objects.filter(pk=job.pk).update(
        status=JobStatus.COMPLETED,
        finished_at=None,
        processed_at=None,
        checkpoint_file_id="",
        checkpoint_bytes=None,
        checkpoint_line=0,
        lines_read=0,
    )
    HourlyUsage.objects.all().delete()  # written by the transaction that ends a job


SUMS = ("input_tokens", "cached_tokens", "output_tokens", "cost_nanos")


def _all_figures() -> dict[str, list[Any]]:
    """Counts and sums of everything that ingestion writes."""
    sums = {name: Sum(name) for name in SUMS}
    plain = ["sent", "complete", "failed", "returned", *SUMS]
    counters = [f"items_{name}" for name in ("complete", "failed", "returned")]
    items = BatchItem.objects.values("status", "error_code").order_by("status")
    attempts = ItemAttempt.objects.values("outcome", "error_code").order_by("outcome")
    return {
        "items": list(items.annotate(n=Count("pk"), **sums)),
        "attempts": list(attempts.annotate(n=Count("pk"), **sums)),
        "shares": list(JobShare.objects.order_by("pk").values(*plain)),
        "counters": list(BatchJob.objects.values(*counters, *SUMS)),
        "errors": list(
            JobTally.objects.order_by("pk").values("error_code", "attempts")
        ),
        "usage": list(
            HourlyUsage.objects.values(
                "outcome", "error_code", "attempts", *SUMS
            ).order_by("outcome", "error_code")
        ),
        "open items": [OpenItem.objects.count()],
        "stray lines": [StrayLine.objects.count()],
    }


def checking(bench: Bench, key: str) -> list[Result]:
    """P10: all checks of one translation of about 500 characters; milliseconds."""
    return [Result(key, bench.content.check(), f"CPU, {bench.content.workload}")]


def collecting(bench: Bench, key: str) -> list[Result]:
    """P11: CPU of collecting every twentieth of a million subjects; seconds.

    The others have a current result and are passed over. Rendering the same requests is
    measured by itself and subtracted. With int and with UUID keys, and the growth of a
    process that does it, in MB.
    """
    results = []
    count_tokens(data.MODEL, "one text")  # its tables are loaded once a process
    for table, row in ((subjects.INT, key), (subjects.UUID, f"{key}-uuid")):
        bench.say(f"{row}: {bench.lines * subjects.ROWS_PER_LACKING:,} subjects")
        subjects.make_subjects(table, bench.lines)
        run = _collection(table)
        bench.say(f"{row}: collecting")
        spent = measure(partial(collect_run, run))
        _check_collected(run, bench.lines)
        looking, texts = _looking(table)
        rendering = _rendering(texts)
        apart = spent.without(rendering.cpu)
        results.append(
            Result(
                row,
                round(apart.cpu, 2),
                f"{looking.cpu:.1f} of it to find them; "
                f"{rendering.cpu:.1f} to render them apart",
                {
                    "finding_cpu_seconds": round(looking.cpu, 2),
                    "rendering_cpu_seconds": round(rendering.cpu, 2),
                    "wall_seconds": round(spent.wall, 2),
                    "backend": spent.backend_cpu is not None,
                },
            )
        )
    bench.say(f"{key}: memory")
    run = _collection(subjects.INT)
    grown = growth_mb("collect", run.pk, overrides=bench.settings)
    _check_collected(run, bench.lines)
    return [*results, Result(f"{key}-memory", grown)]


def _collection(table: str) -> Run:
    tables.empty()
    run = start_run(
        data.SubjectsWorkload.key, {"table": table}, trigger=Trigger.COMMAND
    )
    tables.settle()
    return run


def _check_collected(run: Run, expected: int) -> None:
    run.refresh_from_db()
    if run.items_collected != expected or run.collected_at is None:
        raise BatchError(
            f"Collection made {run.items_collected} items of {expected} expected."
        )


def _looking(table: str) -> tuple[Spent, list[str]]:
    """Asking for all pages of subjects, by itself; and the texts that came."""
    texts: list[str] = []

    def work() -> None:
        cursor: str | None = ""
        while cursor is not None:
            rows, cursor = subjects.lacking(table, cursor, PAGE_SUBJECTS)
            texts.extend(text for _, text in rows)

    return measure(work), texts


def _rendering(texts: Sequence[str]) -> Spent:
    """Rendering of what was collected, by itself."""

    def work() -> None:
        for text in texts:
            render(
                Request(data.request_of(data.INSTRUCTIONS, text)),
                provider=SANDBOX,
                endpoint=CHAT,
                model=data.MODEL,
            )

    return measure(work)


def bundling(bench: Bench, key: str) -> list[Result]:
    """P12: CPU of bundling all items into one job; seconds.

    And the wall time of the whole call, which bounds how long its lock is held.
    """
    rounds = []
    for number in range(1, ROUNDS + 1):
        bench.say(f"{key}: round {number} of {ROUNDS}")
        tables.put_back(bench.pool)
        rounds.append(measure(bundle))
        if BatchJob.objects.get().items_total != bench.lines:
            raise BatchError("Bundling left items in the pool.")
    spent = best(rounds)
    backend = {"backend": spent.backend_cpu is not None}
    return [
        Result(key, round(spent.cpu, 2), details=backend),
        Result(f"{key}-lock", round(spent.wall, 2)),
    ]


def inserting(bench: Bench, key: str) -> list[Result]:
    """P13: CPU of writing items, open items and requests, over raw COPY; ratio.

    The floor takes the input lines that these requests make. The items are rendered
    before the time begins.
    """
    name, _ = bench.job
    tables.put_back(name)
    path = write_input_file(BatchJob.objects.get(), on_block=errands.on_block)
    pages = list(data.new_items(bench.lines))
    floor, inserted = [], []
    for number in range(1, ROUNDS + 1):
        bench.say(f"{key}: round {number} of {ROUNDS}")
        tables.empty()
        run = data.new_run(bench.lines)
        tables.settle()
        floor.append(measure(lambda: floors.write_lines([path])))
        tables.settle()

        inserted.append(measure(partial(_insert, run, pages)))
        if OpenItem.objects.count() != bench.lines:
            raise BatchError("Not every item was inserted.")
    return [ratio(key, best(inserted), best(floor))]


def _insert(run: Run, pages: Sequence[Sequence[NewItem]]) -> None:
    destination = Destination(SANDBOX, CHAT, data.MODEL)
    for page in pages:
        with transaction.atomic():
            insert_items(run, destination, page, now=timezone.now())


def ratio(key: str, spent: Spent, base: Spent, *, of: str = "floor") -> Result:
    """CPU over the CPU of `base`, with what both are made of."""
    alone = "" if spent.backend_cpu is not None else ", without the database's"
    return Result(
        key,
        round(spent.cpu / max(base.cpu, 0.001), 2),
        f"{spent.cpu:.2f} over {base.cpu:.2f} CPU s{alone}",
        {
            "cpu_seconds": round(spent.cpu, 3),
            "client_cpu_seconds": round(spent.client_cpu, 3),
            "wall_seconds": round(spent.wall, 3),
            f"{of}_cpu_seconds": round(base.cpu, 3),
            f"{of}_wall_seconds": round(base.wall, 3),
            "backend": spent.backend_cpu is not None,
        },
    )


Measure = Callable[[Bench, str], list[Result]]
MEASURES: dict[str, Measure] = {
    "P1": ingest_trivial,
    "P1b": ingest_content,
    "P2": ingest_trivial,
    "P2b": ingest_content,
    "P3": against_plain_loop,
    "P4": memory_of_ingestion,
    "P5": creating_file,
    "P6": round_trip,
    "P9": replay,
    "P10": checking,
    "P11": collecting,
    "P12": bundling,
    "P13": inserting,
}
