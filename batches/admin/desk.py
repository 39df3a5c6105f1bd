"""The first page: what is going on now, and what to do next.

Content apps say what they know of with `@advises` and `@counts`; the engine knows only
runs and jobs.
"""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from batches.admin.display import link, list_url, number, up_to
from batches.admin.notices import notices
from batches.admin.panels import Panel
from batches.admin.subjects import may_see
from batches.admin.usage_page import URL_NAME
from batches.models import Alert, BatchItem, BatchJob, HourlyUsage, OpenItem, Run
from batches.monitoring.now import now_figures
from batches.services.events import note_dashboard_look
from batches.states import ItemStatus

COUNTED = 10_000

_advisers = []
_counters = []


@dataclass(frozen=True)
class Step:
    """Something worth doing next: why, and the link that leads to it."""

    why: Any
    url: str
    label: Any


def advises(adviser):
    """Decorator: `adviser(request)` gives a `Step`, or None where it has nothing to
    say. They are asked in the order of the apps; each step is shown."""
    _advisers.append(adviser)
    return adviser


def counts(counter):
    """Decorator: `counter(request)` gives (label, value) pairs for the panel “Now”."""
    _counters.append(counter)
    return counter


def desk_panels(request):
    return [panel for panel in (now_panel(request), next_panel(request)) if panel]


def next_panel(request):
    steps = [step for adviser in _advisers if (step := adviser(request))]
    if not steps:
        return None
    return Panel(
        title=_("Next step") if len(steps) == 1 else _("Next steps"),
        key="next",
        notes=[step.why for step in steps],
        links=[link(step.url, step.label) for step in steps],
    )


def now_panel(request):
    facts = engine_facts(request)
    if may_see(request, Alert):
        alerts = number(Alert.objects.open().count())
        facts.append((_("open alerts"), link(list_url(Alert, state="open"), alerts)))
    for counter in _counters:
        facts += counter(request)
    links = []
    if may_see(request, HourlyUsage):
        links.append(link(reverse(f"admin:{URL_NAME}"), _("Usage and cost")))
    panel = Panel(title=_("Now"), key="now", facts=facts, links=links)
    return panel if facts or links else None


def engine_facts(request):
    if not (may_see(request, Run) and may_see(request, BatchJob)):
        return []
    now = now_figures(timezone.now())
    waiting = OpenItem.objects.filter(job__isnull=True)
    failed = list_url(BatchItem, status=ItemStatus.FAILED.value)
    return [
        (_("runs under way"), link(list_url(Run), number(now.runs))),
        (_("jobs to send"), number(now.to_send)),
        (_("jobs at the provider"), link(list_url(BatchJob), number(now.at_provider))),
        (_("jobs to read"), number(now.to_read)),
        (
            _("items waiting for a job"),
            link(list_url(OpenItem), up_to(COUNTED, waiting)),
        ),
        (_("items failed in 24 hours"), link(failed, number(now.failed_lately))),
    ]


def index(request, extra_context=None):
    """The admin's first page: notices and the desk's panels over the list of apps."""
    note_dashboard_look(actor=request.user.get_username(), target=request.path)
    context = {
        **(extra_context or {}),
        "notices": notices(request),
        "panels": desk_panels(request),
    }
    return admin.AdminSite.index(admin.site, request, context)
