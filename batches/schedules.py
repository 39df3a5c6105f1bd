"""Schedules as settings describe them, and as the worker's table has them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.models import Schedule

from batches import config
from batches.models import RunTemplate, SyncedSchedule
from batches.tasks import TICK
from batches.workloads import all_workloads

log = logging.getLogger(__name__)

PREFIX = "batchsite "


@dataclass(frozen=True)
class Wanted:
    func: str
    args: str
    cron: str
    intended_date_kwarg: str | None = None


# What the content apps have by the clock: {name: schedule}, as the settings say.
_further: list[Callable[[], dict[str, Wanted]]] = []


def register_schedules(wanted: Callable[[], dict[str, Wanted]]) -> None:
    """Have a content app's schedules synced too; their names begin with PREFIX."""
    _further.append(wanted)


@dataclass
class SyncReport:
    """What a sync did, by schedule name."""

    written: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)


def wanted_schedules() -> dict[str, Wanted]:
    """{name: schedule} by the settings and templates; none while STAGING is on.

    Raises ConfigError for a cron line that is none.
    """
    if config.get("STAGING"):
        return {}
    ticks = {
        "collect": ("collect", "BATCH_CREATE_INTERVAL"),
        "create": ("bundle", "BATCH_CREATE_INTERVAL"),
        "submit": ("submit", "BATCH_CREATE_INTERVAL"),
        "status": ("poll", "BATCH_STATUS_CHECK_INTERVAL"),
        "results": ("ingest", "BATCH_RESULT_PROCESSING_INTERVAL"),
        "sweep": ("sweep", "BATCH_SWEEP_SCHEDULE"),
        "webhooks": ("tell", "BATCH_RESULT_PROCESSING_INTERVAL"),
        "watch": ("watch", "BATCH_CREATE_INTERVAL"),
        "reconcile": ("reconcile", "BATCH_RECONCILE_SCHEDULE"),
    }
    wanted = {
        PREFIX + name: Wanted(TICK, repr((stage,)), config.get(setting))
        for name, (stage, setting) in ticks.items()
    }
    for key, workload in all_workloads().items():
        if workload.runs_nightly:
            wanted[f"{PREFIX}nightly {key}"] = Wanted(
                "batches.tasks.run_nightly",
                repr((key,)),
                config.get("NIGHTLY_SCHEDULE"),
                intended_date_kwarg="due",
            )
    for template in RunTemplate.objects.exclude(cron=""):
        wanted[f"{PREFIX}template {template.pk}"] = Wanted(
            "batches.tasks.run_template",
            repr((template.pk,)),
            template.cron,
            intended_date_kwarg="due",
        )
    for further in _further:
        wanted |= further()
    return wanted


def sync_schedules() -> SyncReport:
    """Bring the worker's schedules in line with the settings; safe to repeat.

    A schedule whose cron line a person changed is reported and left alone; so is one
    that a person removed: it comes back when its setting changes.
    """
    wanted = wanted_schedules()
    report = SyncReport()
    with transaction.atomic():
        synced = {row.name: row for row in SyncedSchedule.objects.select_for_update()}
        rows = Schedule.objects.filter(name__startswith=PREFIX).order_by("pk")
        existing = {row.name: row for row in rows}
        for name in sorted(wanted.keys() | existing.keys()):
            _sync_one(
                name, wanted.get(name), existing.get(name), synced.get(name), report
            )
    _log_start(wanted)
    return report


def _sync_one(
    name: str,
    want: Wanted | None,
    row: Schedule | None,
    synced: SyncedSchedule | None,
    report: SyncReport,
) -> None:
    was_edited = synced is not None and (row is None or row.cron != synced.cron)
    if want is None:
        if row is not None:
            row.delete()
            SyncedSchedule.objects.filter(pk=name).delete()
            report.removed.append(name)
        return
    if was_edited and synced is not None and synced.cron == want.cron:
        report.edited.append(name)
        return
    if row is not None and was_edited:
        report.edited.append(name)
        return
    if row is not None and row.cron == want.cron and synced is not None:
        return
    row = row or Schedule(name=name)
    row.func, row.args, row.cron = want.func, want.args, want.cron
    row.intended_date_kwarg = want.intended_date_kwarg
    row.schedule_type, row.repeats = Schedule.CRON, -1
    row.next_run = timezone.now()
    row.next_run = row.calculate_next_run()
    row.save()
    SyncedSchedule.objects.update_or_create(pk=name, defaults={"cron": want.cron})
    report.written.append(name)


def _log_start(wanted: dict[str, Wanted]) -> None:
    if not wanted:
        log.info("[CRON] No cron jobs: STAGING is on")
        return
    log.info(
        "[CRON] Cron jobs scheduled (%s, batch worker %s, batch status check %s)",
        ", ".join(
            f"{name.removeprefix(PREFIX)} {want.cron}"
            for name, want in wanted.items()
            if name.removeprefix(PREFIX) in ("create", "status", "results")
        ),
        spoken(config.get("NIGHTLY_SCHEDULE")),
        spoken(config.get("BATCH_SWEEP_SCHEDULE")),
    )


def spoken(cron: str) -> str:
    """`2AM EAT` for a daily cron line on the hour, `hourly` for an hourly one."""
    minute, hour, *days = cron.split()
    if days == ["*", "*", "*"] and hour == "*" and minute.isdigit():
        return "hourly"
    if days == ["*", "*", "*"] and hour.isdigit() and minute.isdigit():
        zone = ZoneInfo(settings.SCHEDULE_TIME_ZONE)
        at = datetime(2026, 1, 1, int(hour), int(minute), tzinfo=zone)
        clock = f"{at:%I}".lstrip("0") + (f":{at:%M}" if at.minute else "")
        return f"{clock}{at:%p} {at:%Z}"
    return cron
