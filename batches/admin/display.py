"""How values are shown: money, time, statuses, bars, links; all of it escaped.

What comes back is safe HTML where it has tags, and plain text, which the templates
escape, everywhere else.
"""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.admin import site
from django.contrib.admin.utils import quote
from django.db import models
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from batches.models.money import to_usd
from batches.providers.registry import is_sandbox
from batches.states import (
    AttemptOutcome,
    AuditOutcome,
    ItemStatus,
    JobStatus,
    RunStatus,
)

EMPTY = "—"

# What a status looks like; those that are not here are under way, and look plain.
# Keyed by class too: members of different classes with one value are equal.
TONES = {
    JobStatus: {
        JobStatus.PROCESSED: "good",
        JobStatus.EXPIRED: "warn",
        JobStatus.FAILED: "bad",
        JobStatus.CANCELLED: "off",
    },
    ItemStatus: {
        ItemStatus.COMPLETE: "good",
        ItemStatus.FAILED: "bad",
        ItemStatus.CANCELLED: "off",
    },
    RunStatus: {
        RunStatus.COMPLETED: "good",
        RunStatus.FAILED: "bad",
        RunStatus.CANCELLED: "off",
    },
    AttemptOutcome: {
        AttemptOutcome.APPLIED: "good",
        AttemptOutcome.REUSED: "good",
        AttemptOutcome.FAILED: "bad",
        AttemptOutcome.RETURNED: "warn",
        AttemptOutcome.RETRIED: "warn",
        AttemptOutcome.SPLIT: "warn",
        AttemptOutcome.CANCELLED: "off",
    },
    AuditOutcome: {
        AuditOutcome.FAILURE: "bad",
        AuditOutcome.BLOCKED: "warn",
        AuditOutcome.RATE_LIMITED: "warn",
    },
}


def badge(label, tone="open"):
    return format_html('<span class="badge badge-{}">{}</span>', tone, label)


def status_badge(choices, value):
    """The label of a status, in its tone; a value that is none is shown as it is."""
    if value not in choices.values:
        return value
    return badge(choices(value).label, TONES.get(choices, {}).get(value, "open"))


def number(value):
    """A count with its thousands apart."""
    return formats.number_format(value, force_grouping=True)


def up_to(most, rows):
    """How many rows a queryset has, never counting further than `most`."""
    count = rows.order_by().values("pk")[: most + 1].count()
    return f"{number(most)}+" if count > most else number(count)


def dollars(usd: Decimal) -> str:
    """At least two places, and below a cent as many as show three figures."""
    places = 2 if not usd else min(9, max(2, 2 - usd.adjusted()))
    return "$" + formats.number_format(
        round(usd, places), decimal_pos=places, force_grouping=True
    )


def cost(usd: Decimal, provider: str) -> str:
    """Money, with a mark where no real provider takes it."""
    if is_sandbox(provider) and usd:
        return _("%(amount)s (sandbox)") % {"amount": dollars(usd)}
    return dollars(usd)


def real_and_pretended(real_nanos: int, sandbox_nanos: int) -> str:
    """Real money; pretended money of the sandbox beside it, marked."""
    real, sandbox = dollars(to_usd(real_nanos)), dollars(to_usd(sandbox_nanos))
    if not sandbox_nanos:
        return real
    if not real_nanos:
        return _("%(amount)s (sandbox)") % {"amount": sandbox}
    return _("%(real)s, and %(sandbox)s (sandbox)") % {
        "real": real,
        "sandbox": sandbox,
    }


def moment(at: datetime | None) -> str:
    """Date and time to the second, in the active time zone."""
    return EMPTY if at is None else _time(at, "%H:%M:%S")


def moment_and_age(at: datetime) -> str:
    age = _("%(duration)s ago") % {"duration": timesince(at, depth=1)}
    return format_html('{} <span class="under">{}</span>', _time(at, "%H:%M"), age)


def _time(at, clock):
    local = timezone.localtime(at)
    return format_html(
        '<time datetime="{}">{} {}</time>',
        local.isoformat(),
        formats.date_format(local, "DATE_FORMAT"),
        format(local, clock),
    )


def progress(done: int, total: int) -> str:
    """A bar with its figures beside it; the figures alone where there is no total."""
    text = _("%(done)s of %(total)s") % {"done": number(done), "total": number(total)}
    return _bar(done, total, text) if total else text


def percent(done: int, total: int) -> str:
    """A bar with its percentage, for lists; 100 only when all is done."""
    if not total:
        return EMPTY
    return _bar(done, total, f"{min(done, total) * 100 // total} %")


def _bar(done, total, text):
    return format_html(
        '<span class="progress"><progress value="{}" max="{}">{}</progress> {}</span>',
        min(done, total),
        total,
        text,
        text,
    )


def pretty_json(text: str) -> str:
    """JSON with one value a line; a text that is none as it is."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return pretty(value)


def pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def pairs(data: dict[str, Any]) -> str:
    """A flat dict in one line: `name: value, name: value`."""
    return ", ".join(
        f"{name}: {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in data.items()
    )


def link(url, text):
    return format_html('<a href="{}">{}</a>', url, text)


def row_url(model: type[models.Model], key) -> str:
    options = model._meta
    return reverse(
        f"admin:{options.app_label}_{options.model_name}_change", args=[quote(key)]
    )


def row_link(model: type[models.Model], key, text=None) -> str:
    """A link to a row's page; its text alone where the model has none."""
    if key is None:
        return EMPTY
    text = text or f"{model._meta.verbose_name}\u00a0{key}"
    if not site.is_registered(model):
        return text
    return link(row_url(model, key), text)


def list_url(model: type[models.Model], **filters) -> str:
    options = model._meta
    url = reverse(f"admin:{options.app_label}_{options.model_name}_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url
