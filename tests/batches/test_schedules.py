"""Schedules by the settings, never over a person's edit; no tick twice in a queue."""

import logging
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from batches.errors import ConfigError
from batches.models import BatchItem, ConfigOverride, Run
from batches.schedules import PREFIX, spoken, sync_schedules
from batches.services.collection import collect_run
from batches.states import Trigger
from batches.tasks import queue_age, request_tick, run_nightly, tick
from tests.factories import make_collected_run, make_paintings, make_run
from tests.gallery.models import Photo

pytestmark = pytest.mark.django_db

DUE = "2026-11-22T23:00:00+00:00"


def crons() -> dict[str, str]:
    rows = Schedule.objects.filter(name__startswith=PREFIX)
    return {row.name.removeprefix(PREFIX): row.cron for row in rows}


def test_the_schedules_are_those_of_the_settings():
    sync_schedules()

    assert crons() == {
        "collect": "*/5 * * * *",
        "create": "*/5 * * * *",
        "submit": "*/5 * * * *",
        "status": "*/2 * * * *",
        "results": "*/1 * * * *",
        "sweep": "30 * * * *",
        "watch": "*/5 * * * *",
        "reconcile": "45 * * * *",
        "webhooks": "*/1 * * * *",
        "sources": "0 1 * * *",
        "nightly translation": "0 2 * * *",
    }


def test_the_night_is_that_of_east_africa():
    sync_schedules()

    nightly = Schedule.objects.get(name=f"{PREFIX}nightly translation")
    assert nightly.next_run.astimezone(timezone.get_fixed_timezone(0)).hour == 23
    assert nightly.next_run > timezone.now()


def test_syncing_twice_changes_nothing():
    sync_schedules()
    before = list(Schedule.objects.order_by("pk").values())

    report = sync_schedules()

    assert (report.written, report.removed, report.edited) == ([], [], [])
    assert list(Schedule.objects.order_by("pk").values()) == before


def test_a_changed_setting_changes_its_schedule_and_its_next_run():
    sync_schedules()
    ConfigOverride.objects.create(name="NIGHTLY_SCHEDULE", value="30 4 * * *")

    report = sync_schedules()

    assert report.written == [f"{PREFIX}nightly translation"]
    nightly = Schedule.objects.get(name=f"{PREFIX}nightly translation")
    assert nightly.cron == "30 4 * * *"
    assert nightly.next_run.minute == 30


def test_what_a_person_edited_is_left_alone_and_reported():
    sync_schedules()
    Schedule.objects.filter(name=f"{PREFIX}create").update(cron="0 * * * *")
    Schedule.objects.filter(name=f"{PREFIX}sweep").delete()
    ConfigOverride.objects.create(name="BATCH_CREATE_INTERVAL", value="*/7 * * * *")

    report = sync_schedules()

    assert sorted(report.edited) == [f"{PREFIX}create", f"{PREFIX}sweep"]
    assert crons()["create"] == "0 * * * *"
    assert "sweep" not in crons()


def test_staging_has_no_cron_jobs(settings, caplog):
    sync_schedules()
    settings.STAGING = True

    with caplog.at_level(logging.INFO):
        sync_schedules()

    assert crons() == {}
    assert "[CRON] No cron jobs: STAGING is on" in caplog.text


def test_a_bad_cron_line_is_named_and_nothing_is_changed():
    sync_schedules()
    ConfigOverride.objects.create(name="NIGHTLY_SCHEDULE", value="at two")

    with pytest.raises(ConfigError, match="NIGHTLY_SCHEDULE is 'at two'"):
        sync_schedules()

    assert crons()["nightly translation"] == "0 2 * * *"


