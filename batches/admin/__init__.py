"""The engine in Django's admin; which shows what stands in each module's first line."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from batches.admin import (
    api_keys,
    attention,
    audit_log,
    caps,
    golden,
    history,
    items,
    job_acts,
    jobs,
    limits,
    prices,
    prompts,
    run_templates,
    runs,
    settings,
    usage,
    webhooks,
)
from batches.admin.desk import index
from batches.admin.groups import OPERATOR, every, ship
from batches.models import (
    Alert,
    AnswerLength,
    BatchItem,
    BatchJob,
    Cap,
    ConfigOverride,
    Event,
    GoldenCase,
    Hold,
    HourlyUsage,
    ItemAttempt,
    ItemRequest,
    JobShare,
    JobTally,
    OpenItem,
    Price,
    PromptVersion,
    ProviderState,
    Run,
    RunTemplate,
    StrayLine,
)

__all__ = [
    "api_keys",
    "attention",
    "audit_log",
    "caps",
    "golden",
    "history",
    "items",
    "job_acts",
    "jobs",
    "limits",
    "prices",
    "prompts",
    "run_templates",
    "runs",
    "settings",
    "usage",
    "webhooks",
]

admin.site.site_title = admin.site.site_header = "Batchsite"
admin.site.index_title = _("Operations desk")
admin.site.index = index
admin.site.index_template = "admin/batches/index.html"

SEEN_BY_OPERATORS = [
    AnswerLength,
    BatchItem,
    BatchJob,
    Event,
    GoldenCase,
    HourlyUsage,
    ItemAttempt,
    ItemRequest,
    JobShare,
    JobTally,
    OpenItem,
    PromptVersion,
    ProviderState,
    Run,
    StrayLine,
]

ship(
    OPERATOR,
    *every(*SEEN_BY_OPERATORS, of=["view"]),
    *every(Cap, ConfigOverride, Price, RunTemplate),
    run_templates.PERMISSION,
    *every(Hold, of=["view", "add", "change"]),  # changed by being lifted
    *every(Alert, of=["view", "change"]),  # by being acknowledged
    *every(PromptVersion, of=["add"]),
    "batches.weigh_promptversion",
    "batches.try_promptversion",
    *every(GoldenCase, of=["add", "delete"]),
    *[act.permission for act in (*runs.ACTS, *job_acts.ACTS, *prompts.ACTS)],
)
