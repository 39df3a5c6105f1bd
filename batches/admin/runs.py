"""Runs: how far they are, what they wait for, what they cost; steered by hand."""

from django.contrib import admin
from django.db.models import BigIntegerField, F, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin.acts import ActsAdmin, act_button
from batches.admin.base import PublicIdAdmin
from batches.admin.display import (
    EMPTY,
    cost,
    dollars,
    link,
    list_url,
    moment,
    moment_and_age,
    number,
    percent,
    pretty,
    progress,
    real_and_pretended,
    row_link,
    status_badge,
)
from batches.admin.filters import WorkloadFilter, not_applied
from batches.admin.history import events_panel
from batches.admin.items import failures_panel
from batches.admin.live import QUICK_SECONDS, STOP, Live, LiveAdmin
from batches.admin.notices import NoticesAdmin
from batches.admin.panels import Block, Panel, facts, status_fact
from batches.admin.prompt_pages import side_by_side_link
from batches.admin.run_acts import ACTS
from batches.admin.waiting import run_waits_for
from batches.models import BatchItem, BatchJob, JobShare, Run
from batches.models.money import to_usd
from batches.providers.registry import SANDBOX
from batches.services.lifecycle import run_figures
from batches.services.steering import possible_for_run
from batches.states import (
    RUN_FINAL,
    AttemptOutcome,
    ItemStatus,
    JobStatus,
    RunStatus,
)

JOBS_SHOWN = 50
BRAKE_LABELS = {
    "resume": gettext_lazy("Go on anyway"),
    "cancel": gettext_lazy("Cancel the run"),
}
OPTION_VALUES_SHOWN = 20


def share_sum(name, **where):
    """A run's sum over its shares, as a column."""
    sums = JobShare.objects.filter(run=OuterRef("pk"), **where).order_by()
    sums = sums.values("run").annotate(total=Sum(name)).values("total")
    return Coalesce(Subquery(sums), 0, output_field=BigIntegerField())


def with_money(runs):
    """Runs with what they cost; pretended money is never summed with real money."""
    sandbox = share_sum("cost_nanos", job__provider=SANDBOX)
    return runs.annotate(
        real_nanos=share_sum("cost_nanos") - sandbox, sandbox_nanos=sandbox
    )


@admin.register(Run)
class RunAdmin(NoticesAdmin, LiveAdmin, ActsAdmin, PublicIdAdmin):
    acts = ACTS
    list_display = [
        "id",
        "status_label",
        "workload",
        "owner_name",
        "subjects",
        "items",
        "progress_bar",
        "cost",
        "created",
    ]
    list_filter = ["status", WorkloadFilter, "trigger"]
    list_per_page = 50
    list_select_related = ["owner"]
    ordering = ["-pk"]
    search_fields = ["id", "public_id", "owner__username"]
    search_help_text = gettext_lazy(
        "A run's number, the beginning of its id, or its owner's name."
    )

    def get_queryset(self, request):
        ended = F("share_complete") + F("share_failed") + F("share_cancelled")
        unsent = F("unsent_complete") + F("unsent_failed") + F("unsent_cancelled")
        queryset = with_money(super().get_queryset(request))
        return queryset.annotate(
            share_complete=share_sum("complete"),
            share_failed=share_sum("failed"),
            share_cancelled=share_sum("cancelled"),
            items_total=F("items_collected")
            + F("unsent_follow_ups")
            + share_sum("follow_ups"),
            items_ended=ended + unsent,
        )

    def found_by(self, term):
        return super().found_by(term) | Q(owner__username__iexact=term)

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def status_label(self, run):
        return status_badge(RunStatus, run.status)

    @admin.display(description=gettext_lazy("owner"), ordering="owner__username")
    def owner_name(self, run):
        return run.owner.get_username() if run.owner else EMPTY

    @admin.display(description=gettext_lazy("subjects"), ordering="subjects_collected")
    def subjects(self, run):
        return number(run.subjects_collected)

    @admin.display(description=gettext_lazy("items"), ordering="items_total")
    def items(self, run):
        return link(list_url(BatchItem, run=run.pk), number(run.items_total))

    @admin.display(description=gettext_lazy("progress"))
    def progress_bar(self, run):
        return percent(run.items_ended, run.items_total)

    @admin.display(description=gettext_lazy("cost"), ordering="real_nanos")
    def cost(self, run):
        return run_cost(run)

    @admin.display(description=gettext_lazy("created"), ordering="created_at")
    def created(self, run):
        return moment_and_age(run.created_at)

    def act_row(self, run):
        return (
            row_link(Run, run.pk, str(run)),
            status_badge(RunStatus, run.status),
            percent(run.items_ended, run.items_total),
        )

    def live(self, request, run):
        figures = run_figures(run)
        return Live(
            panels=self._panels(request, run, figures),
            sentence=run_sentence(run, figures),
            seconds=STOP if run.status in RUN_FINAL else QUICK_SECONDS,
            acts=possible_for_run(run, failed=figures.failed),
        )

    def _panels(self, request, run, figures):
        shares = list(
            run.shares.select_related("job")
            .defer("job__provider_answer")
            .order_by("-job")[:JOBS_SHOWN]
        )
        panels = [figures_panel(run, figures)]
        if run.is_braked and run.status not in RUN_FINAL:
            panels.insert(0, brake_panel(request, run))
        if waits_for := run_waits_for(run, figures, in_flight(run), jobs_of(shares)):
            panels.append(
                Panel(title=_("What it waits for"), notes=waits_for, key="waits")
            )
        panels.append(jobs_panel(run, figures, shares))
        if figures.failed:
            panels.append(failures_panel(request, run_failures(run), run=run.pk))
        if run.skipped:
            panels.append(skipped_panel(run))
        panels += [events_panel(run.events, run=run.pk), request_panel(request, run)]
        return panels


