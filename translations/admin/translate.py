"""“Translate…”: from rows ticked in a list to a run, with what it comes to first."""

import uuid

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches import config
from batches.admin import selection
from batches.admin.caps import cap_facts_for
from batches.admin.costs import cost_facts, cost_notes
from batches.admin.display import cost, list_url, number, row_url
from batches.admin.panels import Panel
from batches.admin.starting import SKIPPED
from batches.admin.subjects import may_see
from batches.errors import BatchError, ConfigError
from batches.models import Run
from batches.models.money import to_usd
from batches.providers.registry import active_provider
from batches.services.budget import Payer
from batches.services.collection import collect_run, plan_run, start_run_once
from batches.services.events import audit
from batches.states import Trigger
from translations.languages import is_known, language_name
from translations.registry import all_registered
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
            (
                "again",
                gettext_lazy(
                    "all of them anew, also asking again what was answered before"
                ),
            ),
        ],
    )
    canary = forms.BooleanField(
        label=gettext_lazy("Begin with a sample"),
        required=False,
        help_text=gettext_lazy(
            "Of more than 100 requests 20 go first where such work is new here. Where "
            "too few of their answers pass the checks, it stops and asks."
        ),
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
        wanted = f"{self.cleaned_data['which']}: {' '.join(self.tags())}"
        return wanted if self.cleaned_data["canary"] else f"{wanted}, without a sample"


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
        one = self.admin_site.admin_view(self.translate_row_view)
        return [
            path("translate/<str:token>/", view, name=name),
            path("<path:object_id>/translate/", one, name=f"{name}_row"),
            *super().get_urls(),
        ]

    def translate_row_view(self, request, object_id):
        """From one row to the page that asks first, with the languages and fields of
        the address: for what of it is missing or out of date."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if not self.has_translate_permission(request):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        known = all_registered()[self.opts.label_lower].fields
        fields = [name for name in request.GET.getlist("field") if name in known]
        token = selection.keep(request, self.model, [row.pk], chosen=1, fields=fields)
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_translate"
        query = urlencode({"language": request.GET.getlist("language")}, doseq=True)
        return HttpResponseRedirect(f"{reverse(name, args=[token])}?{query}")

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
            form = TranslateForm({**first_answers(), **asked_languages(request)})
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
                plan_panels, can_start = self._plan(request, form, found)
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
                "only_fields": ", ".join(found.get("fields", [])),
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
            "fields": found.get("fields", []),
            "redo": form.cleaned_data["which"] != "missing",
        }

    def _plan(self, request, form, found):
        """(panels, whether there is anything to start)."""
        plan = plan_run(
            TranslationWorkload.key,
            self._options(form, found),
            seconds=ESTIMATE_SECONDS,
            force_refresh=form.cleaned_data["which"] == "again",
        )
        chosen = seen = found["chosen"]
        if plan.cursor is not None:
            seen = self._rows_up_to(found, plan.cursor)
        costs, provider = plan.costs, active_provider()
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
                *cost_facts(costs),
            ],
        )
        panel.notes += cost_notes(costs)
        in_all = costs.scaled(chosen, seen)
        payer = Payer(
            TranslationWorkload.key,
            owner_id=request.user.pk,
            owner_name=request.user.get_username(),
        )
        facts, notes = cap_facts_for(payer, in_all.worst)
        panel.facts += facts
        panel.notes += notes
        if seen < chosen:
            panel.notes.append(
                _(
                    "These are the figures of the first %(seen)s. In all it is about "
                    "%(items)s requests, probably %(money)s, at most about %(most)s."
                )
                % {
                    "seen": number(seen),
                    "items": number(plan.items * chosen // max(seen, 1)),
                    "money": cost(to_usd(in_all.expected), provider),
                    "most": cost(to_usd(in_all.worst), provider),
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
        if plan.reused:
            panel.facts.append(
                (_("answered before, at no cost"), number(plan.reused)),
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
                force_refresh=form.cleaned_data["which"] == "again",
                canary=form.cleaned_data["canary"],
            )
        except BatchError as err:
            messages.error(request, str(err))
            return HttpResponseRedirect(request.path)
        if is_new:
            audit(
                "run.start",
                actor=request.user.get_username(),
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


def row_translate_url(request, model, key, *, language="", field=""):
    """Where one row is sent from; blank where it is not sent, or not by them."""
    model_admin = admin.site._registry.get(model)
    if not isinstance(model_admin, TranslateActionMixin):
        return ""
    if not request.user.has_perm(PERMISSION) or not may_see(request, model):
        return ""
    opts = model._meta
    url = reverse(
        f"admin:{opts.app_label}_{opts.model_name}_translate_row", args=[quote(key)]
    )
    wanted = {"language": language, "field": field}
    query = urlencode({name: value for name, value in wanted.items() if value})
    return f"{url}?{query}" if query else url


def first_answers():
    """What the form starts with: the languages that the site is set to."""
    return {
        "languages": configured_languages(),
        "which": "missing",
        "canary": True,
        "form_key": uuid.uuid4(),
    }


def asked_languages(request):
    """The languages that a link to the confirmation page asks for, as its form has
    them; nothing where it asks for none."""
    tags = [tag for tag in request.GET.getlist("language") if is_known(tag)]
    if not tags:
        return {}
    known = configured_languages()
    return {
        "languages": [tag for tag in tags if tag in known],
        "other": ", ".join(tag for tag in tags if tag not in known),
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
