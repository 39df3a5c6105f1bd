"""The account at a provider: which batches and files of it are ours, and whose.

Several installations, and other programs, may share an account. A batch of ours says
so in its metadata, a file in its name; nothing else is ever touched.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from batches.models import Alert, BatchJob, Hold
from batches.services.alerts import raise_alert
from batches.services.holds import raise_hold
from batches.services.installation import installation, installation_id
from batches.states import HoldScope, Severity

if TYPE_CHECKING:
    from batches.providers.openai_batch import BatchProvider, RemoteBatch

# Clocks differ: how far before a time its batches are looked for.
LIST_MARGIN = timedelta(minutes=10)
# A provider keeps files for 30 days: whatever is older cannot be read any more. Rows of
# jobs must live longer than this, or their batches would seem to be nobody's.
LISTED_DAYS = 31
UNKNOWN_BATCH = "unknown_batch"
ENDED = ("completed", "failed", "expired", "cancelled")
FILE_NAME = re.compile(r"([0-9a-f]{32})-([0-9a-f]{32})-([0-9]{1,9})\.jsonl")


@dataclass(frozen=True)
class OurBatch:
    """A batch of this installation: the job it was for, and which submission of it."""

    token: str
    number: int
    batch: "RemoteBatch"


@dataclass(frozen=True)
class OurFile:
    """An input file of this installation, as its name tells."""

    id: str
    token: str
    number: int


def metadata(job: BatchJob) -> dict[str, str]:
    """What a batch of this job carries."""
    return {
        "installation": installation_id(),
        "token": job.token,
        "number": str(job.submission_number),
    }


def file_name(job: BatchJob) -> str:
    """What an input file of this job is called."""
    return f"{installation_id()}-{job.token}-{job.submission_number}.jsonl"


def read_batch(batch: "RemoteBatch", ours: str) -> OurBatch | None:
    """Whose a batch is; None where it is not of the installation with this id."""
    token, number = batch.metadata.get("token"), batch.metadata.get("number", "")
    is_ours = batch.metadata.get("installation") == ours
    if not is_ours or not token or not number.isdecimal():
        return None
    return OurBatch(token, int(number), batch)


def our_batches(provider: "BatchProvider", since: datetime) -> list[OurBatch]:
    """All batches of this installation that the provider lists, newest first."""
    ours = installation_id()
    back_to = int((since - LIST_MARGIN).timestamp())
    found = (read_batch(batch, ours) for batch in provider.batches_since(back_to))
    return [batch for batch in found if batch]


def our_files(provider: "BatchProvider") -> Iterator[OurFile]:
    """All input files of this installation, newest first."""
    ours = installation_id()
    for file in provider.input_files():
        match = FILE_NAME.fullmatch(file.filename)
        if match and match[1] == ours:
            yield OurFile(file.id, match[2], int(match[3]))


def look_back_to(job: BatchJob, now: datetime) -> datetime:
    """Since when to list before a job is sent.

    From its making on for its own batches; from the last reconciliation on for those
    that a database which went back in time has forgotten.
    """
    return min(job.created_at, compared_until(now))


def compared_until(now: datetime) -> datetime:
    """Batches made before this were compared with the rows, or cannot be read."""
    row = installation()
    known = row.reconciled_at or row.created_at
    return max(known, now - timedelta(days=LISTED_DAYS))


def unknown_to_us(batches: Iterable[OurBatch]) -> list[OurBatch]:
    """Those of our batches that belong to no job here and may have cost something."""
    batches = list(batches)
    tokens = {found.token for found in batches}
    known = set(
        BatchJob.objects.filter(token__in=tokens).values_list("token", flat=True)
    )
    return [
        found
        for found in batches
        if found.token not in known
        and (found.batch.status not in ENDED or found.batch.has_run)
    ]


def hold_for_unknown(batches: Iterable[OurBatch], provider: str) -> list[OurBatch]:
    """Hold all submission where a batch of ours belongs to no job; returns which.

    That happens to a database that went back in time: what it forgot would be paid
    again. A batch that a person has answered for, by acknowledging its alert or by
    lifting the hold, holds no more.
    """
    holding = [found for found in unknown_to_us(batches) if not _is_accepted(found)]
    for found in holding:
        message = _unknown(found.batch, provider)
        raise_alert(
            UNKNOWN_BATCH, message, key=found.batch.id, severity=Severity.CRITICAL
        )
        raise_hold(HoldScope.ALL, UNKNOWN_BATCH, message)
    return holding


def _is_accepted(found: OurBatch) -> bool:
    alerts = Alert.objects.filter(code=UNKNOWN_BATCH, key=found.batch.id)
    alert = alerts.order_by("pk").first()
    if alert is None:
        return False
    return (
        alert.acknowledged_at is not None
        or Hold.objects.filter(
            code=UNKNOWN_BATCH, lifted_at__gte=alert.raised_at
        ).exists()
    )


def _unknown(batch: "RemoteBatch", provider: str) -> str:
    return (
        f"Batch {batch.id} at {provider} ({batch.status}, {batch.completed} of "
        f"{batch.total} lines done, {batch.failed} failed) is of this installation, "
        "but no job here knows it; was an older state of the database restored? "
        "Nothing is sent until you have looked: what it did would be paid again. "
        "Restore the later state, or cancel the batch there or let it be, and then "
        "lift the hold."
    )