def run_sentence(run, figures):
    """Where a run stands, to be read aloud when it changes."""
    words = {
        "status": run.get_status_display(),
        "done": number(figures.items - figures.open),
        "items": number(figures.items),
        "failed": number(figures.failed),
    }
    if figures.failed:
        return _("%(status)s: %(done)s of %(items)s, %(failed)s of them failed.") % (
            words
        )
    return _("%(status)s: %(done)s of %(items)s.") % words


def run_cost(run):
    return real_and_pretended(run.real_nanos, run.sandbox_nanos)


def in_flight(run):
    """How many of a run's items are in a job that has not ended them."""
    ended = F("complete") + F("failed") + F("cancelled") + F("returned")
    return run.shares.aggregate(n=Sum(F("sent") - ended, default=0))["n"]


def jobs_of(shares):
    return [share.job for share in shares]


def figures_panel(run, figures):
    ended = figures.items - figures.open
    rows = [
        status_fact(run, RunStatus),
        (_("progress"), progress(ended, figures.items)),
        (_("subjects"), number(run.subjects_collected)),
        (_("first requests"), number(figures.first)),
        (_("follow-ups"), number(figures.follow_ups)),
        (_("done"), number(figures.complete)),
        (_("failed"), number(figures.failed)),
        (_("cancelled"), number(figures.cancelled)),
        (_("open"), number(figures.open)),
        (_("sent"), number(figures.sent)),
        (_("cost"), run_cost(run)),
        (_("reserved"), dollars(to_usd(figures.reserved_nanos))),
        (_("expected"), dollars(run.expected_usd)),
        (_("estimate (worst case)"), dollars(run.estimate_usd)),
    ]
    if run.reused:
        rows.append((_("reused"), reused(run)))
    return Panel(
        title=_("Where it stands"),
        key="figures",
        facts=rows,
        links=[
            link(list_url(BatchItem, run=run.pk), _("Its items")),
            side_by_side_link(run),
        ],
    )


def reused(run):
    """How many answers were not paid for again, and what that saved."""
    return _("%(count)s, %(saved)s saved") % {
        "count": number(run.reused),
        "saved": cost(run.saved_usd, provider_of(run)),
    }


def provider_of(run):
    return run.items.order_by("pk").values_list("provider", flat=True).first() or ""


