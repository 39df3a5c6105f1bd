"""How often an item is tried: what its run says, else BATCH_MAX_ATTEMPTS."""

import pytest

from batches.models import BatchItem
from batches.states import ItemStatus
from tests.driving import work_off
from tests.factories import make_collected_run

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("own", "attempts"), [(1, 1), (2, 2), (None, 3)])
def test_an_item_that_fails_is_tried_as_often_as_its_run_says(
    sandbox, settings, own, attempts
):
    settings.BATCH_MAX_ATTEMPTS = 3
    run = make_collected_run(items=1, max_attempts=own)
    sandbox.faults(failed_lines={"rate": 1.0, "status": 500})

    work_off()

    item = BatchItem.objects.get(run=run)
    assert (item.status, item.attempts) == (ItemStatus.FAILED, attempts)
