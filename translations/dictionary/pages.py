"""A page to ask about words: what to tell of which, the price, and then the start."""

import re
import uuid
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from batches.admin.caps import cap_facts_for
from batches.admin.costs import cost_facts, cost_notes
from batches.admin.display import number
from batches.admin.panels import Panel
from batches.errors import BatchError
from batches.models import Run
from batches.my.access import own_page, user_of
from batches.services.budget import Payer
from batches.services.collection import Plan, collect_run, plan_run, start_run_once
from batches.services.events import audit
from batches.states import Priority, Trigger
from translations.dictionary.features import FEATURES
from translations.dictionary.filtering import normalised
from translations.dictionary.options import LONGEST_CONTEXT
from translations.dictionary.ordering import (
    MAX_RETRIES,
    MAX_WORDS,
    WORKLOAD,
    order_options,
)
from translations.languages import NAMES, direction, language_name

LABELS = {
    "context_definition": gettext_lazy("What it means here"),
    "smart_summary": gettext_lazy("A summary"),
    "usage_examples": gettext_lazy("Examples"),
    "etymology": gettext_lazy("Where it comes from"),
    "difficulty_level": gettext_lazy("How hard it is"),
    "related_concepts": gettext_lazy("Related words"),
    "translation_context": gettext_lazy("Translations"),
}
LONGEST_LIST = 10_000  # characters; a hundred words are far fewer
BETWEEN_WORDS = re.compile(r"[\n,;،؛]+")


def target_languages() -> list[tuple[str, str]]:
    tags = dict.fromkeys([*settings.TRANSLATION_LANGUAGES, "en", "ar", "so"])
    return [(tag, language_name(tag)) for tag in tags]


class WordsForm(forms.Form):
    words = forms.CharField(
        label=gettext_lazy("Words"),
        max_length=LONGEST_LIST,
        help_text=gettext_lazy("A word a line, or with commas between; 100 at most."),
        widget=forms.Textarea(attrs={"rows": 6, "dir": "auto", "spellcheck": "false"}),
    )
    language = forms.ChoiceField(
        label=gettext_lazy("They are in"),
        choices=[(tag, NAMES[tag]) for tag in sorted(NAMES, key=NAMES.__getitem__)],
        initial="en",
    )
    features = forms.MultipleChoiceField(
        label=gettext_lazy("Tell me of each"),
        choices=[(name, LABELS[name]) for name in FEATURES],
        widget=forms.CheckboxSelectMultiple,
    )
    translate_into = forms.MultipleChoiceField(
        label=gettext_lazy("Translations into"),
        choices=target_languages,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    sentence = forms.CharField(
        label=gettext_lazy("The sentence that they stand in"),
        max_length=LONGEST_CONTEXT,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "dir": "auto"}),
    )
    paragraph = forms.CharField(
        label=gettext_lazy("The paragraph around it"),
        max_length=LONGEST_CONTEXT,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "dir": "auto"}),
    )
    domain = forms.CharField(
        label=gettext_lazy("The subject, such as medicine"),
        max_length=100,
        required=False,
        widget=forms.TextInput(attrs={"dir": "auto"}),
    )
    priority = forms.TypedChoiceField(
        label=gettext_lazy("Priority"),
        choices=Priority.choices,
        coerce=lambda value: Priority(int(value)),
        initial=Priority.NORMAL,
    )
    max_retries = forms.IntegerField(
        label=gettext_lazy("Retries after a failure, at most"),
        min_value=0,
        max_value=MAX_RETRIES,
        required=False,
        help_text=gettext_lazy("Empty: as the installation is set."),
    )
    notify_progress = forms.BooleanField(
        label=gettext_lazy("Tell of progress among its events"),
        initial=True,
        required=False,
    )
    # One page is one run, however often its button is pressed.
    form_key = forms.UUIDField(widget=forms.HiddenInput)

    # What most orders do without stands folded.
    main = ("words", "language", "features", "translate_into")

    @property
    def main_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.main]

    @property
    def more_fields(self) -> list[forms.BoundField]:
        return [field for field in self.visible_fields() if field.name not in self.main]

    @property
    def has_errors_in_more(self) -> bool:
        return any(field.errors for field in self.more_fields)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "words" in cleaned and "language" in cleaned:
            self._check_words(cleaned)
        wants_translations = "translation_context" in cleaned.get("features", [])
        if wants_translations and not cleaned.get("translate_into"):
            self.add_error(
                "translate_into", _("Name a language, or leave out translations.")
            )
        return cleaned

    def _check_words(self, cleaned: dict[str, Any]) -> None:
        given = [word.strip() for word in BETWEEN_WORDS.split(cleaned["words"])]
        given = [word for word in given if word]
        if not given:
            self.add_error("words", _("Name at least one word."))
        elif len(given) > MAX_WORDS:
            text = _("These are %(count)s words; at most %(most)s go in one run.")
            self.add_error(
                "words", text % {"count": number(len(given)), "most": MAX_WORDS}
            )
        else:
            refused = [
                raw for raw, why in normalised(given, cleaned["language"]) if why
            ]
            if refused:
                text = _(
                    "“%(word)s” is no word in this language: correct it or leave it "
                    "out. A word has letters, apostrophes and hyphens."
                )
                self.add_error("words", text % {"word": refused[0][:50]})
        cleaned["word_list"] = given

    def options(self) -> dict[str, Any]:
        """The options of the run that this asks for."""
        cleaned = self.cleaned_data
        wants_translations = "translation_context" in cleaned["features"]
        return order_options(
            words=cleaned["word_list"],
            features=cleaned["features"],
            language=cleaned["language"],
            translate_into=cleaned["translate_into"] if wants_translations else (),
            sentence=cleaned["sentence"],
            paragraph=cleaned["paragraph"],
            domain=cleaned["domain"],
            notify_progress=cleaned["notify_progress"],
        )


