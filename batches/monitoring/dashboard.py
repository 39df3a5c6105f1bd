"""The dashboard's figures: jobs of the last hours or days, and what they saved.

Read from the jobs' own counts and the hourly rollup, never from items. A job is of a
range when it had not finished before the range began; rates are of items.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import Count, DurationField, ExpressionWrapper, F, Q, Sum

from batches import config
from batches.models import BatchJob
from batches.monitoring.spans import DAY, HOUR, MINUTE, Span, floor, following
from batches.monitoring.usage import Figures, Part, Usage, usage
from batches.querysets import BatchJobQuerySet
from batches.states import (
    AT_PROVIDER,
    JOB_FINAL,
    PLAIN_JOB_STATUS,
    TO_SUBMIT,
    JobStatus,
)

# How far back each range reaches, and how wide the buckets of its history are.
RANGES: dict[str, tuple[timedelta, str]] = {
    "1h": (timedelta(hours=1), MINUTE),
    "24h": (timedelta(hours=24), HOUR),
    "7d": (timedelta(days=7), DAY),
    "30d": (timedelta(days=30), DAY),
}
# A job that ended before the hour may be written down a little later.
JUST_OVER = timedelta(hours=1)
KEPT_FROM_REQUESTS, KEPT_SECONDS = 5_000, 300
# From when the provider was asked until the job ended here.
TOOK = ExpressionWrapper(
    F("finished_at") - F("create_sent_at"), output_field=DurationField()
)


@dataclass(frozen=True)
class Counts:
    """Sums over the jobs of a range that are in one status."""

    jobs: int = 0
    items: int = 0
    complete: int = 0
    failed: int = 0
    timed_jobs: int = 0
    took: timedelta = timedelta()

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.jobs + other.jobs,
            self.items + other.items,
            self.complete + other.complete,
            self.failed + other.failed,
            self.timed_jobs + other.timed_jobs,
            self.took + other.took,
        )


@dataclass(frozen=True)
class Dashboard:
    """What `now` looks like over a range; percentages are None of nothing."""

    span: Span
    now: datetime
    by_status: Mapping[JobStatus, Counts]
    queues: Mapping[str, int]
    used: Usage

    def counts(self, *statuses: JobStatus) -> Counts:
        return sum((self.by_status.get(s, Counts()) for s in statuses), Counts())

    def plain(self, word: str) -> Counts:
        """The jobs of one of the five plain words."""
        return self.counts(*of_plain(word))

    @property
    def all(self) -> Counts:
        return self.counts(*JobStatus)

    @property
    def finished(self) -> Counts:
        return self.counts(*JOB_FINAL)

    @property
    def unfinished_jobs(self) -> int:
        return self.all.jobs - self.finished.jobs

    @property
    def processing_ms(self) -> int | None:
        """The mean of jobs that ended, in milliseconds."""
        found = self.finished
        if not found.timed_jobs:
            return None
        return int(found.took / found.timed_jobs / timedelta(milliseconds=1))

    @property
    def success_percent(self) -> float | None:
        """Of the items that ended done or failed, how many are done."""
        found = self.all
        return percent(found.complete, found.complete + found.failed)

    @property
    def error_percent(self) -> float | None:
        success = self.success_percent
        return None if success is None else round(100 - success, 1)

    @property
    def hours(self) -> float:
        return (self.now - self.span.start) / timedelta(hours=1)

    @property
    def requests_per_hour(self) -> float:
        found = self.all
        return round((found.complete + found.failed) / self.hours, 2)

    @property
    def jobs_per_hour(self) -> float:
        return round(self.finished.jobs / self.hours, 2)

    @property
    def average_size(self) -> float | None:
        found = self.all
        return round(found.items / found.jobs, 1) if found.jobs else None

    @property
    def utilization_percent(self) -> float | None:
        """How full jobs are, of what BATCH_MAX_REQUESTS plans."""
        most = config.get("BATCH_MAX_REQUESTS")
        size = self.average_size
        return None if size is None else min(100.0, round(100 * size / most, 1))

    @property
    def efficiency_percent(self) -> float | None:
        """Of the items that finished jobs carried, how many came back done: the rest
        failed, was cancelled, or has to be sent again."""
        return percent(self.finished.complete, self.finished.items)

    def history(self, part: Part) -> dict[datetime, Figures]:
        """Figures by bucket, oldest first; a bucket in which nothing ended is zero."""
        found = {start: Figures() for start in self.span.buckets()}
        for line in part.lines:
            found[line.start].add(line.figures)
        return found


@dataclass(frozen=True)
class _Over:
    """What happened in the buckets of a range that are over, before `until`."""

    until: datetime
    used: list[Part]  # the real one, then the sandbox's
    by_status: Mapping[JobStatus, Counts]
    ended: Mapping[str, int]  # {status: jobs}, however long ago they ended


def dashboard(range_: str, *, workload: str = "", now: datetime) -> Dashboard:
    """The figures of one of RANGES, of one kind of work or of all.

    `queues` are of all jobs as they are now, whatever the range. Of very many requests,
    what happened in hours (or days) that are over is as it was told lately: nothing is
    added there, so that 30 days cost what one does. A new real-time price, or a
    recount, is seen there after KEPT_SECONDS.
    """
    span = span_of(range_, now)
    jobs = BatchJob.objects.all()
    if workload:
        jobs = jobs.filter(workload=workload)
    over = _over(span, workload, now)
    if over is None:
        used = _usage(span, workload)
        by_status, counted = _by_status(jobs.within(span.start)), _counted(jobs)
        _keep(span, workload, now, jobs, used)
    else:
        rest = _usage(Span(over.until, span.end, span.bucket), workload)
        pairs = zip(over.used, (rest.real, rest.pretended), strict=True)
        used = Usage(span, rest.group_by, *(_joined(span, *pair) for pair in pairs))
        lately = jobs.within(over.until)
        by_status = _added(over.by_status, _by_status(lately))
        counted = Counter(over.ended)
        counted.update(_counted(lately))
    return Dashboard(
        span=span, now=now, by_status=by_status, queues=_queues(counted), used=used
    )


def _until(span: Span, now: datetime) -> datetime:
    """When the last bucket that is over ended."""
    return floor(now - JUST_OVER, span.bucket)


def _key(span: Span, workload: str, until: datetime) -> str:
    words = f"{workload} {span.bucket} {span.start:%Y-%m-%dT%H} {until:%Y-%m-%dT%H}"
    return f"dashboard:{hashlib.sha256(words.encode()).hexdigest()}"


def _is_kept(span: Span, until: datetime) -> bool:
    return span.bucket in (HOUR, DAY) and until > span.start


def _over(span: Span, workload: str, now: datetime) -> _Over | None:
    until = _until(span, now)
    if not _is_kept(span, until):
        return None
    found: _Over | None = cache.get(_key(span, workload, until))
    return found


def _keep(
    span: Span, workload: str, now: datetime, jobs: BatchJobQuerySet, used: Usage
) -> None:
    """Keep what is over of a range, where it is of very many requests."""
    until = _until(span, now)
    if not _is_kept(span, until):
        return
    over = [_before(until, part) for part in (used.real, used.pretended)]
    if sum(part.total.requests for part in over) < KEPT_FROM_REQUESTS:
        return
    ended = jobs.filter(finished_at__lt=until)
    within = ended.filter(finished_at__gte=span.start)
    kept = _Over(until, over, _by_status(within), _counted(ended))
    cache.set(_key(span, workload, until), kept, KEPT_SECONDS)


def _usage(span: Span, workload: str) -> Usage:
    only = {"workload": workload} if workload else None
    return usage(span, only=only, with_reserved=False)


def _before(until: datetime, part: Part) -> Part:
    return replace(part, lines=[line for line in part.lines if line.start < until])


def _joined(span: Span, earlier: Part, later: Part) -> Part:
    return Part(
        is_sandbox=later.is_sandbox,
        span=span,
        lines=[*earlier.lines, *later.lines],
        without_real_time=earlier.without_real_time | later.without_real_time,
    )


def span_of(range_: str, now: datetime) -> Span:
    """Whole buckets, of which the last holds the present moment."""
    length, bucket = RANGES[range_]
    end = following(floor(now, bucket), bucket)
    return Span(end - length, end, bucket)


def of_plain(word: str) -> list[JobStatus]:
    """The statuses that one of the five plain words stands for."""
    return [status for status, plain in PLAIN_JOB_STATUS.items() if plain == word]


def percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None


def _by_status(jobs: BatchJobQuerySet) -> dict[JobStatus, Counts]:
    is_timed = Q(finished_at__isnull=False, create_sent_at__isnull=False)
    rows = (
        jobs.order_by()
        .values("status")
        .annotate(
            jobs=Count("pk"),
            items=Sum("items_total"),
            complete=Sum("items_complete"),
            failed=Sum("items_failed"),
            timed_jobs=Count("pk", filter=is_timed),
            took=Sum(TOOK, filter=is_timed),
        )
    )
    return {
        JobStatus(row.pop("status")): Counts(
            **{**row, "took": row["took"] or timedelta()}
        )
        for row in rows
    }


def _added(
    one: Mapping[JobStatus, Counts], other: Mapping[JobStatus, Counts]
) -> dict[JobStatus, Counts]:
    return {
        status: one.get(status, Counts()) + other.get(status, Counts())
        for status in one.keys() | other.keys()
    }


def _counted(jobs: BatchJobQuerySet) -> dict[str, int]:
    return dict(jobs.order_by().values_list("status").annotate(n=Count("pk")))


def _queues(counted: Mapping[str, int]) -> dict[str, int]:
    def many(*statuses: JobStatus) -> int:
        return sum(counted.get(status, 0) for status in statuses)

    return {
        "pending": many(*TO_SUBMIT),
        "processing": many(*AT_PROVIDER, JobStatus.COMPLETED),
        "completed": many(*of_plain("completed")),
        "failed": many(*of_plain("failed")),
    }
