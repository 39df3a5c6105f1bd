"""Statuses of jobs, items and runs: the words, the arrows, and the groups made of them.

Written once: the models' constraints, the querysets, the screens and the tests read
these tables. Only `services/lifecycle.py` moves anything along an arrow.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class JobStatus(models.TextChoices):
    PENDING = "pending", _("Waiting")  # rows written and paid for, nothing sent
    UPLOADING = "uploading", _("Sending")  # claimed by one worker
    VALIDATING = "validating", _("Checking at provider")
    IN_PROGRESS = "in_progress", _("Running")
    FINALIZING = "finalizing", _("Finishing")
    COMPLETED = (
        "completed",
        _("Results ready"),
    )  # the provider is done, however it ended
    PROCESSED = "processed", _("Done")
    EXPIRED = "expired", _("Partly done (expired)")
    CANCELLING = "cancelling", _("Cancelling")
    CANCELLED = "cancelled", _("Cancelled")
    FAILED = "failed", _("Refused")


JOB_TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.PENDING: frozenset({JobStatus.UPLOADING, JobStatus.CANCELLED}),
    JobStatus.UPLOADING: frozenset(
        {JobStatus.VALIDATING, JobStatus.PENDING, JobStatus.CANCELLED, JobStatus.FAILED}
    ),
    JobStatus.VALIDATING: frozenset(
        {
            JobStatus.IN_PROGRESS,
            JobStatus.FINALIZING,
            JobStatus.COMPLETED,
            JobStatus.FAILED,
            JobStatus.CANCELLING,
            JobStatus.PENDING,
        }
    ),
    JobStatus.IN_PROGRESS: frozenset(
        {
            JobStatus.FINALIZING,
            JobStatus.COMPLETED,
            JobStatus.CANCELLING,
            JobStatus.EXPIRED,
            JobStatus.CANCELLED,
            JobStatus.FAILED,
        }
    ),
    JobStatus.FINALIZING: frozenset(
        {
            JobStatus.COMPLETED,
            JobStatus.CANCELLING,
            JobStatus.EXPIRED,
            JobStatus.CANCELLED,
            JobStatus.FAILED,
        }
    ),
    JobStatus.CANCELLING: frozenset(
        {JobStatus.COMPLETED, JobStatus.CANCELLED, JobStatus.EXPIRED, JobStatus.FAILED}
    ),
    JobStatus.COMPLETED: frozenset(
        {JobStatus.PROCESSED, JobStatus.EXPIRED, JobStatus.CANCELLED, JobStatus.FAILED}
    ),
    JobStatus.PROCESSED: frozenset(),
    JobStatus.EXPIRED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
    JobStatus.FAILED: frozenset(),
}

JOB_FINAL = tuple(status for status in JobStatus if not JOB_TRANSITIONS[status])
JOB_UNFINISHED = tuple(status for status in JobStatus if JOB_TRANSITIONS[status])
TO_SUBMIT = (JobStatus.PENDING, JobStatus.UPLOADING)
AT_PROVIDER = (
    JobStatus.VALIDATING,
    JobStatus.IN_PROGRESS,
    JobStatus.FINALIZING,
    JobStatus.CANCELLING,
)


# The five words that the first system knew, which its log lines and API still use.
PLAIN_JOB_STATUS: dict[JobStatus, str] = {
    JobStatus.PENDING: "pending",
    JobStatus.UPLOADING: "pending",
    JobStatus.VALIDATING: "processing",
    JobStatus.IN_PROGRESS: "processing",
    JobStatus.FINALIZING: "processing",
    JobStatus.CANCELLING: "processing",
    JobStatus.COMPLETED: "processing",
    JobStatus.PROCESSED: "completed",
    JobStatus.EXPIRED: "failed",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "cancelled",
}


class ItemStatus(models.TextChoices):
    PENDING = "pending_batching", _("Waiting")
    IN_JOB = "batching_in_progress", _("Sent")
    COMPLETE = "processing_complete", _("Done")
    FAILED = "processing_failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


ITEM_TRANSITIONS: dict[ItemStatus, frozenset[ItemStatus]] = {
    ItemStatus.PENDING: frozenset(
        {
            ItemStatus.IN_JOB,
            ItemStatus.COMPLETE,  # answered by an equal item, nothing sent
            ItemStatus.FAILED,  # too large, or its subject is gone
            ItemStatus.CANCELLED,
        }
    ),
    ItemStatus.IN_JOB: frozenset(
        {
            ItemStatus.COMPLETE,
            ItemStatus.FAILED,
            ItemStatus.CANCELLED,
            ItemStatus.PENDING,  # returned or retried
        }
    ),
    ItemStatus.FAILED: frozenset(
        {
            ItemStatus.PENDING,  # requeued by hand
            ItemStatus.COMPLETE,  # its stored answer was applied again
        }
    ),
    ItemStatus.COMPLETE: frozenset(),
    ItemStatus.CANCELLED: frozenset(),
}

# A failed item is at rest, although a person may send it out again.
ITEM_OPEN = (ItemStatus.PENDING, ItemStatus.IN_JOB)
ITEM_FINAL = tuple(status for status in ItemStatus if status not in ITEM_OPEN)


class AttemptOutcome(models.TextChoices):
    APPLIED = "applied", _("Applied")  # judged and stored
    FAILED = "failed", _("Failed")  # the item ended failed with this
    RETURNED = "returned", _("Returned")  # not executed; the item went back to the pool
    RETRIED = "retried", _("Retried")  # failed in a way that passes; it went back too
    SPLIT = "split", _("Split")  # cut off twice; its parts go out as follow-ups
    CANCELLED = "cancelled", _("Cancelled")
    REUSED = "reused", _("Reused")  # nothing sent: an equal item's answer was stored


# What an attempt's outcome makes of its item; those of BACK go out again.
ITEM_AFTER: dict[AttemptOutcome, ItemStatus] = {
    AttemptOutcome.APPLIED: ItemStatus.COMPLETE,
    AttemptOutcome.SPLIT: ItemStatus.COMPLETE,
    AttemptOutcome.FAILED: ItemStatus.FAILED,
    AttemptOutcome.RETURNED: ItemStatus.PENDING,
    AttemptOutcome.RETRIED: ItemStatus.PENDING,
    AttemptOutcome.CANCELLED: ItemStatus.CANCELLED,
    AttemptOutcome.REUSED: ItemStatus.COMPLETE,
}
BACK = (AttemptOutcome.RETURNED, AttemptOutcome.RETRIED)
# An answer, or the lack of one, that its item ended with in a job.
JUDGED = (AttemptOutcome.APPLIED, AttemptOutcome.SPLIT, AttemptOutcome.FAILED)


class FileKind(models.IntegerChoices):
    """Which of a batch's two result files a line stood in."""

    OUTPUT = 1, _("Output file")
    ERROR = 2, _("Error file")


