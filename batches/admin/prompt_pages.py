"""Pages beside those of prompt versions: side by side, a weight, a request."""

from django import forms
from django.contrib import messages
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin.display import (
    EMPTY,
    cost,
    dollars,
    link,
    number,
    pretty_json,
    real_and_pretended,
    row_link,
    row_url,
)
from batches.admin.filters import run_key
from batches.admin.panels import Block, Choice, Panel
from batches.admin.subjects import may_see
from batches.errors import BatchError
from batches.models import PromptVersion, Run
from batches.models.money import to_usd
from batches.monitoring.arms import (
    MOST_ITEMS,
    MOST_RUNS,
    as_csv,
    compare_runs,
    compare_workload,
)
from batches.monitoring.golden import was_tried
from batches.services.arms import MOST_WEIGHT, weigh
from batches.services.preview import preview
from batches.workloads import all_workloads

DAYS = {"7": 7, "30": 30, "90": 90}
DEFAULT_DAYS = "30"


def comparison_page(request, model_admin):
    """The arms of a run, or of a workload's latest runs; `?format=csv` as a file."""
    if not model_admin.has_view_permission(request) or not may_see(request, Run):
        raise PermissionDenied
    run = _run(request.GET.get("run", ""))
    known = list(all_workloads())
    workload = run.workload if run else request.GET.get("workload", "")
    if workload not in known:
        workload = known[0]
    days = request.GET.get("days")
    days = days if days in DAYS else DEFAULT_DAYS
    is_file = request.GET.get("format") == "csv"
    most = None if is_file else MOST_ITEMS
    if run:
        found = compare_runs(run.workload, [run], most=most)
        here, name = {"run": run.pk}, f"prompts-run-{run.pk}"
    else:
        now = timezone.now()
        found = compare_workload(workload, days=DAYS[days], now=now, most=most)
        here, name = {"workload": workload, "days": days}, f"prompts-{workload}-{days}d"
    if is_file:
        answer = HttpResponse(as_csv(found), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        return answer
    menus = []
    if not run:
        menus = [
            (
                _("Kind of work"),
                [
                    Choice(key, _url(here, workload=key), key == workload)
                    for key in known
                ],
            ),
            (
                _("Range"),
                [
                    Choice(
                        ngettext("%s day", "%s days", count) % count,
                        _url(here, days=key),
                        key == days,
                    )
                    for key, count in DAYS.items()
                ],
            ),
        ]
    return plain_page(
        request,
        model_admin,
        title=_("Prompts side by side: %s") % (run or workload),
        menus=menus,
        downloads=[Choice("CSV", _url(here, format="csv"))] if found.arms else [],
        panels=[arms_panel(found), results_panel(found), runs_panel(found)],
    )


def _run(key):
    """The run with this key; None where none is asked for."""
    if not key:
        return None
    run = Run.objects.filter(pk=run_key(key)).first()
    if run is None:
        raise Http404
    return run


def _url(here, **changes):
    url = reverse("admin:batches_promptversion_compare")
    return f"{url}?{urlencode({**here, **changes})}"


def arms_panel(found):
    """Items and money of each arm, and the runs' own figures under them."""
    rows = [
        (
            _name(arm),
            number(arm.items),
            number(arm.complete),
            number(arm.failed),
            number(arm.cancelled),
            number(arm.open),
            real_and_pretended(arm.real_nanos, arm.sandbox_nanos),
            dollars(to_usd(arm.nanos_per_result)) if arm.complete else EMPTY,
            percentage(arm.error_rate),
        )
        for arm in found.arms
    ]
    total = found.total
    if rows:
        pretended = sum(arm.sandbox_nanos for arm in found.arms)
        ended = total.complete + total.failed
        rows.append(
            (
                _("All together, by the runs' own figures"),
                number(total.items),
                number(total.complete),
                number(total.failed),
                number(total.cancelled),
                number(total.open),
                real_and_pretended(total.cost_nanos - pretended, pretended),
                dollars(to_usd(total.cost_nanos // total.complete))
                if total.complete
                else EMPTY,
                percentage(total.failed / ended if ended else None),
            )
        )
    return Panel(
        title=_("Items and cost"),
        columns=[
            _("Prompt"),
            _("Items"),
            _("Done"),
            _("Failed"),
            _("Cancelled"),
            _("Open"),
            _("Cost"),
            _("Cost a result"),
            _("Error rate"),
        ],
        rows=rows,
        notes=[
            _("The arms do not add up: %s. Reload; else run recount --check.") % line
            for line in found.differences
        ],
        empty=_(
            "No item was made in this time. Choose a longer range, or start a run."
        ),
        is_stacked=True,
    )


def results_panel(found):
    """What checks and people made of the answers."""
    return Panel(
        title=_("Results"),
        columns=[
            _("Prompt"),
            _("Answers with errors"),
            _("Results"),
            _("Score (0–100)"),
            _("Approved"),
            _("Edited"),
            _("Rejected"),
            _("Not decided"),
        ],
        rows=[
            (
                _name(arm),
                number(arm.flagged),
                number(arm.reception.results),
                EMPTY if arm.reception.score is None else f"{arm.reception.score:.1f}",
                number(arm.reception.approved),
                number(arm.reception.edited),
                number(arm.reception.rejected),
                number(arm.reception.undecided),
            )
            for arm in found.arms
        ],
        empty=_("There are no results yet."),
        is_stacked=True,
    )


def runs_panel(found):
    count = len(found.runs)
    panel = Panel(
        title=_("Runs"),
        facts=[(_("runs"), number(count))],
        links=[row_link(Run, run.pk, str(run)) for run in found.runs[:20]],
    )
    if found.is_part:
        panel.notes.append(
            _("The first %s requests are compared; the file has all.")
            % number(MOST_ITEMS)
        )
    elif count > 1:
        panel.notes.append(
            _("The newest runs with %s requests in all; the file has every run.")
            % number(MOST_ITEMS)
        )
    if count == MOST_RUNS:
        panel.notes.append(_("The newest %s are compared.") % number(MOST_RUNS))
    return panel


def _name(arm):
    if arm.version is None:
        return _("without a prompt")
    text = f"{arm.version} ({arm.version.label.label})"
    return row_link(PromptVersion, arm.version.pk, text)


def percentage(share):
    return EMPTY if share is None else f"{share:.1%}"


class WeightForm(forms.Form):
    weight = forms.IntegerField(
        label=gettext_lazy("Percentage of subjects"), min_value=0, max_value=MOST_WEIGHT
    )


def weight_page(request, model_admin, pk):
    """Give a version some of the subjects to be tried on, or take them back."""
    version = asked_version(request, model_admin, pk)
    if not request.user.has_perm("batches.weigh_promptversion"):
        raise PermissionDenied
    form = WeightForm(request.POST or None, initial={"weight": version.weight})
    if request.method == "POST" and form.is_valid():
        weight = form.cleaned_data["weight"]
        try:
            weigh(version, weight, by=request.user.get_username())
        except BatchError as err:
            form.add_error("weight", str(err))
        else:
            text = _("%(version)s is tried on %(weight)s %% of the subjects.")
            messages.success(request, text % {"version": version, "weight": weight})
            return HttpResponseRedirect(row_url(PromptVersion, version.pk))
    return plain_page(
        request,
        model_admin,
        title=_("Try %s on some subjects") % version,
        form=form,
        method="post",
        submit=_("Set the weight"),
        back_url=row_url(PromptVersion, version.pk),
        panels=[weights_panel(version)],
    )


def weights_panel(version):
    versions = PromptVersion.objects.in_use(version.workload)
    rest = 100 - sum(one.weight for one in versions)
    panel = Panel(
        title=_("Subjects now"),
        columns=[_("Prompt"), _("Percentage of subjects")],
        rows=[
            (
                row_link(PromptVersion, one.pk, str(one)),
                f"{rest if one.is_production else one.weight} %",
            )
            for one in versions
        ],
        notes=[
            _(
                "Which subjects these are is decided by their keys, and is the same in "
                "every run. A change moves as many as the weight changes by, and no "
                "others. Requests that were made before keep their prompt."
            ),
            _("All trials together have at most %s %%; 0 ends this one.") % MOST_WEIGHT,
        ],
        empty=_("No run has used a prompt of this kind yet."),
    )
    if not was_tried(version):
        panel.notes.append(
            _("It was not run on the golden set yet; its page offers that.")
        )
    return panel


class SubjectForm(forms.Form):
    subject = forms.CharField(
        label=gettext_lazy("Subject"),
        required=False,
        max_length=255,
        help_text=gettext_lazy(
            "Its key, such as 5, en:patience or translations_lessons.lesson:5. Empty: "
            "the first one that needs work."
        ),
        widget=forms.TextInput(attrs={"dir": "ltr", "autocapitalize": "none"}),
    )


def request_page(request, model_admin, pk):
    """The exact requests for one subject under a version, with tokens and price."""
    version = asked_version(request, model_admin, pk)
    form = SubjectForm(request.GET or None)
    panels = []
    if form.is_valid():
        key = form.cleaned_data["subject"].strip()
        try:
            found = preview(version.workload, {"prompt": version.number}, key)
            if not _may_see_subject(request, found.subject):
                raise PermissionDenied
            panels = [preview_panel(found), *map(_shown_panel(found), found.requests)]
        except BatchError as err:
            form.add_error("subject", str(err))
    return plain_page(
        request,
        model_admin,
        title=_("A request under %s") % version,
        form=form,
        method="get",
        submit=_("Show"),
        back_url=row_url(PromptVersion, version.pk),
        panels=panels,
    )


def _may_see_subject(request, subject):
    """A request shows its subject's content; a kind that is gone has none to show."""
    kind = ContentType.objects.get_for_id(subject.content_type_id).model_class()
    return kind is not None and may_see(request, kind)


def preview_panel(found):
    return Panel(
        title=_("Subject"),
        facts=[
            (_("subject"), found.subject.object_id),
            (_("model"), f"{found.model} ({found.provider})"),
            (_("requests"), number(len(found.requests))),
        ],
        notes=[
            _("No request: %(count)s × %(why)s.") % {"count": count, "why": why}
            for why, count in found.skipped.items()
        ],
    )


def _shown_panel(found):
    def panel(shown):
        if not shown.body:
            return Panel(title=shown.target, notes=[shown.trouble])
        costs = shown.costs
        return Panel(
            title=shown.target,
            facts=[
                (_("input tokens"), number(costs.input_tokens)),
                (_("output tokens, about"), number(costs.output_tokens)),
                (_("probably"), cost(to_usd(costs.expected), found.provider)),
                (_("worst case"), cost(to_usd(costs.worst), found.provider)),
            ],
            blocks=[
                Block(
                    _("request"),
                    pretty_json(shown.body),
                    direction="ltr",
                    is_code=True,
                )
            ],
        )

    return panel


def asked_version(request, model_admin, pk):
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    version = PromptVersion.objects.filter(pk=pk).first()
    if version is None:
        raise Http404
    return version


def plain_page(request, model_admin, **context):
    return TemplateResponse(
        request,
        "admin/batches/prompt_page.html",
        {
            **model_admin.admin_site.each_context(request),
            "opts": model_admin.opts,
            "media": model_admin.media,
            **context,
        },
    )


def side_by_side_link(run):
    """To the arms of one run."""
    return link(_url({"run": run.pk}), _("Prompts side by side"))
