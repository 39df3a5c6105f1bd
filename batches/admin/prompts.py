"""Prompt versions: read, compared, edited as new ones, put into production."""

from django import forms
from django.contrib import admin
from django.urls import path, reverse
from django.utils.http import urlencode
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin import golden, prompt_pages
from batches.admin.acts import Act, ActsAdmin
from batches.admin.base import ReadOnlyAdmin
from batches.admin.display import EMPTY, badge, link, moment, number, row_link
from batches.admin.filters import WorkloadFilter, whole_key
from batches.admin.panels import Block, DiffBlock, Panel, facts
from batches.errors import BadPrompt
from batches.models import PromptVersion
from batches.services.diffs import word_diff
from batches.services.prompts import (
    check_text,
    promote,
    roll_back,
    variables,
    write_version,
)
from batches.workloads import all_workloads

Label = PromptVersion.Label
TONES = {Label.PRODUCTION: "good", Label.TRIAL: "warn", Label.EARLIER: "off"}
NOTE_SHOWN = 80


def promotion_in_words(versions):
    """What goes where, each version by its name."""
    return " ".join(_promotion(version) for version in versions)


def _promotion(version):
    production = in_production(version.workload)
    words = {"version": version, "production": production}
    if version.is_production:
        return _("%(version)s is in production already.") % words
    said = [_("%(version)s instead of %(production)s.") % words]
    if version.weight:
        said.append(_("Its trial on %s %% of the subjects ends.") % version.weight)
    return " ".join(said)


def roll_back_in_words(versions):
    return " ".join(
        _("%(before)s again, instead of %(version)s.")
        % {"before": version.replaced, "version": version}
        if version.is_production and version.replaced
        else _("%s has nothing to go back to.") % version
        for version in versions
    )


def these(*versions):
    return versions


ACTS = (
    Act(
        name="promote",
        kind="promote",
        label=gettext_lazy("Put into production"),
        says=gettext_lazy(
            "From now on all subjects that no other version is tried on are asked "
            "with it. Requests that were made before keep the prompt that they have. "
            "It can be rolled back."
        ),
        done=gettext_lazy("Put into production"),
        permission="batches.promote_promptversion",
        do=promote,
        effect=these,
        in_words=promotion_in_words,
    ),
    Act(
        name="roll_back",
        kind="roll_back",
        label=gettext_lazy("Roll back"),
        says=gettext_lazy(
            "The version that it took the place of is in production again. Requests "
            "that were made before keep the prompt that they have."
        ),
        done=gettext_lazy("Rolled back"),
        permission="batches.promote_promptversion",
        do=roll_back,
        effect=these,
        in_words=roll_back_in_words,
        is_grave=True,
    ),
)


class PromptForm(forms.ModelForm):
    """A new version; which workload it is of is chosen where it has no forerunner."""

    workload = forms.ChoiceField(label=gettext_lazy("Kind of work"))

    class Meta:
        model = PromptVersion
        fields = ["workload", "text", "note"]
        widgets = {
            "text": forms.Textarea(attrs={"rows": 30, "dir": "auto"}),
            "note": forms.Textarea(attrs={"rows": 3, "dir": "auto"}),
        }

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["workload"].choices = [(key, key) for key in prompted()]

    def clean(self):
        cleaned = super().clean()
        # As it was typed: browsers send line ends of their own.
        cleaned["text"] = cleaned.get("text", "").replace("\r\n", "\n")
        if "workload" in cleaned and cleaned["text"]:
            try:
                check_text(all_workloads()[cleaned["workload"]], cleaned["text"])
            except BadPrompt as err:
                self.add_error("text", str(err))
        return cleaned


