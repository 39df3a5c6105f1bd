"""A database that is full, cut off or stays away: work waits, and nothing is lost."""

import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

import psycopg
import pytest
import time_machine
from django.db import DatabaseError, connection
from django.utils import timezone

from batches.errors import MachineTrouble
from batches.models import (
    BatchJob,
)
from batches.services.ingestion import ingest_jobs
from batches.services.recount import recount
from batches.services.spool import job_dir
from batches.states import ItemStatus, JobStatus
from tests.batches.enduring import (
    all_ends_well,
    completed,
    is_now,
    later,
    lines_billed,
    notes,
    nothing_is_used_up,
    stage,
)
from tests.databases import find_postgres, new_database
from tests.driving import work_off
from tests.factories import make_job
from tests.sandbox.fixtures import wait_for
from tests.trouble import line_to

pytestmark = pytest.mark.django_db


@pytest.mark.django_db(transaction=True)
def test_a_database_whose_disk_is_full_delays_the_job_and_loses_nothing(
    sandbox, settings
):
    settings.BATCH_MAX_ATTEMPTS = 1
    if connection.vendor != "sqlite":
        pytest.skip("the bound on a database's pages is SQLite's")
    sandbox.faults(non_json_answers={"rate": 1.0})  # their lines are stored whole
    job = completed(make_job(200))

    with connection.cursor() as cursor:
        pages = cursor.execute("PRAGMA page_count").fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {pages}")
        said = stage(ingest_jobs)
        cursor.execute("PRAGMA max_page_count = 1000000000")

    assert "database or disk is full" in said
    assert is_now(job, JobStatus.COMPLETED)
    nothing_is_used_up(job)
    work_off()
    assert job.items.filter(status=ItemStatus.FAILED).count() == 200
    assert set(lines_billed(sandbox)) == {1}
    assert recount(repair=False) == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_is_ended_while_results_come_costs_nothing(sandbox):
    job = completed(make_job(3))
    sandbox.faults(slow={"seconds": 2, "on": ["files.content"], "times": 1})
    said = []

    def read() -> None:
        try:
            said.append(stage(ingest_jobs))
        except DatabaseError as err:
            said.append(f"escaped: {err}")
        finally:
            connection.close()

    reader = threading.Thread(target=read)
    reader.start()
    wait_for(lambda: list(job_dir(job).glob("*.part")))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    reader.join(30)

    (told,) = said
    assert told.startswith("The database did not do what it was asked")
    assert is_now(job, JobStatus.COMPLETED)
    assert job.waiting_reason == told[:500]
    assert told[:500] in notes(job)
    nothing_is_used_up(job)
    all_ends_well(sandbox, captions=3)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_database_that_stays_away_ends_the_stage_in_words(sandbox, settings):
    """The row cannot be written either; its lease ends by itself."""
    job = completed(make_job(3))
    sandbox.faults(slow={"seconds": 2, "on": ["files.content"], "times": 1})
    server = connection.settings_dict
    said: list[object] = []

    with line_to(server["HOST"] or "127.0.0.1", int(server["PORT"] or 5432)) as line:

        def read() -> None:
            connection.settings_dict = {
                **server,
                "HOST": "127.0.0.1",
                "PORT": line.port,
            }
            try:
                ingest_jobs(now=later())
            except Exception as err:
                said.append(err)
            finally:
                connection.close()

        reader = threading.Thread(target=read)
        reader.start()
        wait_for(lambda: list(job_dir(job).glob("*.part")))
        line.cut()
        reader.join(30)

    (err,) = said
    assert isinstance(err, MachineTrouble)
    assert "The database did not do" in str(err)
    nothing_is_used_up(job)
    assert BatchJob.objects.get(pk=job.pk).lease_until is not None
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        all_ends_well(sandbox, captions=3)


@pytest.mark.slow
def test_a_worker_goes_on_when_its_database_was_away_for_ten_seconds(tmp_path):
    from tests.test_up import LESSONS, Up

    with new_database(find_postgres()) as url:
        direct = urlsplit(url)
        with line_to(direct.hostname, direct.port or 5432) as line:
            through = url.replace(
                f"{direct.hostname}:{direct.port}", f"127.0.0.1:{line.port}"
            )
            assert str(line.port) in through
            up = Up(tmp_path, through)
            try:
                up.manage("import_content", "lessons", str(LESSONS))
                for language, begun in (("ar", IS_COLLECTED), ("fr", IS_SENT)):
                    has_more = counting_from_now(begun, url)
                    up.ask_for_work(language)
                    wait_for(has_more, seconds=60)
                    line.cut()
                    time.sleep(10)  # which is how long it is away
                    line.mend()
                    wait_for(lambda: is_done(url), seconds=120)
                assert json.loads(up.manage("recount", "--check", "--json")) == {
                    "differences": []
                }
                ledger = ledger_of(up.env["SANDBOX_URL"])
            finally:
                up.end()

        with psycopg.connect(url) as database:
            found = database.execute(
                "SELECT id, status, parent_id IS NULL FROM batches_batchitem"
            ).fetchall()
    items = {key: status for key, status, _ in found}
    assert set(items.values()) == {ItemStatus.COMPLETE.value}
    assert sum(is_first for *_, is_first in found) == 72  # the others are repairs
    billed = {key: len(ledger["by_custom_id"].get(str(key), [])) for key in items}
    assert set(billed.values()) == {1}


IS_COLLECTED = "SELECT COUNT(*) FROM batches_batchitem"
IS_SENT = "SELECT COUNT(*) FROM batches_batchjob WHERE provider_batch_id <> ''"


def count(query: str, url: str) -> int:
    """What a query counts, asked past the line."""
    with psycopg.connect(url) as database:
        (rows,) = database.execute(query).fetchone() or (0,)
        return int(rows)


def counting_from_now(query: str, url: str) -> Callable[[], bool]:
    before = count(query, url)
    return lambda: count(query, url) > before


def is_done(url: str) -> bool:
    unfinished = (
        "SELECT COUNT(*) FROM batches_run "
        "WHERE status NOT IN ('completed', 'failed', 'cancelled')"
    )
    return count(unfinished, url) == 0


def ledger_of(address: str) -> dict:
    import urllib.request

    with urllib.request.urlopen(  # noqa: S310
        address.removesuffix("/v1") + "/_sandbox/ledger", timeout=30
    ) as answer:
        return dict(json.load(answer))
