"""What lies about the work in a seeded database: alerts, audit, webhooks, stray lines.

Also a hold on everything, so that no worker sends what was made up.
"""

import random
from datetime import datetime, timedelta

from batches.benchmark.load import HISTORY
from batches.benchmark.writing import insert_whole
from batches.models import (
    Alert,
    AnswerLength,
    AuditEntry,
    BatchJob,
    Hold,
    Run,
    StrayLine,
    WebhookDelivery,
    WebhookEndpoint,
)
from batches.states import (
    AuditOutcome,
    HoldScope,
    Severity,
    StrayKind,
    WebhookKind,
)

HELD_FOR = "made_up_load"
OPEN_ALERTS = 12
ACTS = ("login", "run:pause", "run:resume", "job:cancel", "override:set", "read")
OUTCOMES = (AuditOutcome.SUCCESS,) * 9 + (AuditOutcome.BLOCKED,)
LATE = "job_late"


def write(jobs: int, items: int, *, now: datetime, chance: random.Random) -> None:
    """Rows in proportion to the load; once more where there are some already."""
    keys = list(BatchJob.objects.order_by("-pk").values_list("pk", flat=True)[:jobs])
    if not Hold.objects.active().filter(scope=HoldScope.ALL, code=HELD_FOR).exists():
        Hold.objects.create(
            scope=HoldScope.ALL,
            code=HELD_FOR,
            message="This database holds made-up work, which is not to be sent.",
            raised_by="seed_load",
            raised_at=now,
        )
    _write_alerts(keys, now)
    _write_audit(max(10, items // 50), now, chance)
    _write_stray_lines(keys[::50], now)
    _write_webhooks(keys[::10], now)
    _write_lengths()


def _write_alerts(jobs: list[int], now: datetime) -> None:
    """Of the newest jobs; most were acknowledged."""
    rows = []
    for number, job in enumerate(jobs[::20]):
        at = now - timedelta(hours=number)
        is_open = number < OPEN_ALERTS
        rows.append(
            (
                LATE,
                str(job),
                Severity.MEDIUM.value,
                f"Job {job} is later than usual.",
                job,
                at,
                at,
                "" if is_open else "load-1",
                None if is_open else at + timedelta(minutes=30),
            )
        )
    insert_whole(
        Alert,
        (
            "code",
            "key",
            "severity",
            "message",
            "job",
            "raised_at",
            "seen_at",
            "acknowledged_by",
            "acknowledged_at",
        ),
        rows,
    )


def _write_audit(entries: int, now: datetime, chance: random.Random) -> None:
    runs = list(Run.objects.order_by("-pk").values_list("pk", flat=True)[:1_000])
    insert_whole(
        AuditEntry,
        ("actor", "address", "action", "target", "outcome", "after", "created_at"),
        (
            (
                f"load-{chance.randint(1, 5)}",
                f"192.0.2.{number % 250}",
                ACTS[number % len(ACTS)],
                f"run {runs[number % len(runs)]}",
                OUTCOMES[number % len(OUTCOMES)].value,
                {"value": number},
                now - HISTORY * (entries - number) / entries,
            )
            for number in range(entries)
        ),
    )


def _write_stray_lines(jobs: list[int], now: datetime) -> None:
    insert_whole(
        StrayLine,
        ("job", "file_id", "line", "kind", "custom_id", "raw_line", "created_at"),
        (
            (job, f"file-{job}", 3, StrayKind.UNKNOWN.value, "x", '{"id": "x"}', now)
            for job in jobs
        ),
    )


def _write_webhooks(jobs: list[int], now: datetime) -> None:
    """Delivered all; the endpoint is switched off, so nothing is ever sent."""
    endpoint, _ = WebhookEndpoint.objects.get_or_create(
        name="load",
        defaults={
            "url": "https://load.invalid/hook",
            "kinds": [WebhookKind.RUN_FINISHED.value],
            "is_active": False,
        },
    )
    insert_whole(
        WebhookDelivery,
        ("endpoint", "message_id", "kind", "body", "created_at", "delivered_at"),
        (
            (endpoint.pk, f"msg_{job}", WebhookKind.RUN_FINISHED.value, "{}", now, now)
            for job in jobs
        ),
    )


def _write_lengths() -> None:
    """Lengths of answers as they were learned: a bell around the usual one."""
    AnswerLength.objects.bulk_create(
        [
            AnswerLength(
                provider="openai",
                workload="translation",
                model="gpt-4o-mini",
                trait=trait,
                size=9,
                step=step,
                answers=1_000 >> abs(step),
            )
            for trait in ("ar", "en")
            for step in range(-4, 5)
        ],
        ignore_conflicts=True,
    )
