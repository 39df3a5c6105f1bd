"""What runs in the processes that are killed, and in those that look on.

Each is a process of its own, forked from one that has loaded Django and has touched no
database; as django-q2 makes its workers.
"""

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command

from batches.models import (
    BatchItem,
    BatchJob,
    Event,
    Installation,
    ItemAttempt,
    OpenItem,
    Run,
)
from batches.services.collection import start_run
from batches.services.lifecycle import run_figures
from batches.services.recount import recount
from batches.states import EventKind, Trigger
from tests.gallery.models import Sketch
from tests.kill import probes
from tests.kill.letters.models import Letter, Reply
from translations.models import TranslationVersion


@dataclass(frozen=True)
class Place:
    """Where workers work: a database, a directory, a sandbox."""

    database: str  # a file's path, or a name on the server
    directory: Path
    sandbox_url: str

    @property
    def log(self) -> Path:
        return self.directory / "workers.log"


def fork(target: Callable[..., None], place: Place, *given: Any) -> ForkServerProcess:
    """Start `target(*given)` at a place, in a process of its own."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.kill.loaded"])
    process = context.Process(target=_at, args=(place, target, given))
    process.start()
    return process


def _at(place: Place, target: Callable[..., None], given: tuple[Any, ...]) -> None:
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
    settings.DATABASES["default"]["NAME"] = place.database
    settings.DATA_DIR = place.directory
    settings.SPOOL_DIR = place.directory / "spool"
    settings.SANDBOX_URL = place.sandbox_url
    target(*given)


def work(orders: probes.Orders, report: Path) -> None:
    """`manage.py process_batches --until-done`, with probes."""
    probes.install(orders, report)
    call_command("process_batches", until_done=True)


# --- before ---------------------------------------------------------------------------

LETTERS = (
    *(f"Letter {number}: the ship came in at dawn." for number in range(1, 6)),
    "AGAIN and again the bell rang over the harbour.",
    "FAILS at the provider, whoever sends it.",
    "BABBLES: the answer to this one is no JSON.",
    "STORE BUG: nobody can store what comes of this.",
    "TOO LARGE to be sent at all.",
    "WIDE: the line of its answer is padded to megabytes.",
    "LONG: a hundred kilobytes of log go with this one.",
    "AGAIN: the last one asks once more, too.",
)
SKETCHES = ("harbour", "lighthouse", "fog", "rope")
# Each letter and sketch in two languages, and a follow-up to each AGAIN; what fails is
# FAILS, BABBLES, STORE BUG and TOO LARGE.
ENDS = {"processing_complete": 30, "processing_failed": 8}

# Decided by what a line contains, so that the same items end the same in every round;
# what else happens leaves no trace in the end.
FAULTS: dict[str, Any] = {
    "failed_lines": {"containing": "FAILS", "status": 500},
    "non_json_answers": {"containing": "BABBLES"},
    "oversized_lines": {"containing": "WIDE", "bytes": 4_300_000},
    "expire_partial": {"share": 0.5, "times": 2},
    "invisible_file": {"seconds": 0.5, "times": 1},
    "duplicate_lines": 0.1,
    "garbage_lines": 0.05,
}
# A provider's bad hours, which spoil requests and leave results alone.
STORM: dict[str, Any] = {
    "rate": 0.05,
    "names": [
        "http_429",
        "http_500",
        "http_502",
        "http_503",
        "reset",
        "lost_upload_answer",
        "invisible_file",
        "lost_delete_answer",
        "cut_download",
        "cut_download_unannounced",
        "lost_create_answer",
        "late_create",
        "late_validation",
        "list_delay",
    ],
}


def prepare() -> None:
    """Tables, content, and two runs that wait for a worker."""
    call_command("migrate", run_syncdb=True, verbosity=0)
    for text in LETTERS:
        Letter.objects.create(text=text)
    for name in SKETCHES:
        Sketch.objects.create(slug=name, title=f"A sketch of the {name} at night")
    start_run("letters", {}, trigger=Trigger.COMMAND)
    start_run(
        "translation",
        {"languages": ["ar", "so"], "content": ["gallery.sketch"]},
        trigger=Trigger.COMMAND,
    )
    # Each copy of this database is an installation of its own.
    Installation.objects.all().delete()


# --- after ----------------------------------------------------------------------------


def examine(to: Path) -> None:
    """Write what the database says in the end, as JSON.

    `dump` must be the same however a round went; the rest is held against the
    provider's ledger.
    """
    found = {
        "dump": {
            "items": _items(),
            "runs": [_run(run) for run in Run.objects.order_by("pk")],
            "replies": _hashed(Reply, "object_id", "target", "text"),
            "versions": _hashed(
                TranslationVersion,
                "translation__object_id",
                "translation__field",
                "translation__language",
                "number",
                "text",
            ),
        },
        "jobs": [
            [job.pk, job.status, job.provider_batch_id]
            for job in BatchJob.objects.order_by("pk")
        ],
        "attempts": [
            [str(row[0]), *row[1:]]
            for row in ItemAttempt.objects.filter(job__isnull=False)
            .order_by("pk")
            .values_list(
                "item_id",
                "job__provider_batch_id",
                "outcome",
                "http_status",
                "input_tokens",
                "cached_tokens",
                "output_tokens",
            )
        ],
        "open": OpenItem.objects.count(),
        "differences": [str(found) for found in recount(repair=False)],
    }
    to.write_text(json.dumps(found))


def _items() -> list[list[Any]]:
    """[workload, subject, target, status, error, hash of the answer, nano-dollars]."""
    answers = {
        item_id: _hash(answer)
        for item_id, answer in ItemAttempt.objects.exclude(answer="")
        .order_by("pk")
        .values_list("item_id", "answer")
    }
    return sorted(
        [
            item.workload,
            item.object_id,
            item.target,
            item.status,
            item.error_code,
            answers.get(item.pk, ""),
            item.cost_nanos,
        ]
        for item in BatchItem.objects.all()
    )


def _run(run: Run) -> dict[str, Any]:
    figures = run_figures(run)
    told_often = (EventKind.RUN_PROGRESS, EventKind.RUN_WAITS, EventKind.RUN_RETRY)
    events = Event.objects.filter(run=run, job__isnull=True).exclude(
        kind__in=told_often
    )
    return {
        "workload": run.workload,
        "status": run.status,
        "subjects": run.subjects_collected,
        "skipped": run.skipped,
        "estimate_nanos": run.estimate_nanos,
        "items": figures.items,
        "complete": figures.complete,
        "failed": figures.failed,
        "cancelled": figures.cancelled,
        "cost_nanos": figures.cost_nanos,
        "reserved_nanos": figures.reserved_nanos,
        "events": dict(sorted(Counter(events.values_list("kind", flat=True)).items())),
    }


def _hashed(model: Any, *fields: str) -> list[list[Any]]:
    """Rows of results, their text (the last of the fields) by its hash."""
    return sorted(
        [*row[:-1], _hash(row[-1])] for row in model.objects.values_list(*fields)
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
