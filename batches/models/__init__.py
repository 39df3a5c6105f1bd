"""The engine's tables; which knows what stands in each module's first line."""

from batches.models.api_key import ApiKey
from batches.models.config import (
    ConfigOverride,
    Installation,
    InstallationDisk,
    SyncedSchedule,
)
from batches.models.history import AuditEntry, Event
from batches.models.hold import Alert, Hold
from batches.models.item import BatchItem, ItemAttempt, ItemRequest, OpenItem
from batches.models.job import BatchJob, JobShare, JobTally, StrayLine
from batches.models.prompt import PromptVersion
from batches.models.run import Run
from batches.models.usage import HourlyUsage

__all__ = [
    "Alert",
    "ApiKey",
    "AuditEntry",
    "BatchItem",
    "BatchJob",
    "ConfigOverride",
    "Event",
    "Hold",
    "HourlyUsage",
    "Installation",
    "InstallationDisk",
    "ItemAttempt",
    "ItemRequest",
    "JobTally",
    "JobShare",
    "OpenItem",
    "PromptVersion",
    "Run",
    "StrayLine",
    "SyncedSchedule",
]
