"""Events of runs and jobs: seen, never changed."""

from django.contrib import admin
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches.admin.base import KeysetAdmin
from batches.admin.display import (
    EMPTY,
    link,
    list_url,
    moment,
    number,
    pairs,
    row_link,
)
from batches.admin.filters import JobFilter, RunFilter
from batches.admin.panels import Panel
from batches.models import BatchJob, Event, Run
from batches.states import EventKind, JobStatus

EVENTS_SHOWN = 200
DETAILS_SHOWN = 600


def event_details(event):
    """What happened, in words: the move in labels, the message, the figures."""
    data = dict(event.data)
    start, to = data.pop("start", None), data.pop("to", None)
    parts = []
    if event.kind == EventKind.BATCH_MOVED and {start, to} <= set(JobStatus.values):
        parts.append(f"{JobStatus(start).label} → {JobStatus(to).label}")
    parts += [part for part in (event.message, pairs(data)) if part]
    # A run's options may name ten thousand keys; the run's page has them.
    return Truncator(". ".join(parts)).chars(DETAILS_SHOWN) or EMPTY


def events_panel(events, **of):
    """The history of a run or a job, oldest first; of a long one its latest part."""
    found = list(events.order_by("-pk")[: EVENTS_SHOWN + 1])
    shown = found[:EVENTS_SHOWN][::-1]
    panel = Panel(
        title=_("Events"),
        key="events",
        columns=[_("At"), _("What"), _("Details")],
        rows=[
            (moment(event.created_at), event.get_kind_display(), event_details(event))
            for event in shown
        ],
        empty=_("Nothing has happened yet."),
    )
    if len(found) > EVENTS_SHOWN:
        panel.notes.append(
            _("The latest %(count)s are shown.") % {"count": number(EVENTS_SHOWN)}
        )
        panel.links.append(link(list_url(Event, **of), _("All events")))
    return panel


@admin.register(Event)
class EventAdmin(KeysetAdmin):
    list_display = ["id", "created_at", "kind", "run_link", "job_link", "details"]
    list_filter = ["kind", RunFilter, JobFilter]

    @admin.display(description=gettext_lazy("run"))
    def run_link(self, event):
        return row_link(Run, event.run_id)

    @admin.display(description=gettext_lazy("job"))
    def job_link(self, event):
        return row_link(BatchJob, event.job_id)

    @admin.display(description=gettext_lazy("details"))
    def details(self, event):
        return event_details(event)