@admin.register(PromptVersion)
class PromptVersionAdmin(ActsAdmin, ReadOnlyAdmin):
    """What a version is never changes: an edit is the form for a new one, filled in."""

    acts = ACTS
    act_column = gettext_lazy("Weight")
    form = PromptForm
    add_form_template = "admin/batches/form_with_panels.html"
    change_list_template = "admin/batches/prompt_list.html"
    list_display = [
        "number",
        "workload",
        "label_badge",
        "weight_label",
        "origin",
        "written_by",
        "short_note",
        "created_at",
    ]
    list_filter = [WorkloadFilter, "origin", "is_production"]
    ordering = ["workload", "-number"]

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("replaced")

    def has_add_permission(self, request, obj=None):
        return request.user.has_perm("batches.add_promptversion")

    @admin.display(description=gettext_lazy("label"))
    def label_badge(self, version):
        return label_badge(version)

    @admin.display(description=gettext_lazy("weight"))
    def weight_label(self, version):
        return weight_label(version)

    @admin.display(description=gettext_lazy("note"))
    def short_note(self, version):
        return Truncator(version.note).chars(NOTE_SHOWN) or EMPTY

    def get_urls(self):
        pages = [
            ("<int:pk>/golden/", golden.golden_page, "golden"),
            ("compare/", prompt_pages.comparison_page, "compare"),
            ("<int:pk>/weight/", prompt_pages.weight_page, "weight"),
            ("<int:pk>/request/", prompt_pages.request_page, "request"),
        ]
        mine = [
            path(
                route,
                self.admin_site.admin_view(view),
                {"model_admin": self},
                name=f"batches_promptversion_{name}",
            )
            for route, view, name in pages
        ]
        return [*mine, *super().get_urls()]

    def get_changeform_initial_data(self, request):
        key = whole_key(request.GET.get("from", ""))
        forerunner = PromptVersion.objects.filter(pk=key).first()
        if forerunner is None:
            return super().get_changeform_initial_data(request)
        return {"workload": forerunner.workload, "text": forerunner.text}

    def save_model(self, request, obj, form, change):
        made = write_version(
            all_workloads()[obj.workload],
            obj.text,
            note=obj.note,
            by=request.user.get_username(),
        )
        obj.pk, obj.number = made.pk, made.number

    def act_row(self, version):
        return (
            row_link(PromptVersion, version.pk, str(version)),
            label_badge(version),
            weight_label(version),
        )

    def possible_acts(self, version, context):
        if not version.is_production:
            return ["promote"]
        return ["roll_back"] if version.replaced_id else []

    def panels(self, request, version):
        if version is None:
            return [variables_panel()]
        others = PromptVersion.objects.filter(workload=version.workload)
        others = others.exclude(pk=version.pk).order_by("-number")
        return [
            version_panel(request, version),
            Panel(title=_("Text"), blocks=[Block(_("text"), version.text)]),
            diff_panel(version, others, request.GET.get("against", "")),
            others_panel(others),
        ]


def prompted():
    """The workloads that have prompts, by key."""
    return {key: one for key, one in all_workloads().items() if one.prompt}


def label_badge(version):
    return badge(version.label.label, TONES.get(version.label, "open"))


def weight_label(version):
    """The percentage of subjects that are asked with it."""
    if version.is_production:
        return _("all others")
    return f"{version.weight} %" if version.weight else EMPTY


def in_production(workload):
    return PromptVersion.objects.filter(workload=workload, is_production=True).first()


def version_panel(request, version):
    names = ["workload", "number", "origin", "written_by", "created_at"]
    panel = Panel(
        title=_("Prompt"),
        facts=[
            (_("label"), label_badge(version)),
            (_("weight"), weight_label(version)),
            *facts(version, [*names, "promoted_at", "promoted_by", "replaced"]),
        ],
    )
    if version.note:
        panel.blocks.append(Block(_("note"), version.note))
    panel.links = list(version_links(request, version))
    return panel


def version_links(request, version):
    if request.user.has_perm("batches.add_promptversion"):
        add = reverse("admin:batches_promptversion_add")
        url = f"{add}?{urlencode({'from': version.pk})}"
        yield link(url, _("Edit as a new version"))
    may_weigh = request.user.has_perm("batches.weigh_promptversion")
    if may_weigh and not version.is_production:
        yield link(page_url("weight", version.pk), _("Try on some subjects"))
    yield link(page_url("request", version.pk), _("Show a request"))
    yield link(page_url("golden", version.pk), _("Golden set"))
    compare = f"{page_url('compare')}?{urlencode({'workload': version.workload})}"
    yield link(compare, _("Versions side by side"))


def page_url(name, *args):
    return reverse(f"admin:batches_promptversion_{name}", args=args)


def diff_panel(version, others, against):
    """What is different from another version: the one asked for, else production's,
    else the one whose place it took."""
    by_number = {str(other.number): other for other in others}
    other = by_number.get(against) or next(
        (one for one in others if one.is_production), version.replaced
    )
    if other is None:
        return Panel(title=_("Differences"), empty=_("There is no other version yet."))
    runs = word_diff(other.text, version.text)
    words = sum(len(run.text.split()) for run in runs if run.kind != "same")
    return Panel(
        title=_("Different from %s") % other,
        notes=[
            ngettext("%s word is different.", "%s words are different.", words)
            % number(words)
        ],
        blocks=[DiffBlock(_("changes"), version.text, runs=runs)],
        links=[
            link(f"?{urlencode({'against': one})}", _("Compare with %s") % one)
            for one in by_number
            if one != str(other.number)
        ],
    )


def others_panel(others):
    return Panel(
        title=_("Other versions"),
        columns=[
            _("Version"),
            _("Label"),
            _("Weight"),
            _("By"),
            _("Created"),
            _("Note"),
        ],
        rows=[
            (
                row_link(PromptVersion, other.pk, str(other)),
                label_badge(other),
                weight_label(other),
                other.written_by or other.get_origin_display(),
                moment(other.created_at),
                Truncator(other.note).chars(NOTE_SHOWN) or EMPTY,
            )
            for other in others
        ],
        empty=_("There is no other."),
        is_stacked=True,
    )


def variables_panel():
    return Panel(
        title=_("Variables"),
        columns=[_("Kind of work"), _("Variables")],
        rows=[
            (key, ", ".join(f"${name}" for name in variables(workload)) or EMPTY)
            for key, workload in prompted().items()
        ],
        notes=[
            _("Each stands for a value of the request. Write $$ for the sign itself.")
        ],
    )
