"""My runs: a list, and for each how far it is, what it waits for and an end to it."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from batches.admin.acts import outlook_in_words
from batches.admin.display import (
    cost,
    link,
    moment,
    moment_and_age,
    number,
    percent,
    progress,
    status_badge,
)
from batches.admin.live import QUICK_SECONDS, SLOW_SECONDS, STOP, Live, live_response
from batches.admin.panels import Panel, status_fact
from batches.admin.runs import (
    in_flight,
    provider_of,
    run_cost,
    run_sentence,
    with_money,
)
from batches.admin.waiting import run_waits_for
from batches.api.user_batches.stream import is_pushed
from batches.errors import BatchError
from batches.models import Run
from batches.monitoring.following import (
    answered_at_provider,
    event_data,
    events_of,
    run_of,
    runs_of,
)
from batches.my.access import own_page, user_of
from batches.querysets import RunQuerySet
from batches.services.effects import outlook_of_runs
from batches.services.lifecycle import RunFigures, figures_of_runs, run_figures
from batches.services.steering import cancel_run
from batches.states import RUN_FINAL, RunStatus
from batches.workloads import all_workloads

RUNS_SHOWN = 20
EVENTS_SHOWN = 20


# --- the list -------------------------------------------------------------------------


@own_page
@require_safe
def list_page(request: HttpRequest) -> HttpResponseBase:
    """Newest first; `after` is the last run of the page before."""
    runs, has_more = _page_of(request)
    live = _live_list(runs)
    asked = request.GET.urlencode()
    return render(
        request,
        "my/runs.html",
        {
            "title": _("My runs"),
            "live": live,
            "panels": live.panels,
            "live_url": reverse("my:live_runs") + (f"?{asked}" if asked else ""),
            "is_empty": not runs and "after" not in request.GET,
            "newest_url": reverse("my:runs") if "after" in request.GET else "",
            "older_url": f"{reverse('my:runs')}?after={runs[-1].public_id}"
            if has_more
            else "",
        },
    )


@own_page
@require_safe
def live_list(request: HttpRequest) -> HttpResponse:
    runs, _has_more = _page_of(request)
    response: HttpResponse = live_response(request, _live_list(runs))
    return response


def _page_of(request: HttpRequest) -> tuple[list[Run], bool]:
    """A page of the user's runs with their money, and whether there are older ones."""
    runs: RunQuerySet = with_money(runs_of(user_of(request)).newest_first())
    if "after" in request.GET:
        try:
            last = run_of(user_of(request), UUID(request.GET["after"]))
        except ValueError:
            last = None
        if last is None:
            raise Http404("after names none of your runs.")
        runs = runs.filter(pk__lt=last.pk)
    found = list(runs[: RUNS_SHOWN + 1])
    return found[:RUNS_SHOWN], len(found) > RUNS_SHOWN


def _live_list(runs: list[Run]) -> Live:
    figures = figures_of_runs(runs)
    under_way = sum(run.status not in RUN_FINAL for run in runs)
    panel = Panel(
        title=_("Runs"),
        key="runs",
        columns=[_("Run"), _("Status"), _("Progress"), _("Cost"), _("Created")],
        rows=[_row(run, figures[run.pk]) for run in runs],
        empty=_("None yet."),
        is_stacked=True,
    )
    sentence = ngettext(
        "%(count)s run is under way.", "%(count)s runs are under way.", under_way
    )
    return Live(
        panels=[panel],
        sentence=sentence % {"count": number(under_way)} if under_way else "",
        seconds=SLOW_SECONDS if under_way else STOP,
    )


def _row(run: Run, figures: RunFigures) -> tuple[Any, ...]:
    return (
        link(reverse("my:run", args=[run.public_id]), title_of(run)),
        status_badge(RunStatus, run.status),
        percent(figures.items - figures.open, figures.items),
        run_cost(run),
        moment_and_age(run.created_at),
    )


def title_of(run: Run) -> str:
    """What a run is about; its kind of work where no more can be said."""
    workload = all_workloads().get(run.workload)
    return (workload and workload.in_short(run.options)) or run.workload


# --- one run --------------------------------------------------------------------------


def own_run(request: HttpRequest, public_id: UUID) -> Run:
    """The user's run. Raises Http404, also for what is somebody else's."""
    runs = with_money(runs_of(user_of(request)))
    run: Run | None = runs.filter(public_id=public_id).first()
    if run is None:
        raise Http404(f"You have no run {public_id}.")
    return run


