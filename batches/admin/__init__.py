"""The engine in Django's admin; which shows what stands in each module's first line."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from batches.admin import (
    api_keys,
    attention,
    history,
    items,
    jobs,
    prompts,
    runs,
    settings,
    usage,
)
from batches.admin.desk import index
from batches.admin.groups import OPERATOR, every, ship
from batches.models import (
    Alert,
    BatchItem,
    BatchJob,
    ConfigOverride,
    Event,
    Hold,
    HourlyUsage,
    ItemAttempt,
    ItemRequest,
    JobShare,
    JobTally,
    OpenItem,
    PromptVersion,
    Run,
    StrayLine,
)

__all__ = [
    "api_keys",
    "attention",
    "history",
    "items",
    "jobs",
    "prompts",
    "runs",
    "settings",
    "usage",
]

admin.site.site_title = admin.site.site_header = "Batchsite"
admin.site.index_title = _("Operations desk")
admin.site.index = index
admin.site.index_template = "admin/batches/index.html"

SEEN_BY_OPERATORS = [BatchItem, BatchJob, Event, HourlyUsage, ItemAttempt, ItemRequest]
SEEN_BY_OPERATORS += [JobTally, JobShare, OpenItem, PromptVersion, Run, StrayLine]

ship(
    OPERATOR,
    *every(*SEEN_BY_OPERATORS, of=["view"]),
    *every(ConfigOverride),
    *every(Hold, of=["view", "add", "change"]),  # changed by being lifted
    *every(Alert, of=["view", "change"]),  # by being acknowledged
    *[act.permission for act in (*runs.ACTS, *jobs.ACTS)],
)
