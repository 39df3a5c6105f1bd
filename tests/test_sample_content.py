"""One run of each workload on the content that ships, through the sandbox as it is."""

from collections import Counter

import pytest
from django.utils.html import escape

from batches import start_run
from batches.admin.display import row_url
from batches.models import BatchItem
from batches.states import ItemStatus, RunStatus
from batches.workloads import get_workload
from tests.driving import work_off
from tests.samples import SAMPLES, shipped


def test_every_workload_that_ships_has_a_sample():
    assert shipped() == set(SAMPLES), "name the sample content of a new workload"


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("key", SAMPLES)
def test_every_item_is_complete_and_can_be_seen(key, sandbox, admin_client):
    run = start_run(key, canary=False, **SAMPLES[key]())
    work_off(seconds=120)

    results = list(run.results())
    assert run.status == RunStatus.COMPLETED
    assert len(results) == run.figures().complete > 2
    assert Counter(result.status for result in results) == {
        ItemStatus.COMPLETE: len(results)
    }
    for item in BatchItem.objects.filter(run=run.row):
        explained = get_workload(key).explain_result(
            content_type_id=item.content_type_id,
            object_id=item.object_id,
            target=item.target,
            item_id=item.pk,
        )
        page = admin_client.get(row_url(BatchItem, item.pk)).content.decode()
        assert explained, item
        for line in explained:
            assert escape(line) in page
