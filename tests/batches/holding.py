"""Passes of submission under holds, and how they end."""

from datetime import timedelta

from django.utils import timezone

from batches.models import (
    BatchItem,
    Hold,
    OpenItem,
)
from batches.providers.errors import ProviderError
from batches.services.recount import recount
from batches.services.submission import submit_jobs
from tests.driving import work_off
from tests.gallery.models import Caption


def later():
    return timezone.now() + timedelta(hours=1)


def submit() -> None:
    """One pass of the stage, an hour later; trouble is on the rows."""
    try:
        submit_jobs(now=later())
    except ProviderError as err:
        assert err.is_account_trouble


def probe_is_due() -> None:
    Hold.objects.active().update(probe_at=timezone.now() - timedelta(seconds=1))


def ends_well() -> None:
    work_off()
    assert not OpenItem.objects.exists()
    assert Caption.objects.count() == BatchItem.objects.count()
    assert set(BatchItem.objects.values_list("attempts", flat=True)) == {1}
    assert recount(repair=False) == []
