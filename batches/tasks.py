"""What the worker does: one tick of one stage, which may come twice, or never.

A tick that finds nothing to do costs a few queries. Stages announce what they leave
for the next one (`batches.signals`), and its tick is asked for; schedules catch up.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from batches import config
from batches.errors import BatchError
from batches.models import BatchJob, Run, RunTemplate
from batches.monitoring.thresholds import breaches
from batches.providers.registry import is_sandbox
from batches.services.alerts import raise_alert
from batches.services.bundling import bundle
from batches.services.collection import collect_runs, start_run
from batches.services.holds import probe_keys
from batches.services.ingestion import ingest_jobs
from batches.services.leases import is_slice_over, one_slice
from batches.services.pipeline import process_once
from batches.services.polling import poll_jobs
from batches.services.reconciliation import clean_up, reconcile
from batches.services.run_templates import start_template
from batches.services.submission import submit_jobs
from batches.services.webhooks import send_webhooks
from batches.states import AT_PROVIDER, Trigger

log = logging.getLogger(__name__)

TICK = "batches.tasks.tick"
# Of the worker's `timeout`, which ends a task by force: long work ends itself before,
# and the rest is left for the calls that are under way then.
SLICE_SHARE = 0.5
# A sandbox answers in seconds, so its jobs are polled in one tick until one moves, for
# at most so long: far below the worker's `timeout`.
POLL_SLICE_SECONDS = 20.0
POLL_PAUSE_SECONDS = 2.0


def tick(stage: str, **_: Any) -> str:
    """Run one stage; returns what it did, for the list of tasks in the admin."""
    stages: dict[str, tuple[Callable[[], bool], Callable[[], str]]] = {
        "collect": (config.creation_enabled, _collect),
        "bundle": (config.creation_enabled, _bundle),
        "submit": (
            # What was sent without an answer is looked for in any case.
            lambda: config.creation_enabled() or config.polling_enabled(),
            _submit,
        ),
        "poll": (config.polling_enabled, _poll),
        "ingest": (config.polling_enabled, _ingest),
        "clean": (config.polling_enabled, _clean),
        "reconcile": (config.polling_enabled, _reconcile),
        "tell": (lambda: True, _tell),
        "sweep": (lambda: True, _sweep),
        "watch": (lambda: True, _watch),
    }
    is_on, run = stages[stage]
    if not is_on():
        return "switched off"
    with one_slice(settings.Q_CLUSTER["timeout"] * SLICE_SHARE):
        try:
            return run()
        except BatchError as err:
            # It stands on the job or run that waits; the schedules come again.
            log.warning("[Batch Worker] %s: %s", stage, err)
            return str(err)
        finally:
            if is_slice_over():
                request_tick(stage)


def run_nightly(workload: str, *, due: str) -> str:
    """Start the nightly run of a workload, once for each due time."""
    if not config.creation_enabled():
        return "switched off"
    due_at = datetime.fromisoformat(due)
    name = f"nightly:{workload}"
    if Run.objects.filter(schedule=name, due_at=due_at).exists():
        return "started before"
    try:
        run = start_run(
            workload,
            {},
            trigger=Trigger.SCHEDULE,
            schedule=name,
            due_at=due_at,
            limit=config.get("NIGHTLY_LIMIT"),
        )
    except BatchError as err:
        log.error("[CRON] Nightly %s was not started: %s", workload, err)
        return str(err)
    return f"run {run.pk}"


def run_template(template_id: int, *, due: str) -> str:
    """Start a template's scheduled run, once for each due time."""
    if not config.creation_enabled():
        return "switched off"
    template = RunTemplate.objects.filter(pk=template_id).first()
    if template is None or not template.cron:
        return "no longer scheduled"
    due_at = datetime.fromisoformat(due)
    if Run.objects.filter(schedule=template.schedule_key, due_at=due_at).exists():
        return "started before"
    try:
        run = start_template(
            template, trigger=Trigger.SCHEDULE, owner=template.owner, due_at=due_at
        )
    except BatchError as err:
        raise_alert(
            "template_not_started",
            f"The run template “{template.name}” was due and was not started: {err} "
            "Correct the template; it is tried again when it is next due.",
            key=template.schedule_key,
        )
        return str(err)
    return f"run {run.pk}"


def request_tick(stage: str) -> None:
    """Put a tick into the queue, unless one of the same stage waits there already.

    One whose lock lies in the future was taken by a worker: it may have looked before
    the new work was there, so it does not count as waiting.
    """
    request_once(TICK, stage, name=f"tick {stage}")


def request_once(func: str, *args: Any, name: str) -> None:
    """Put a task into the queue, unless the same waits there already."""
    for queued in OrmQ.objects.filter(lock__lte=timezone.now()):
        task = queued.task
        if task.get("func") == func and task.get("args") == args:
            return
    async_task(func, *args, task_name=name)


def request_all_ticks() -> None:
    """Ask for every stage: for a worker that starts, or starts again.

    A task that died with its worker comes back only after the queue's `retry`.
    """
    for stage in ("collect", "bundle", "submit", "poll", "ingest", "clean", "tell"):
        request_tick(stage)


def _collect() -> str:
    return f"{collect_runs()} items"


def _bundle() -> str:
    return f"{len(bundle())} jobs"


def _submit() -> str:
    probe_keys(now=timezone.now())
    return f"{submit_jobs(now=timezone.now())} sent"


def _ingest() -> str:
    return f"{ingest_jobs(now=timezone.now())} ended"


def _clean() -> str:
    return f"{clean_up(now=timezone.now())} jobs cleaned up"


def _reconcile() -> str:
    return str(reconcile(apply=True, now=timezone.now()))


def _tell() -> str:
    return f"{send_webhooks(now=timezone.now())} delivered"


def _watch() -> str:
    found = breaches(timezone.now())
    for breach in found:
        raise_alert(breach.code, breach.message, severity=breach.severity)
    return f"{len(found)} alerts"


def _sweep() -> str:
    report = process_once()
    return f"{report.submitted} sent, {report.ended} ended"


def _poll() -> str:
    """Poll what is due; the sandbox's jobs again and again until one moves."""
    deadline = time.monotonic() + POLL_SLICE_SECONDS
    while True:
        moved = poll_jobs(now=timezone.now())
        quick = [
            provider
            for provider in BatchJob.objects.filter(status__in=AT_PROVIDER)
            .values_list("provider", flat=True)
            .distinct()
            if is_sandbox(provider)
        ]
        if not quick:
            return f"{moved} moved"
        if moved or time.monotonic() > deadline:
            request_tick("poll")
            return f"{moved} moved"
        time.sleep(POLL_PAUSE_SECONDS)


def queue_age(now: datetime) -> timedelta:
    """How long the oldest queued task has waited to be taken by a worker."""
    oldest = OrmQ.objects.filter(lock__lte=now).order_by("lock").first()
    return now - oldest.lock if oldest and oldest.lock else timedelta()
