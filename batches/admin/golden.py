"""The golden set, and the page that runs a prompt version on it."""

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin.base import ReadOnlyAdmin
from batches.admin.caps import cap_facts_for
from batches.admin.costs import cost_facts
from batches.admin.display import EMPTY, cost, number, pretty_json, row_link, row_url
from batches.admin.filters import WorkloadFilter
from batches.admin.panels import Block, Panel, facts
from batches.admin.prompt_pages import asked_version, plain_page
from batches.errors import BatchError
from batches.models import BatchItem, GoldenCase, PromptVersion
from batches.models.money import to_usd
from batches.monitoring.golden import standing
from batches.providers.registry import active_provider
from batches.services.budget import Payer
from batches.services.collection import plan_run, start_run
from batches.services.estimates import Costs
from batches.services.golden import GoldenSet, delete_case
from batches.states import ItemStatus, Trigger


@admin.register(GoldenCase)
class GoldenCaseAdmin(ReadOnlyAdmin):
    """Added by references or from reviewed work; taken out by hand."""

    list_display = ["name", "workload", "target", "has_reference", "origin", "added_by"]
    list_filter = [WorkloadFilter, "origin"]
    ordering = ["workload", "pk"]
    search_fields = ["name"]

    def has_delete_permission(self, request, obj=None):
        return request.user.has_perm("batches.delete_goldencase")

    @admin.display(description=gettext_lazy("reference"), boolean=True)
    def has_reference(self, case):
        return bool(case.reference)

    def delete_model(self, request, obj):
        delete_case(obj, by=request.user.get_username())

    def delete_queryset(self, request, queryset):
        for case in queryset:
            self.delete_model(request, case)

    def panels(self, request, case):
        names = ["workload", "name", "target", "origin", "added_by", "created_at"]
        panel = Panel(
            title=_("Golden case"),
            facts=facts(case, names),
            blocks=[
                Block(
                    _("request"), pretty_json(case.body), direction="ltr", is_code=True
                )
            ],
        )
        if case.reference:
            panel.blocks.insert(0, Block(_("reference"), case.reference))
        results = case.results.select_related("item__prompt_version").order_by("-pk")
        return [panel, results_panel(results[:20])]


def results_panel(results):
    return Panel(
        title=_("Answers"),
        columns=[_("Prompt"), _("Item"), _("Score"), _("chrF"), _("Errors")],
        rows=[
            (
                version_link(result.item.prompt_version),
                row_link(BatchItem, result.item_id),
                EMPTY if result.score is None else result.score,
                decimal(result.chrf),
                result.errors or EMPTY,
            )
            for result in results
        ],
        blocks=[
            Block(f"{result.item.prompt_version}", result.text) for result in results
        ],
        empty=_("No prompt was tried on it yet."),
        is_stacked=True,
    )


class TryForm(forms.Form):
    again = forms.BooleanField(
        label=gettext_lazy("Ask also what was answered before"),
        required=False,
        help_text=gettext_lazy("It is paid for once more; answers may differ."),
    )


def golden_page(request, pk, model_admin):
    """Run a version on the golden set, and see it beside the one in production."""
    version = asked_version(request, model_admin, pk)
    other = other_version(version)
    may_start = request.user.has_perm("batches.try_promptversion")
    form = TryForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        if not may_start:
            raise PermissionDenied
        if form.is_valid():
            start(request, version, other, again=form.cleaned_data["again"])
            return HttpResponseRedirect(request.path)
    found = standing(version, other)
    can_start = may_start and bool(found.lines)
    return plain_page(
        request,
        model_admin,
        title=_("Golden set: %s") % version,
        before=[plan_panel(request, version, other)] if can_start else [],
        form=form if can_start else None,
        method="post",
        submit=_("Run it on the golden set"),
        back_url=row_url(PromptVersion, version.pk),
        panels=[summary_panel(found), lines_panel(found)],
    )


def other_version(version):
    """What a version is compared with: production, or what it took the place of."""
    if version.is_production:
        return version.replaced
    versions = PromptVersion.objects.filter(workload=version.workload)
    return versions.filter(is_production=True).first()


def options_for(version):
    return {"of": version.workload, "prompt": version.number}


