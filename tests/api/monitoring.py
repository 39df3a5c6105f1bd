"""Of the tests of /api/admin/batch-monitoring: jobs that ended, and how it is read."""

from datetime import timedelta

from django.utils import timezone

from batches.models import BatchJob
from batches.states import JobStatus

MONITORING = "/api/admin/batch-monitoring"
NOBODY = "00000000-0000-0000-0000-000000000000"


def ended(status=JobStatus.PROCESSED, *, ago=timedelta(hours=2), **given) -> BatchJob:
    """A job that ended some time ago, half an hour after it was sent."""
    now = timezone.now()
    given.setdefault("items_total", 100)
    given.setdefault("took", timedelta(minutes=30))
    took = given.pop("took")
    return BatchJob.objects.create(
        workload=given.pop("workload", "translation"),
        provider="openai",
        model="gpt-4o-mini",
        status=status,
        create_sent_at=now - ago - took,
        finished_at=now - ago,
        **given,
    )


def read(caller, query="", path=""):
    answer = caller.get(f"{MONITORING}{path}{query}")
    assert answer.status_code == 200, answer.content
    assert answer.json()["success"] is True
    return answer.json()["data"]
