"""A thousand items with retries and failed lines: every figure of the money agrees."""

import pytest
from django.db.models import F, Sum
from django.utils import timezone

from batches.models import BatchJob, HourlyUsage, ItemAttempt, JobShare, Run
from batches.monitoring.spans import HOUR, last_days
from batches.monitoring.usage import usage
from batches.services.prices import current_rate
from batches.services.recount import recount
from batches.states import RunStatus
from tests.driving import work_off
from tests.factories import make_collected_run, make_paintings

pytestmark = pytest.mark.django_db

ITEMS = 1_000


def total(rows, column: str) -> int:
    return int(rows.aggregate(n=Sum(column, default=0))["n"])


def billed_nanos(sandbox, model: str) -> int:
    """What the provider's own ledger comes to at batch price, line by line."""
    rate = current_rate("sandbox", model, timezone.now())
    ours = set(BatchJob.objects.values_list("provider_batch_id", flat=True))
    return sum(
        rate.nanos(line["input_tokens"], line["cached_tokens"], line["output_tokens"])
        for lines in sandbox.ledger()["by_custom_id"].values()
        for line in lines
        if line["batch"] in ours
    )


@pytest.mark.slow
def test_what_was_reserved_settled_reported_and_billed_agrees(sandbox):
    sandbox.faults(
        failed_lines={"rate": 0.1, "status": 500},
        truncated_answers={"rate": 0.05},
        non_json_answers={"rate": 0.03},
        expire_partial={"share": 0.6, "times": 1},
    )
    make_paintings(*[f"harbour {number}" for number in range(ITEMS)])
    run = make_collected_run(0)
    model = run.items.first().model

    work_off(seconds=120)

    run = Run.objects.get()
    shares = JobShare.objects.all()
    spent = total(shares, "cost_nanos")
    assert run.status == RunStatus.COMPLETED
    assert shares.count() > 2  # retries went out in further jobs
    assert not shares.filter(cost_nanos__gt=F("reserved_nanos")).exists()
    assert spent == billed_nanos(sandbox, model)
    assert spent == total(ItemAttempt.objects.all(), "cost_nanos")
    assert spent == total(HourlyUsage.objects.all(), "cost_nanos")
    report = usage(last_days(1, bucket=HOUR, now=timezone.now()))
    assert report.pretended.total.cost_nanos == spent
    assert recount(repair=False) == []