@own_page
@require_safe
def run_page(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    run = own_run(request, public_id)
    live = _live_run(run)
    last = events_of(run).values_list("pk", flat=True).last()
    return render(
        request,
        "my/run.html",
        {
            "title": title_of(run),
            "run": run,
            "live": live,
            "panels": live.panels,
            "may_cancel": "cancel" in live.acts,
            "live_url": reverse("my:live_run", args=[run.public_id]),
            "stream_url": _stream_url(run, last or 0) if is_pushed(request) else "",
        },
    )


def _stream_url(run: Run, last_event: int) -> str:
    address = reverse("api:user_job_events", args=[run.public_id])
    return f"{address}?after={last_event}"


@own_page
@require_safe
def live_run(request: HttpRequest, public_id: UUID) -> HttpResponse:
    response: HttpResponse = live_response(
        request, _live_run(own_run(request, public_id))
    )
    return response


def _live_run(run: Run) -> Live:
    figures = run_figures(run)
    is_over = run.status in RUN_FINAL
    panels = [_figures_panel(run, figures)]
    if waits := _waits_for(run, figures):
        panels.append(Panel(title=_("What it waits for"), notes=waits, key="waits"))
    panels += [_results_panel(run, figures), _events_panel(run)]
    return Live(
        panels=panels,
        sentence=run_sentence(run, figures),
        seconds=STOP if is_over else QUICK_SECONDS,
        acts=() if is_over or run.cancelled_at else ("cancel",),
    )


def _figures_panel(run: Run, figures: RunFigures) -> Panel:
    times = {
        _("created"): run.created_at,
        _("started"): run.started_at,
        _("finished"): run.finished_at,
    }
    return Panel(
        title=_("Where it stands"),
        key="figures",
        facts=[
            status_fact(run, RunStatus),
            (_("progress"), progress(figures.items - figures.open, figures.items)),
            (_("done"), number(figures.complete)),
            (_("failed"), number(figures.failed)),
            (_("cancelled"), number(figures.cancelled)),
            (_("cost"), run_cost(run)),
            (_("expected"), cost(run.expected_usd, provider_of(run))),
            (_("priority"), run.get_priority_display()),
            *[(label, moment(at)) for label, at in times.items() if at],
        ],
    )


def _waits_for(run: Run, figures: RunFigures) -> list[str]:
    """Why it is not done; of jobs, which are the operator's, only what they have."""
    if run.status in RUN_FINAL:
        return []
    sent = in_flight(run)
    sentences: list[str] = run_waits_for(run, figures, sent, [])
    if sent:
        text = ngettext(
            "%(count)s request is at the provider or on its way there. It is answered "
            "within a day, often sooner.",
            "%(count)s requests are at the provider or on their way there. They are "
            "answered within a day, often sooner.",
            sent,
        )
        sentences.append(text % {"count": number(sent)})
    if answered := answered_at_provider(run):
        text = ngettext(
            "About %(count)s of them is answered there already.",
            "About %(count)s of them are answered there already.",
            answered,
        )
        sentences.append(text % {"count": number(answered)})
    return sentences


def _results_panel(run: Run, figures: RunFigures) -> Panel:
    ended = figures.items - figures.open
    panel = Panel(
        title=_("Results"), key="results", empty=_("The first are still to come.")
    )
    if ended:
        panel.facts = [(_("there are"), number(ended))]
        downloads = [
            link(reverse("my:download", args=[run.public_id, kind]), name)
            for kind, name in (("csv", "CSV"), ("json", "JSON"), ("jsonl", "JSONL"))
        ]
        read = link(reverse("my:results", args=[run.public_id]), _("Read them"))
        panel.links = [read, *downloads]
    return panel


def _events_panel(run: Run) -> Panel:
    latest = list(events_of(run).reverse()[:EVENTS_SHOWN])
    return Panel(
        title=_("What happened"),
        key="events",
        columns=[_("When"), _("What"), _("How far")],
        rows=[
            (moment(event.created_at), event.get_kind_display(), _how_far(event))
            for event in latest
        ],
        is_stacked=True,
    )


def _how_far(event: Any) -> str:
    said = event_data(event)
    done = said.get("done", said.get("complete"))
    if done is None or "items" not in said:
        return str(said.get("message", ""))
    text = _("%(done)s of %(total)s")
    return text % {"done": number(done), "total": number(said["items"])}


# --- an end to it ---------------------------------------------------------------------


@own_page
@require_http_methods(["GET", "HEAD", "POST"])
def cancel_page(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    """Ask, saying what it would change, and then do it."""
    run = own_run(request, public_id)
    page = redirect("my:run", public_id)
    if run.status in RUN_FINAL:
        messages.info(request, _("This run has ended already; nothing was changed."))
        return page
    if request.method == "POST":
        try:
            run = cancel_run(run, by=user_of(request).get_username())
        except BatchError as err:
            messages.warning(request, str(err))
        else:
            said = _("The run is cancelled.")
            if run.status not in RUN_FINAL:
                said = _("The run is being cancelled; what is answered is kept.")
            messages.success(request, said)
        return page
    in_words = outlook_in_words("cancel")
    return render(
        request,
        "my/sure.html",
        {
            "title": _("Cancel this run?"),
            "what": title_of(run),
            "says": _(
                "What waits is cancelled for good. What the provider has finished by "
                "then is paid for, and you keep it."
            ),
            "effect": in_words(outlook_of_runs(run, together=True)),
            "yes": _("Yes, cancel it"),
            "back_url": reverse("my:run", args=[public_id]),
        },
    )