def test_the_start_line_tells_the_times(caplog):
    with caplog.at_level(logging.INFO):
        sync_schedules()

    line = "[CRON] Cron jobs scheduled (create */5 * * * *, status */2 * * * *, "
    assert line in caplog.text
    assert "batch worker 2AM EAT, batch status check hourly)" in caplog.text


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 2 * * *", "2AM EAT"),
        ("30 14 * * *", "2:30PM EAT"),
        ("30 * * * *", "hourly"),
        ("*/5 * * * *", "*/5 * * * *"),
        ("0 2 * * 0", "0 2 * * 0"),
    ],
)
def test_cron_lines_are_spoken_where_they_are_simple(cron, words):
    assert spoken(cron) == words


def test_the_nightly_run_starts_once_for_its_due_time(settings):
    settings.NIGHTLY_LIMIT = 7

    first = run_nightly("translation", due=DUE)
    again = run_nightly("translation", due=DUE)

    run = Run.objects.get()
    assert (first, again) == (f"run {run.pk}", "started before")
    assert (run.trigger, run.limit) == (Trigger.SCHEDULE, 7)
    assert run.due_at.isoformat() == DUE


def test_the_database_refuses_a_second_run_of_one_tick():
    run_nightly("translation", due=DUE)
    run = Run.objects.get()

    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.create(
            workload="translation",
            trigger=Trigger.SCHEDULE,
            schedule=run.schedule,
            due_at=run.due_at,
        )


@pytest.mark.parametrize(
    "switch", ["BATCH_CREATION_ENABLED", "BATCH_PROCESSING_ENABLED"]
)
def test_nothing_is_started_at_night_while_it_is_switched_off(settings, switch):
    setattr(settings, switch, False)

    assert run_nightly("translation", due=DUE) == "switched off"
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("off", "on", "still"),
    [
        ("BATCH_PROCESSING_ENABLED", "poll", "collect"),
        ("BATCH_CREATION_ENABLED", "ingest", "bundle"),
        ("BATCH_POLLING_ENABLED", "collect", "poll"),
    ],
)
def test_each_switch_holds_its_stages_and_no_other(settings, off, on, still):
    setattr(settings, off, False)

    assert tick(still) == "switched off"
    assert tick(on) != "switched off"


def test_ticks_do_the_whole_work(sandbox):
    Photo.objects.create(title="A tree")
    make_run("captions", kind="photo")

    assert tick("collect") == "1 items"
    assert tick("bundle") == "1 jobs"
    assert tick("submit") == "1 sent"
    deadline = timezone.now() + timedelta(seconds=20)
    while tick("poll") == "0 moved":
        assert timezone.now() < deadline
    tick("ingest")

    assert BatchItem.objects.get().status == "processing_complete"


def test_a_tick_that_meets_trouble_says_so_and_ends(settings, tmp_path):
    settings.SPOOL_DIR = tmp_path
    settings.SANDBOX_URL = "http://127.0.0.1:9/v1"
    make_collected_run(items=1)
    tick("bundle")

    assert "python manage.py sandbox" in tick("submit")


def test_a_stage_that_waits_in_the_queue_is_not_queued_twice():
    request_tick("bundle")
    request_tick("bundle")
    request_tick("submit")

    assert OrmQ.objects.count() == 2


def test_a_tick_that_a_worker_took_does_not_count_as_waiting():
    request_tick("bundle")
    OrmQ.objects.update(lock=timezone.now() + timedelta(minutes=15))

    request_tick("bundle")

    assert OrmQ.objects.count() == 2
    assert queue_age(timezone.now()) < timedelta(minutes=1)


def test_the_age_of_the_queue_is_that_of_what_nobody_took():
    assert queue_age(timezone.now()) == timedelta()
    request_tick("bundle")
    OrmQ.objects.update(lock=timezone.now() - timedelta(minutes=5))

    assert queue_age(timezone.now()) >= timedelta(minutes=5)


def test_asking_for_work_asks_for_its_tick(django_capture_on_commit_callbacks):
    make_paintings("one")

    with django_capture_on_commit_callbacks(execute=True):
        run = make_run()
    with django_capture_on_commit_callbacks(execute=True):
        collect_run(run)

    assert [row.task["args"] for row in OrmQ.objects.order_by("pk")] == [
        ("collect",),
        ("bundle",),
    ]
