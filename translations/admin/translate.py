"""“Translate…”: from rows ticked in a list to a run, with what it comes to first."""

import uuid

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches import config
from batches.admin import selection
from batches.admin.display import cost, list_url, number, row_url
from batches.admin.panels import Panel
from batches.admin.subjects import may_see
from batches.errors import BatchError, ConfigError
from batches.models import Run
from batches.models.money import to_usd
from batches.providers.registry import active_provider
from batches.services.collection import collect_run, plan_run, start_run_once
from batches.services.events import audit
from batches.states import Trigger
from translations.languages import is_known, language_name
from translations.workloads import TranslationWorkload

PERMISSION = "translations.translate_content"
MOST_ROWS = 50_000
# What takes longer is counted on a sample, and collected in the background.
ESTIMATE_SECONDS = 3.0
COLLECTED_AT_ONCE = 100


class TranslateForm(forms.Form):
    languages = forms.MultipleChoiceField(
        label=gettext_lazy("Into"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    other = forms.CharField(
        label=gettext_lazy("Other languages"),
        required=False,
        max_length=200,
        help_text=gettext_lazy("Tags such as fr or pt-BR, with commas between them."),
        widget=forms.TextInput(attrs={"dir": "ltr", "autocapitalize": "none"}),
    )
    which = forms.ChoiceField(
        label=gettext_lazy("Texts"),
        initial="missing",
        widget=forms.RadioSelect,
        choices=[
            ("missing", gettext_lazy("what is missing or out of date")),
            ("anew", gettext_lazy("all of them anew, also what is current")),
        ],
    )
    # One form is one run, however often it is sent; and what was estimated in it is
    # what its button starts.
    form_key = forms.UUIDField(widget=forms.HiddenInput)
    estimated = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        tags = configured_languages()
        self.fields["languages"].choices = [(tag, language_name(tag)) for tag in tags]
        self.fields["languages"].initial = tags

    def clean_other(self):
        tags = self.cleaned_data["other"].replace(",", " ").split()
        for tag in tags:
            if not is_known(tag):
                raise forms.ValidationError(
                    _(
                        "%(tag)s is no language tag we know; write it as in en, ar, "
                        "pt-BR or zh-Hant."
                    ),
                    params={"tag": tag},
                )
        return tags

    def clean(self):
        cleaned = super().clean()
        if "other" in cleaned and not self.tags():
            self.add_error("languages", _("Choose at least one language."))
        return cleaned

    def tags(self):
        chosen = [
            *self.cleaned_data.get("languages", []),
            *self.cleaned_data.get("other", []),
        ]
        return list(dict.fromkeys(chosen))

    def wanted(self):
        """What the form asks for, in one line that can be compared."""
        return f"{self.cleaned_data['which']}: {' '.join(self.tags())}"


def configured_languages():
    try:
        return list(config.get("TRANSLATION_LANGUAGES"))
    except ConfigError:
        return []


class TranslateActionMixin:
    """Has the ticked rows of a registered model translated."""

    translate_template = "admin/translations/translate.html"

    def get_actions(self, request):
        actions = super().get_actions(request)
        if IS_POPUP_VAR in request.GET:
            return actions  # a list to pick one row from
        if self.has_translate_permission(request):
            label = gettext_lazy("Translate…")
            actions["translate"] = (translate_chosen, "translate", label)
        return actions

    def has_translate_permission(self, request):
        return request.user.has_perm(PERMISSION)

    def get_urls(self):
        name = f"{self.opts.app_label}_{self.opts.model_name}_translate"
        view = self.admin_site.admin_view(self.translate_view)
        return [path("translate/<str:token>/", view, name=name), *super().get_urls()]

    def translate_view(self, request, token):
        if not self.has_view_permission(request):
            raise PermissionDenied
        if not self.has_translate_permission(request):
            raise PermissionDenied
        found = selection.kept(request, self.model, token)
        if found is None:
            selection.say_it_is_gone(request)
            return HttpResponseRedirect(list_url(self.model))
        plan_panels, can_start = [], False
        if request.method == "POST":
            form = TranslateForm(request.POST)
        else:
            form = TranslateForm(first_answers())
        if form.is_valid():
            wanted = form.wanted()
            is_start = request.method == "POST" and "start" in request.POST
            if is_start and form.cleaned_data["estimated"] == wanted:
                return self._start(request, form, found)
            if is_start:
                messages.info(
                    request,
                    _("You changed what is asked for. This is what it comes to now."),
                )
            try:
                plan_panels, can_start = self._plan(form, found)
            except BatchError as err:
                form.add_error(None, str(err))
            form = form_again(form, wanted)
        return TemplateResponse(
            request,
            self.translate_template,
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": _("Translate %(count)s %(rows)s")
                % {
                    "count": number(found["chosen"]),
                    "rows": self._noun(found["chosen"]),
                },
                "media": self.media + form.media,
                "form": form,
                "panels": plan_panels,
                "can_start": can_start,
                "list_url": list_url(self.model),
            },
        )

    def _noun(self, count):
        opts = self.opts
        return opts.verbose_name if count == 1 else opts.verbose_name_plural

    def _options(self, form, found):
        return {
            "languages": form.tags(),
            "content": [self.opts.label_lower],
            "keys": found["keys"],
            "redo": form.cleaned_data["which"] == "anew",
        }

    def _plan(self, form, found):
        """(panels, whether there is anything to start)."""
        plan = plan_run(
            TranslationWorkload.key,
            self._options(form, found),
            seconds=ESTIMATE_SECONDS,
        )
        chosen = seen = found["chosen"]
        if plan.cursor is not None:
            seen = self._rows_up_to(found, plan.cursor)
        money = cost(to_usd(plan.estimate_nanos), active_provider())
        panel = Panel(
            title=_("What it comes to"),
            key="plan",
            facts=[
                (_("chosen"), number(chosen)),
                (
                    _("to translate"),
                    f"{number(plan.subjects)} {self._noun(plan.subjects)}",
                ),
                (_("requests (items)"), number(plan.items)),
                (_("input tokens"), number(plan.input_tokens)),
                (_("cost, at most"), money),
            ],
        )
        if seen < chosen:
            panel.notes.append(
                _(
                    "These are the figures of the first %(seen)s. In all it is about "
                    "%(items)s requests, at most about %(money)s."
                )
                % {
                    "seen": number(seen),
                    "items": number(plan.items * chosen // max(seen, 1)),
                    "money": cost(
                        to_usd(plan.estimate_nanos * chosen // max(seen, 1)),
                        active_provider(),
                    ),
                }
            )
        elif rest := chosen - plan.subjects:
            panel.notes.append(
                ngettext(
                    "%(count)s of the chosen needs nothing: it is current, empty, "
                    "under way, or in that language already.",
                    "%(count)s of the chosen need nothing: they are current, empty, "
                    "under way, or in that language already.",
                    rest,
                )
                % {"count": number(rest)}
            )
        if plan.failed:
            panel.notes.append(
                ngettext(
                    "%(count)s text is too large and will fail without being sent.",
                    "%(count)s texts are too large and will fail without being sent.",
                    plan.failed,
                )
                % {"count": number(plan.failed)}
            )
        panels = [panel]
        if skipped := +plan.skipped:
            panels.append(
                Panel(
                    title=_("Skipped"),
                    key="skipped",
                    columns=[_("Why"), _("How many")],
                    rows=[
                        (SKIPPED.get(why, why), number(count))
                        for why, count in skipped.items()
                    ],
                )
            )
        return panels, plan.items > 0

    def _rows_up_to(self, found, cursor):
        """How many of the chosen a plan that ended at this cursor has seen."""
        rows = self.model._default_manager.filter(pk__lte=cursor.partition("|")[2])
        if found["keys"]:
            rows = rows.filter(pk__in=found["keys"])
        return rows.count()

    def _start(self, request, form, found):
        key = f"admin:{form.cleaned_data['form_key']}"
        try:
            run, is_new = start_run_once(
                TranslationWorkload.key,
                self._options(form, found),
                trigger=Trigger.ADMIN,
                owner=request.user,
                idempotency_key=key,
            )
        except BatchError as err:
            messages.error(request, str(err))
            return HttpResponseRedirect(request.path)
        if is_new:
            audit(
                "run.start",
                actor=request.user.get_username(),
                address=request.META.get("REMOTE_ADDR", ""),
                target=str(run),
                after={"what": form.wanted(), "chosen": found["chosen"]},
            )
            self._collect(request, run, found["chosen"])
        else:
            messages.info(
                request,
                _("%(run)s was started from this page already.") % {"run": run},
            )
        if may_see(request, Run):
            return HttpResponseRedirect(row_url(Run, run.public_id))
        return HttpResponseRedirect(list_url(self.model))

    def _collect(self, request, run, chosen):
        """Collect a small run now; a large one is left to the worker."""
        if chosen > COLLECTED_AT_ONCE:
            messages.success(
                request,
                _("%(run)s is started; its content is being collected.") % {"run": run},
            )
            return
        try:
            items = collect_run(run)
        except BatchError as err:
            messages.warning(
                request,
                _("%(run)s is started, but waits: %(why)s") % {"run": run, "why": err},
            )
            return
        text = ngettext(
            "%(run)s is started: %(count)s request.",
            "%(run)s is started: %(count)s requests.",
            items,
        )
        messages.success(request, text % {"run": run, "count": number(items)})


SKIPPED = {"under_way": gettext_lazy("under way in another run already")}


def first_answers():
    """What the form starts with: the languages that the site is set to."""
    return {
        "languages": configured_languages(),
        "which": "missing",
        "form_key": uuid.uuid4(),
    }


def form_again(form, wanted):
    """The same answers, marked as estimated, under a key of their own."""
    data = form.data.copy()
    data["estimated"] = wanted
    data["form_key"] = str(uuid.uuid4())
    again = TranslateForm(data)
    for error in form.non_field_errors():
        again.add_error(None, error)
    return again


@admin.action(description=gettext_lazy("Translate…"))
def translate_chosen(model_admin, request, queryset):
    keys = list(queryset.order_by("pk").values_list("pk", flat=True)[: MOST_ROWS + 1])
    is_all = (
        request.POST.get("select_across") == "1"
        and queryset.count() == model_admin.model._default_manager.count()
    )
    if len(keys) > MOST_ROWS and not is_all:
        messages.error(
            request,
            _(
                "At most %(most)s rows can be chosen at once. Narrow the list with its "
                "filters, or choose all of it."
            )
            % {"most": number(MOST_ROWS)},
        )
        return None
    chosen = queryset.count() if is_all else len(keys)
    token = selection.keep(
        request, model_admin.model, [] if is_all else keys, chosen=chosen
    )
    opts = model_admin.opts
    name = f"admin:{opts.app_label}_{opts.model_name}_translate"
    return HttpResponseRedirect(reverse(name, args=[token]))
