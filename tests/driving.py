"""Working off what waits, stage by stage, with the clock passed in."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.utils import timezone

from batches.providers.errors import ProviderError
from batches.services.bundling import bundle
from batches.services.collection import collect_runs
from batches.services.holds import probe_keys
from batches.services.ingestion import ingest_jobs
from batches.services.pipeline import is_idle
from batches.services.polling import poll_jobs
from batches.services.reconciliation import clean_up
from batches.services.submission import submit_jobs
from tests.sandbox.fixtures import wait_for


def later() -> datetime:
    """An hour from now, so that nothing waits for its time."""
    return timezone.now() + timedelta(hours=1)


def poll_until(is_so: Callable[[], bool]) -> None:
    """Poll until it is so: on the way there a job may move more than once."""

    def look() -> bool:
        poll_jobs(now=later())
        return is_so()

    wait_for(look)


def work_off(
    *, seconds: float = 20.0, until: Callable[[], bool] = is_idle
) -> list[str]:
    """Run the stages until nothing is left, or a condition holds; fails the test when
    that takes too long.

    Every stage is told that it is an hour later, so that nothing waits for its time.
    Returns what providers had to say on the way.
    """
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    trouble: list[str] = []
    while not until():
        collect_runs()
        probe_keys(now=later())
        bundle(now=later())
        for stage in (submit_jobs, poll_jobs, ingest_jobs, clean_up):
            try:
                stage(now=later())
            except ProviderError as err:
                trouble.append(str(err))
        assert time.monotonic() < deadline, (
            f"not done in time; providers said {trouble}"
        )
        pause.wait(0.02)
    return trouble