@own_page
@require_http_methods(["GET", "HEAD", "POST"])
def ask_page(request: HttpRequest) -> HttpResponseBase:
    """The form; then the same with its price, where nothing can be changed; then go."""
    if request.method != "POST":
        return _form_page(request, WordsForm(initial={"form_key": uuid.uuid4()}))
    form = WordsForm(request.POST)
    if "change" in request.POST or not form.is_valid():
        return _form_page(request, form)
    try:
        options = form.options()
        if "start" in request.POST:
            return redirect("my:run", _start(request, form, options).public_id)
        plan = plan_run(WORKLOAD, options)
    except BatchError as err:
        form.add_error(None, str(err))
        return _form_page(request, form)
    return _price_page(request, form, options, plan)


def _form_page(request: HttpRequest, form: WordsForm) -> HttpResponse:
    return render(
        request, "my/words.html", {"title": _("Ask about words"), "form": form}
    )


def _price_page(
    request: HttpRequest, form: WordsForm, options: dict[str, Any], plan: Plan
) -> HttpResponse:
    """What it comes to; what was asked for goes along unseen, to be checked again."""
    panel = Panel(
        title=_("What it comes to"),
        facts=[
            (_("words"), number(plan.subjects)),
            (_("requests"), number(plan.items)),
            *cost_facts(plan.costs),
        ],
        notes=cost_notes(plan.costs),
    )
    user = user_of(request)
    payer = Payer(workload=WORKLOAD, owner_id=user.pk, owner_name=user.get_username())
    # Whether a cap binds is everybody's to know; how much it leaves is not.
    _facts, notes = cap_facts_for(payer, plan.costs.worst)
    panel.notes += notes
    if plan.reused:
        panel.facts.append((_("answered before, at no cost"), number(plan.reused)))
    return render(
        request,
        "my/price.html",
        {
            "title": _("Ask about words"),
            "panels": [panel],
            "words": options["words"],
            "language": options["word_language"],
            "direction": direction(options["word_language"]),
            "features": [LABELS[name] for name in options["features"]],
            "sent": _sent(form),
            "ask_url": reverse("ask_about_words"),
        },
    )


def _sent(form: WordsForm) -> list[tuple[str, str]]:
    """What the form came with, a pair for each value, as hidden fields."""
    return [
        (name, value)
        for name in form.fields
        for value in form.data.getlist(name)  # type: ignore[attr-defined]
    ]


def _start(request: HttpRequest, form: WordsForm, options: dict[str, Any]) -> Run:
    """The run of this page, started if it is not yet. Raises BatchError."""
    retries = form.cleaned_data["max_retries"]
    user = user_of(request)
    run, is_new = start_run_once(
        WORKLOAD,
        options,
        idempotency_key=f"my:{form.cleaned_data['form_key']}",
        owner=user,
        trigger=Trigger.ADMIN,
        priority=form.cleaned_data["priority"],
        max_attempts=None if retries is None else retries + 1,
    )
    if not is_new:
        messages.info(request, _("This run was started from that page already."))
        return run
    audit(
        "run.create",
        actor=user.get_username(),
        target=str(run),
        after={"workload": run.workload, "options": run.options},
    )
    items = collect_run(run)
    text = ngettext(
        "The run is started: %(count)s request.",
        "The run is started: %(count)s requests.",
        items,
    )
    messages.success(request, text % {"count": number(items)})
    return run
