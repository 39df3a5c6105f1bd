"""Starting a run by hand: what it comes to first, and then one button."""

import uuid

from django import forms
from django.contrib import messages
from django.http import HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin.caps import cap_facts_for
from batches.admin.costs import cost_facts, cost_notes
from batches.admin.display import (
    link,
    moment,
    number,
    row_link,
    row_url,
    status_badge,
)
from batches.admin.panels import Panel
from batches.admin.subjects import may_see
from batches.errors import BatchError
from batches.models import Run
from batches.services.budget import Payer
from batches.services.collection import collect_run
from batches.services.events import audit
from batches.states import RunStatus

# What takes longer is counted on a sample, and collected in the background.
ESTIMATE_SECONDS = 3.0
COLLECTED_AT_ONCE = 100

SKIPPED = {
    "under_way": gettext_lazy("under way in another run already"),
    "answered": gettext_lazy("answered already"),
}


class StartForm(forms.Form):
    """One page is one run, however often its button is pressed."""

    form_key = forms.UUIDField(widget=forms.HiddenInput)


def start_page(model_admin, request, row, *, payer, plan, start):
    """Ask, with the price, and on the button start a run of what a row asks for.

    `plan(seconds)` gives the Plan, `start(idempotency_key)` the run and whether it is
    new, `payer` whose caps hold. What a BatchError says is shown.
    """
    back = row_url(type(row), row.pk)
    if request.method == "POST":
        form = StartForm(request.POST)
        if form.is_valid():
            return _started(model_admin, request, row, start, form, back)
    panels, can_start = [], False
    try:
        planned = plan(ESTIMATE_SECONDS)
        panels = plan_panels(planned, payer)
        can_start = planned.items > 0 or planned.cursor is not None
    except BatchError as err:
        messages.error(request, str(err))
    return TemplateResponse(
        request,
        "admin/batches/start_run.html",
        {
            **model_admin.admin_site.each_context(request),
            "opts": model_admin.opts,
            "title": _("Start a run of %(row)s") % {"row": row},
            "media": model_admin.media,
            "form": StartForm({"form_key": uuid.uuid4()}),
            "panels": panels,
            "can_start": can_start,
            "back_url": back,
        },
    )


def _started(model_admin, request, row, start, form, back):
    try:
        run, is_new = start(f"admin:{form.cleaned_data['form_key']}")
    except BatchError as err:
        messages.error(request, str(err))
        return HttpResponseRedirect(request.path)
    if not is_new:
        text = _("%(run)s was started from this page already.")
        messages.info(request, text % {"run": run})
    else:
        audit(
            "run.start",
            actor=request.user.get_username(),
            target=str(run),
            after={model_admin.opts.model_name: str(row), "options": run.options},
        )
        _collect(request, run)
    return HttpResponseRedirect(
        row_url(Run, run.public_id) if may_see(request, Run) else back
    )


def _collect(request, run):
    """Collect a small run now; a large one is left to the worker."""
    if run.limit is None or run.limit > COLLECTED_AT_ONCE:
        text = _("%(run)s is started; its content is being collected.")
        messages.success(request, text % {"run": run})
        return
    try:
        items = collect_run(run)
    except BatchError as err:
        text = _("%(run)s is started, but waits: %(why)s")
        messages.warning(request, text % {"run": run, "why": err})
        return
    text = ngettext(
        "%(run)s is started: %(count)s request.",
        "%(run)s is started: %(count)s requests.",
        items,
    )
    messages.success(request, text % {"run": run, "count": number(items)})


def plan_panels(plan, payer: Payer):
    """What a run would be and cost, what its caps leave, and what it would skip."""
    costs = plan.costs
    panel = Panel(
        title=_("What it comes to"),
        key="plan",
        facts=[
            (_("subjects"), number(plan.subjects)),
            (_("requests (items)"), number(plan.items)),
            *cost_facts(costs),
        ],
        notes=cost_notes(costs),
    )
    facts, notes = cap_facts_for(payer, costs.worst)
    panel.facts += facts
    panel.notes += notes
    if plan.reused:
        panel.facts.append((_("answered before, at no cost"), number(plan.reused)))
    if plan.cursor is not None:
        panel.notes.append(
            _("There is more: these are the figures of what could be counted at once.")
        )
    panels = [panel]
    if skipped := +plan.skipped:
        rows = [(SKIPPED.get(why, why), number(n)) for why, n in skipped.items()]
        columns = [_("Why"), _("How many")]
        panels.append(
            Panel(title=_("Skipped"), key="skipped", columns=columns, rows=rows)
        )
    return panels


def runs_panel(request, runs, *, start_url=""):
    """The latest of some runs, and the way to start another."""
    latest = list(runs.order_by("-pk")[:10])
    panel = Panel(
        title=_("Its runs"),
        key="runs",
        columns=[_("Run"), _("Status"), _("Asked by"), _("Created")],
        rows=[
            (
                row_link(Run, run.public_id, text=str(run))
                if may_see(request, Run)
                else str(run),
                status_badge(RunStatus, run.status),
                run.get_trigger_display(),
                moment(run.created_at),
            )
            for run in latest
        ],
        empty=_("None yet."),
    )
    if start_url:
        panel.links.append(link(start_url, _("Start a run…")))
    return panel
