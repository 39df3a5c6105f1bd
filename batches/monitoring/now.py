"""What is going on at this moment, in a handful of counts; cheap enough for each visit.

Only what is unfinished is counted, which is little whatever has been done before.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q, Sum

from batches.models import BatchJob, Run
from batches.states import AT_PROVIDER, TO_SUBMIT, JobStatus

RECENT = timedelta(hours=24)


@dataclass(frozen=True)
class Now:
    """Counts of unfinished runs and jobs, and of items that failed in jobs which ended
    in the last 24 hours."""

    runs: int
    to_send: int
    at_provider: int
    to_read: int
    failed_lately: int

    @property
    def jobs(self) -> int:
        return self.to_send + self.at_provider + self.to_read


def now_figures(now: datetime) -> Now:
    recent = BatchJob.objects.within(now - RECENT)
    jobs = recent.aggregate(
        to_send=Count("pk", filter=Q(status__in=TO_SUBMIT)),
        at_provider=Count("pk", filter=Q(status__in=AT_PROVIDER)),
        to_read=Count("pk", filter=Q(status=JobStatus.COMPLETED)),
        failed_lately=Sum(
            "items_failed", filter=Q(finished_at__isnull=False), default=0
        ),
    )
    return Now(runs=Run.objects.unfinished().count(), **jobs)