class StrayKind(models.TextChoices):
    """Why a line of a result file was recorded and not applied."""

    MALFORMED = "malformed", _("Not readable")
    UNKNOWN = "unknown", _("Unknown item")
    REPEATED = "repeated", _("Repeated")
    LATE = "late", _("Of an earlier attempt")


class RunStatus(models.TextChoices):
    COLLECTING = "collecting", _("Collecting")
    PENDING = "pending", _("Waiting")
    PROCESSING = "processing", _("Running")
    COMPLETED = "completed", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


RUN_FINAL = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)


def run_status(
    *,
    is_collected: bool,
    is_cancelled: bool,
    items: int,
    open_: int,
    complete: int,
    sent: int,
) -> RunStatus:
    """Say what a run's figures mean; the one place that decides it.

    `items` are all of its requests, `open_` those not final, `complete` those done and
    `sent` those that have ever left for a provider. A run that found nothing to do is
    done; one whose every item failed has failed; partial success is done, with counts.
    """
    if is_cancelled and not open_:
        return RunStatus.CANCELLED
    if not is_collected:
        return RunStatus.COLLECTING
    if open_:
        return RunStatus.PROCESSING if sent or open_ < items else RunStatus.PENDING
    return RunStatus.COMPLETED if complete or not items else RunStatus.FAILED


class CanaryState(models.TextChoices):
    """Whether a run's first answers are looked at before the rest of it goes out."""

    OFF = "off", _("Not asked for")
    UNDECIDED = "undecided", _("Not decided yet")  # until enough of it is collected
    SAMPLING = "sampling", _("A sample goes first")
    PASSED = "passed", _("The sample passed")
    BRAKED = "braked", _("The sample did not pass")
    NOT_NEEDED = "not_needed", _("Not needed")  # a small run, or nothing new in it


