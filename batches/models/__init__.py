"""The engine's tables; which knows what stands in each module's first line."""

from batches.models.api_key import ApiKey
from batches.models.cap import Cap, CapNotice
from batches.models.config import (
    ConfigOverride,
    Installation,
    InstallationDisk,
    SyncedSchedule,
)
from batches.models.golden import GoldenCase, GoldenResult
from batches.models.history import AuditEntry, Event, ReceivedWebhook
from batches.models.hold import Alert, Hold
from batches.models.item import BatchItem, ItemAttempt, ItemRequest, OpenItem
from batches.models.job import BatchJob, JobShare, JobTally, StrayLine
from batches.models.limits import JobSize, ProviderState, TokenQueue
from batches.models.price import AnswerLength, Price
from batches.models.prompt import PromptVersion
from batches.models.run import Run
from batches.models.run_template import RunTemplate
from batches.models.second_factor import SecondFactor
from batches.models.track_record import TrackRecord
from batches.models.usage import HourlyUsage
from batches.models.webhook import WebhookDelivery, WebhookEndpoint

__all__ = [
    "Alert",
    "AnswerLength",
    "ApiKey",
    "AuditEntry",
    "BatchItem",
    "BatchJob",
    "Cap",
    "CapNotice",
    "ConfigOverride",
    "Event",
    "GoldenCase",
    "GoldenResult",
    "Hold",
    "HourlyUsage",
    "Installation",
    "InstallationDisk",
    "ItemAttempt",
    "ItemRequest",
    "JobSize",
    "JobTally",
    "JobShare",
    "OpenItem",
    "Price",
    "PromptVersion",
    "ProviderState",
    "ReceivedWebhook",
    "Run",
    "RunTemplate",
    "SecondFactor",
    "StrayLine",
    "SyncedSchedule",
    "TokenQueue",
    "TrackRecord",
    "WebhookDelivery",
    "WebhookEndpoint",
]