def brake_panel(request, run):
    """Why a run was paused by itself, and the question that this asks."""
    brake = run.brake
    what = ngettext(
        "Only %(passed)s of %(judged)s answer passed the checks.",
        "Only %(passed)s of %(judged)s answers passed the checks.",
        brake["judged"],
    ) % {"passed": number(brake["passed"]), "judged": number(brake["judged"])}
    waits = ngettext(
        "%(count)s item waits; it would cost at most %(money)s.",
        "%(count)s items wait; they would cost at most %(money)s.",
        brake["items"],
    ) % {
        "count": number(brake["items"]),
        "money": cost(to_usd(brake["nanos"]), provider_of(run)),
    }
    question = _(
        "Go on anyway? Look at some answers first. If they are no good, cancel the "
        "run, mend the prompt or the model, and start another."
    )
    where = brake["job"] and row_link(BatchJob, brake["job"])
    offered = [act for act in ACTS if act.name in ("resume", "cancel")]
    return Panel(
        title=_("Paused: too few answers passed"),
        key="brake",
        notes=[what, waits, question],
        facts=[(_("seen in"), where or _("the sample that went first"))],
        columns=[_("What was found"), _("How often")],
        rows=[(check, number(count)) for check, count in brake["checks"].items()],
        links=[
            act_button(act, BRAKE_LABELS[act.name])
            for act in offered
            if request.user.has_perm(act.permission)
        ],
    )


def jobs_panel(run, figures, shares):
    panel = Panel(
        title=_("Jobs"),
        key="jobs",
        columns=[
            _("Job"),
            _("Status"),
            _("Progress"),
            _("Failed"),
            _("Cost"),
            _("Waits for"),
        ],
        rows=[share_row(share) for share in shares],
        empty=_("None of its items is in a job yet."),
    )
    if figures.jobs > len(shares):
        panel.notes.append(
            _("The newest %(shown)s of %(all)s are shown.")
            % {"shown": number(len(shares)), "all": number(figures.jobs)}
        )
        panel.links.append(link(list_url(BatchJob, run=run.pk), _("All its jobs")))
    return panel


def share_row(share):
    return (
        row_link(BatchJob, share.job_id),
        status_badge(JobStatus, share.job.status),
        progress(share.sent - share.in_flight, share.sent),
        number(share.failed),
        cost(share.cost_usd, share.job.provider),
        share.job.waiting_reason or EMPTY,
    )


def run_failures(run):
    """Last attempts of a run's failed items, in the order of the items.

    Found by way of its jobs, where failures are indexed: among a million items that
    went well, the few others would be long to look for.
    """
    jobs = run.shares.filter(failed__gt=0).values("job_id")
    in_its_jobs = Q(job__in=jobs, item__job=F("job"))
    unsent = Q(job__isnull=True, item__job__isnull=True)
    return not_applied(outcome=AttemptOutcome.FAILED).filter(
        in_its_jobs | unsent, item__run=run, item__status=ItemStatus.FAILED
    )


def skipped_panel(run):
    return Panel(
        title=_("Skipped"),
        key="skipped",
        columns=[_("What"), _("How many")],
        rows=[(reason, number(count)) for reason, count in run.skipped.items()],
    )


def request_panel(request, run):
    names = ["public_id", "workload", "trigger", "schedule", "due_at", "account"]
    names += ["priority", "may_wait", "force_refresh", "canary_state", "limit"]
    names += ["budget_nanos", "idempotency_key"]
    times = ["created_at", "collected_at", "started_at", "paused_at", "cancelled_at"]
    owner = run.owner.get_username() if run.owner else EMPTY
    return Panel(
        title=_("What was asked for"),
        key="request",
        facts=[
            (_("owner"), owner),
            *facts(run, names),
            *[
                (run._meta.get_field(name).verbose_name, moment(getattr(run, name)))
                for name in [*times, "finished_at"]
                if getattr(run, name)
            ],
        ],
        blocks=[Block(_("options"), pretty(shortened(run.options)), is_code=True)],
        links=save_links(request, run),
    )


def save_links(request, run):
    """The way to keep what was asked for under a name, for those who may."""
    if not request.user.has_perm("batches.add_runtemplate"):
        return []
    url = f"{reverse('admin:batches_runtemplate_add')}?run={run.pk}"
    return [link(url, _("Save as template…"))]


def shortened(options):
    """Options with long lists cut: a run may name ten thousand keys."""
    return {
        name: [
            *value[:OPTION_VALUES_SHOWN],
            _("… and %(count)s more")
            % {"count": number(len(value) - OPTION_VALUES_SHOWN)},
        ]
        if isinstance(value, list) and len(value) > OPTION_VALUES_SHOWN
        else value
        for name, value in options.items()
    }