# In these only the sample of a run may get into a job.
HOLDING_BACK = (CanaryState.UNDECIDED, CanaryState.SAMPLING)


class Trigger(models.TextChoices):
    SCHEDULE = "schedule", _("Schedule")
    ADMIN = "admin", _("Admin")
    API = "api", _("API")
    COMMAND = "command", _("Command")
    RETRY = "retry", _("Retry")


class Priority(models.IntegerChoices):
    LOW = 0, _("Low")
    NORMAL = 1, _("Normal")
    HIGH = 2, _("High")


class HoldScope(models.TextChoices):
    ALL = "all", _("Everything")
    PROVIDER = "provider", _("Provider")
    WORKLOAD = "workload", _("Workload")
    ACCOUNT = "account", _("Account")


class CapScope(models.TextChoices):
    ALL = "all", _("everything")
    WORKLOAD = "workload", _("a workload")
    OWNER = "owner", _("an owner")
    ACCOUNT = "account", _("an account")
    RUN = "run", _("each run")


class CapPeriod(models.TextChoices):
    """Days and months are those of UTC, by which providers bill."""

    DAY = "day", _("a day")
    MONTH = "month", _("a month")
    EVER = "ever", _("in all")


class Severity(models.TextChoices):
    """How soon a person should look: some time, today, now."""

    MEDIUM = "medium", _("Medium")
    HIGH = "high", _("High")
    CRITICAL = "critical", _("Critical")


class Intent(models.TextChoices):
    """What a person, or a deadline of ours, wants of a job that is under way."""

    NONE = "", _("None")
    PAUSE = "pause", _("Pause")  # not sent until resumed
    RECALL = "recall", _("Recall")  # what was not executed goes back to the pool
    CANCEL = "cancel", _("Cancel")  # and here it ends
    DEADLINE = "deadline", _("Past its deadline")


# What a batch at its provider is cancelled for.
STOPPED = (Intent.RECALL, Intent.CANCEL)


class EventKind(models.TextChoices):
    """History entries; the `job:*` names are those of a run, for its followers."""

    RUN_CREATED = "job:created", _("Created")
    RUN_STARTED = "job:started", _("Started")
    RUN_PROGRESS = "job:progress", _("Progress")
    RUN_COMPLETED = "job:completed", _("Completed")
    RUN_FAILED = "job:failed", _("Failed")
    RUN_CANCELLED = "job:cancelled", _("Cancelled")
    RUN_RETRY = "job:retry", _("Retried")
    RUN_COLLECTED = "run:collected", _("Collected")
    RUN_WAITS = "run:waits", _("Waits")
    RUN_SPENT = "run:spent", _("Budget")
    RUN_REUSED = "run:reused", _("Answers reused")
    RUN_SAMPLE = "run:sample", _("Sample")
    RUN_BRAKED = "run:braked", _("Braked")
    BATCH_CREATED = "batch:created", _("Created")
    BATCH_MOVED = "batch:moved", _("Moved")
    BATCH_NOTE = "batch:note", _("Note")


class WebhookKind(models.TextChoices):
    """What other programs can be told of."""

    RUN_FINISHED = "run.finished", _("A run is finished")
    RUN_FAILED = "run.failed", _("A run has failed")
    PUBLISHED = "translation.published", _("Translations are published")
    ALERT = "alert.raised", _("An alert is raised")
    TEST = "webhook.test", _("A test")


class AuditOutcome(models.TextChoices):
    SUCCESS = "SUCCESS", _("Success")
    FAILURE = "FAILURE", _("Failure")
    BLOCKED = "BLOCKED", _("Blocked")
    RATE_LIMITED = "RATE_LIMITED", _("Rate limited")


class AuditKind(models.TextChoices):
    """What sort of thing an entry of the audit log tells of."""

    ACT = "act", _("An act")
    PLATFORM_ADMIN = "platform_admin", _("A look at the monitoring")
    SIGN_IN = "sign_in", _("A sign-in")
    DENIAL = "denial", _("A refusal")