def start(request, version, other, *, again):
    for one in filter(None, (version, other)):
        try:
            run = start_run(
                GoldenSet.key,
                options_for(one),
                trigger=Trigger.ADMIN,
                owner=request.user,
                canary=False,
                force_refresh=again,
            )
        except BatchError as err:
            messages.error(request, str(err))
            return
        words = {"run": run.pk, "version": one}
        messages.success(request, _("Run %(run)s tries %(version)s.") % words)


def plan_panel(request, version, other):
    """What starting would cost: of both versions, what was not answered before."""
    costs, items, reused = Costs(), 0, 0
    try:
        for one in filter(None, (version, other)):
            plan = plan_run(GoldenSet.key, options_for(one))
            costs += plan.costs
            items += plan.items
            reused += plan.reused
    except BatchError as err:
        return Panel(title=_("Before it starts"), notes=[str(err)])
    panel = Panel(
        title=_("Before it starts"),
        facts=[
            (_("requests"), number(items)),
            (_("answered before, at no cost"), number(reused)),
            *cost_facts(costs),
        ],
        notes=[
            _("No content changes: answers are judged, and shown here.")
            if other is None
            else _(
                "%s is asked too, to compare with. No content changes: answers are "
                "judged, and shown here."
            )
            % other
        ],
    )
    payer = Payer(
        GoldenSet.key,
        owner_id=request.user.pk,
        owner_name=request.user.get_username(),
    )
    left, notes = cap_facts_for(payer, costs.worst)
    panel.facts += left
    panel.notes += notes
    return panel


def summary_panel(found):
    """Both versions over all cases."""
    both = [(found.version, found.summary)]
    if found.other:
        both.append((found.other, found.other_summary))
    provider = active_provider()
    panel = Panel(
        title=_("In all"),
        columns=[
            _("Prompt"),
            _("Cases"),
            _("Answered"),
            _("Failed"),
            _("With errors"),
            _("Score, mean"),
            _("chrF, mean"),
            _("Cost"),
        ],
        rows=[
            (
                version_link(version),
                number(summary.cases),
                number(summary.answered),
                number(summary.failed),
                number(summary.with_errors),
                decimal(summary.score),
                decimal(summary.chrf),
                cost(to_usd(summary.cost_nanos), provider),
            )
            for version, summary in both
        ],
        is_stacked=True,
    )
    if found.better or found.worse:
        panel.notes.append(
            _("Better in %(better)s cases, worse in %(worse)s.")
            % {"better": number(found.better), "worse": number(found.worse)}
        )
    return panel


def lines_panel(found):
    """Each case under both versions."""
    return Panel(
        title=_("Case by case"),
        columns=[
            _("Case"),
            _("chrF"),
            _("chrF before"),
            _("Difference"),
            _("Score"),
            _("Score before"),
            _("Errors"),
            _("Cost"),
        ],
        rows=[
            (
                row_link(GoldenCase, line.case.pk, line.case.name),
                measured(line.trial, "chrf"),
                measured(line.other, "chrf"),
                EMPTY
                if line.chrf_difference is None
                else f"{line.chrf_difference:+.1f}",
                measured(line.trial, "score"),
                measured(line.other, "score"),
                errors_of(line.trial),
                EMPTY
                if line.trial is None
                else cost(line.trial.item.cost_usd, line.trial.item.provider),
            )
            for line in found.lines
        ],
        empty=_(
            "The golden set has no case of this kind of work. Add approved "
            "translations from their list, or references with add_references."
        ),
        is_stacked=True,
    )


def measured(trial, name):
    """A figure of a result, or how far its item is."""
    if trial is None:
        return EMPTY
    if trial.result is None:
        return trial.item.get_status_display()
    return decimal(getattr(trial.result, name))


def errors_of(trial):
    if trial is None:
        return EMPTY
    if trial.item.status == ItemStatus.FAILED:
        return trial.item.error_code
    return (trial.result.errors if trial.result else "") or EMPTY


def decimal(value):
    return EMPTY if value is None else f"{value:.1f}"


def version_link(version):
    return row_link(PromptVersion, version.pk, str(version)) if version else EMPTY


def added_in_words(added, there):
    """What came of adding cases to the set."""
    text = ngettext(
        "%(added)s case was added to the golden set",
        "%(added)s cases were added to the golden set",
        added,
    )
    words = {"added": number(added), "there": number(there)}
    if there:
        text += _("; %(there)s were there already")
    return f"{text % words}."
