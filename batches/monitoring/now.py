"""What is going on at this moment, in a handful of counts; cheap enough for each visit.

Only what is unfinished is counted, which is little whatever has been done before.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q, Sum

from batches.models import BatchJob, JobShare, Run
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
    jobs = BatchJob.objects.unfinished().aggregate(
        to_send=Count("pk", filter=Q(status__in=TO_SUBMIT)),
        at_provider=Count("pk", filter=Q(status__in=AT_PROVIDER)),
        to_read=Count("pk", filter=Q(status=JobStatus.COMPLETED)),
    )
    lately = JobShare.objects.filter(job__finished_at__gte=now - RECENT)
    return Now(
        runs=Run.objects.unfinished().count(),
        failed_lately=lately.aggregate(n=Sum("failed", default=0))["n"],
        **jobs,
    )
