"""The stages in their order, each a service that may run twice, anywhere, at any time.

A tick, a command, an admin action and the API call the same functions. Nothing depends
on one of them coming: whatever is due is found in the database.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import sleep

from django.db.models import Q, Sum
from django.utils import timezone

from batches import config
from batches.errors import BatchError
from batches.models import BatchJob, OpenItem, Run
from batches.services.bundling import bundle
from batches.services.collection import collect_run, collect_runs
from batches.services.deadlines import look_after_abandoned, tell_of_unread
from batches.services.holds import active_holds, is_probe_due, probe_keys
from batches.services.ingestion import ingest_jobs
from batches.services.polling import poll_jobs
from batches.services.reconciliation import clean_up, files_left, reconcile_if_due
from batches.services.submission import submit_jobs
from batches.services.webhooks import send_webhooks
from batches.states import AT_PROVIDER, TO_SUBMIT, Intent, JobStatus

log = logging.getLogger(__name__)

# How long a pass that found nothing due sleeps before it looks again, at most.
LONGEST_SLEEP_SECONDS = 5.0
SHORTEST_SLEEP_SECONDS = 0.1
# Nobody sits before a command for as long: what waits longer is left for another call.
FAR_AWAY = timedelta(hours=1)


@dataclass
class PassReport:
    """What one pass over the stages did, and the trouble it met."""

    collected: int = 0  # items
    bundled: int = 0  # jobs
    submitted: int = 0  # jobs
    moved: int = 0  # jobs
    ended: int = 0  # jobs
    cleaned: int = 0  # jobs
    told: int = 0  # webhooks
    trouble: list[str] = field(default_factory=list)

    def add(self, other: "PassReport") -> None:
        self.collected += other.collected
        self.bundled += other.bundled
        self.submitted += other.submitted
        self.moved += other.moved
        self.ended += other.ended
        self.cleaned += other.cleaned
        self.told += other.told

    @property
    def did_something(self) -> bool:
        return bool(
            self.collected
            or self.bundled
            or self.submitted
            or self.moved
            or self.ended
            or self.cleaned
            or self.told
        )


def collect_and_bundle(run: Run) -> None:
    """Collect a run, and make its jobs where any may be made now."""
    collect_run(run)
    if config.creation_enabled():
        bundle()


def process_once() -> PassReport:
    """Run every stage once; trouble in one is reported and does not keep the others."""
    report = PassReport()
    if config.creation_enabled():
        report.collected = _run(lambda now: collect_runs(), report)
        _run(probe_keys, report)
        report.bundled = _run(lambda now: len(bundle(now=now)), report)
    if config.creation_enabled() or config.polling_enabled():
        report.submitted = _run(submit_jobs, report)
    if config.polling_enabled():
        report.moved = _run(poll_jobs, report)
        report.ended = _run(ingest_jobs, report)
        report.cleaned = _run(clean_up, report)
        _run(tell_of_unread, report)
        _run(look_after_abandoned, report)
    report.told = _run(send_webhooks, report)
    return report


def _run(stage: Callable[..., int], report: PassReport) -> int:
    try:
        return stage(now=timezone.now())
    except BatchError as err:
        report.trouble.append(str(err))
        return 0


def is_idle() -> bool:
    """Whether nothing is left: no run to collect, no open item, no unfinished job, and
    no file of a finished one at its provider."""
    return not (
        OpenItem.objects.exists()
        or BatchJob.objects.unfinished().exists()
        or Run.objects.to_collect().exists()
        or files_left()
    )


def only_held_work_is_left() -> bool:
    """Whether nothing gets further soon, unless a person does something.

    What is left is paused, on hold, or waits for money or a time that is far. Something
    does get further where a run is to collect, a job is at the provider or back from
    it, or a create is to be found again; holds are about none of these.
    """
    unsent = BatchJob.objects.filter(status__in=TO_SUBMIT, create_sent_at__isnull=True)
    on_their_way = BatchJob.objects.unfinished().exclude(pk__in=unsent)
    if Run.objects.to_collect().exists() or on_their_way.exists():
        return False
    now = timezone.now()
    is_far = Q(run__waiting_until__isnull=True) | Q(
        run__waiting_until__gt=now + FAR_AWAY
    )
    in_pool = Q(job__isnull=True, run__paused_at__isnull=True)
    waiting = OpenItem.objects.filter(
        in_pool & ~(~Q(run__waiting_reason="") & is_far)
        | Q(job__in=unsent.exclude(intent=Intent.PAUSE))
    )
    kinds = waiting.order_by().values("provider", "workload", "account").distinct()
    holds = [hold for hold in active_holds() if not is_probe_due(hold, now)]
    is_held = all(any(hold.covers(**kind) for hold in holds) for kind in kinds)
    return is_held and OpenItem.objects.exists()


def progress(since: datetime) -> tuple[int, int]:
    """Items done, and items in all, of jobs that were unfinished at `since` or later.

    What waits in no job counts as not done.
    """
    jobs = BatchJob.objects.filter(
        Q(finished_at__isnull=True) | Q(finished_at__gte=since)
    )
    sums = jobs.aggregate(
        total=Sum("items_total", default=0),
        complete=Sum("items_complete", default=0),
        failed=Sum("items_failed", default=0),
        cancelled=Sum("items_cancelled", default=0),
        returned=Sum("items_returned", default=0),
    )
    done = sums["complete"] + sums["failed"] + sums["cancelled"]
    waiting = OpenItem.objects.filter(job__isnull=True).count()
    return done, sums["total"] - sums["returned"] + waiting


def process_until_done() -> Iterator[PassReport]:
    """Pass after pass until nothing is left, or only what is held; yields each report.

    Between passes it waits for the next thing to come due. At the end the account is
    reconciled, which finds what a process that died left there. Whoever consumes this
    decides what trouble is too much.
    """
    while True:
        report = process_once()
        is_done = is_idle()
        if is_done and config.polling_enabled():
            _run(reconcile_if_due, report)
        yield report
        if is_done and not report.trouble:
            return
        if not report.did_something:
            if only_held_work_is_left():
                return
            sleep(_seconds_until_due(timezone.now()))


def _seconds_until_due(now: datetime) -> float:
    """How long to sleep until the next job may be worth a look."""
    polls = BatchJob.objects.filter(status__in=AT_PROVIDER).values_list(
        "next_poll_at", flat=True
    )
    others = BatchJob.objects.filter(
        status__in=(JobStatus.PENDING, JobStatus.UPLOADING, JobStatus.COMPLETED)
    ).values_list("not_before", flat=True)
    times = [time for time in (*polls, *others) if time is not None]
    soonest = min(times, default=now + timedelta(seconds=LONGEST_SLEEP_SECONDS))
    seconds = (soonest - now).total_seconds()
    return min(max(seconds, SHORTEST_SLEEP_SECONDS), LONGEST_SLEEP_SECONDS)
