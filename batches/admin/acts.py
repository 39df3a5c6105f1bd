"""What people do to rows by hand: chosen in a list or on a page, asked about, done.

An act has a permission of its own. Its question names how many rows it is about and
what it would change, in items and dollars; its answer says for how many it worked.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin import selection
from batches.admin.caps import cap_facts
from batches.admin.costs import cost_facts, cost_notes
from batches.admin.display import cost, list_url, number, row_url
from batches.admin.panels import Panel
from batches.errors import BatchError
from batches.models.money import to_usd
from batches.monitoring import outlook
from batches.providers.errors import ProviderError
from batches.providers.registry import active_provider
from batches.services.events import audit
from batches.services.prospects import tightest_cap_of
from batches.states import AuditOutcome

ROWS_SHOWN = 20
REASONS_SHOWN = 5
# A browser waits no longer; what is left can be gone on with.
ACT_SECONDS = 20.0


@dataclass(frozen=True)
class Act:
    """One thing that can be done to a row.

    `kind` is the act's name in the service that says which acts are possible; `says` is
    what it does, for the question; `done` one word for the answer. `effect` takes any
    number of rows, `in_words` puts it; `sends` takes them too, and says what requests
    of theirs would go out; `do` takes one row, and `by`, and `tells` puts what came of
    it where that is not the same for every row.
    """

    name: str
    kind: str
    label: Any
    says: Any
    done: Any
    permission: str
    do: Callable
    effect: Callable
    in_words: Callable | None = None  # default: items, and the most they may cost
    tells: Callable | None = None
    is_grave: bool = False
    sends: Callable | None = None  # of an act that costs money
    form: type[forms.Form] | None = None  # asks for what `do` takes besides


@dataclass(frozen=True)
class Button:
    """An action of a list, offered on a row's page: `name` is the action's."""

    name: str
    label: Any
    kind: str = ""
    is_grave: bool = False


class ActsAdmin:
    """A model whose rows are steered; stands between `LiveAdmin` and a read-only base.

    Which acts are possible for a row is what its `Live` says.
    """

    acts = ()
    act_column = gettext_lazy("Progress")  # of the rows that the question shows
    confirm_template = "admin/batches/confirm_act.html"

    def allowed_acts(self, request):
        return [act for act in self.acts if request.user.has_perm(act.permission)]

    def get_actions(self, request):
        actions = super().get_actions(request)
        if IS_POPUP_VAR in request.GET:
            return actions  # a list to pick one row from
        for act in self.allowed_acts(request):
            actions[act.name] = (_chosen_in_list(act), act.name, act.label)
        return actions

    def get_urls(self):
        view = self.admin_site.admin_view(self.act_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        mine = path("<slug:name>/<str:token>/sure/", view, name=name)
        return [mine, *super().get_urls()]

    def render_change_form(self, request, context, *args, obj=None, **kwargs):
        if obj is not None:
            possible = self.possible_acts(obj, context)
            context["act_buttons"] = [
                (act, act.kind in possible) for act in self.allowed_acts(request)
            ]
            context["list_url"] = list_url(self.model)
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    def possible_acts(self, row, context):
        """The kinds that the page of this row offers now."""
        return context["live"].acts

    def act_view(self, request, name, token):
        """Ask, and then do it."""
        act = next((act for act in self.acts if act.name == name), None)
        if act is None:
            raise Http404
        if not self.has_view_permission(request) or act not in self.allowed_acts(
            request
        ):
            raise PermissionDenied
        found = selection.kept(request, self.model, token)
        if found is None:
            selection.say_it_is_gone(request)
            return HttpResponseRedirect(list_url(self.model))
        rows = self._rows(request, found["keys"])
        form = act.form(request.POST or None) if act.form else None
        if request.method == "POST" and (form is None or form.is_valid()):
            if not selection.forget(request, token):
                selection.say_it_is_gone(request)
                return HttpResponseRedirect(list_url(self.model))
            answers = form.cleaned_data if form else {}
            return self._carry_out(request, act, rows, answers)
        try:
            effect = act.effect(*rows)
        except BatchError as err:
            messages.error(request, str(err))
            return HttpResponseRedirect(list_url(self.model))
        return TemplateResponse(
            request,
            self.confirm_template,
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": self._question(act, rows),
                "media": self.media,
                "act": act,
                "form": form,
                "effect": (act.in_words or effect_in_words)(effect),
                "panels": [*money_panels(act, rows), self._rows_panel(rows)],
                "back_url": self._back_url(rows),
            },
        )

    def _rows(self, request, keys):
        rows = self.get_queryset(request).in_bulk(
            [self.opts.pk.to_python(key) for key in keys]
        )
        return [rows[key] for key in sorted(rows, reverse=True)]

    def _question(self, act, rows):
        if len(rows) == 1:
            return f"{act.label}: {rows[0]}"
        plural = self.opts.verbose_name_plural
        return f"{act.label}: {number(len(rows))} {plural}"

    def _rows_panel(self, rows):
        panel = Panel(
            title=self.opts.verbose_name_plural,
            columns=[self.opts.verbose_name, _("Status"), self.act_column],
            rows=[self.act_row(row) for row in rows[:ROWS_SHOWN]],
            empty=_("None of them is there any more."),
        )
        if len(rows) > ROWS_SHOWN:
            panel.notes.append(
                _("The first %(shown)s of %(all)s are shown.")
                % {"shown": number(ROWS_SHOWN), "all": number(len(rows))}
            )
        return panel

    def act_row(self, row):
        """What the question shows of a row: link, status, and `act_column`."""
        raise NotImplementedError

    def url_after(self, request, act, rows):
        """Where an act that is done leads to."""
        return self._back_url(rows)

    def _back_url(self, rows):
        if len(rows) == 1:
            return row_url(self.model, getattr(rows[0], "public_id", rows[0].pk))
        return list_url(self.model)

    def _carry_out(self, request, act, rows, answers):
        by = request.user.get_username()
        deadline = time.monotonic() + ACT_SECONDS
        worked, told, refused, failed = 0, [], [], []
        left = []
        for position, row in enumerate(rows):
            if time.monotonic() > deadline:
                left = rows[position:]
                break
            try:
                outcome = act.do(row, by=by, **answers)
                worked += 1
                if act.tells:
                    told.append(f"{row}: {act.tells(outcome)}")
            except ProviderError as err:
                failed.append(str(err))
            except BatchError as err:
                refused.append(str(err))
        self._report(request, act, worked, len(rows))
        if reasons := [*refused, *failed]:
            audit(
                f"{self.opts.model_name}.{act.kind}",
                actor=by,
                target=str(rows[0]) if len(rows) == 1 else f"{len(rows)} chosen",
                outcome=AuditOutcome.FAILURE,
                message=reasons[0],
                after={"done": worked, "refused": len(reasons)},
            )
        for level, reasons in (
            (messages.INFO, told),
            (messages.WARNING, refused),
            (messages.ERROR, failed),
        ):
            self._give_reasons(request, level, reasons)
        if not left:
            return HttpResponseRedirect(self.url_after(request, act, rows))
        messages.warning(
            request,
            _("%(count)s were not reached in time. Confirm again to go on with them.")
            % {"count": number(len(left))},
        )
        token = selection.keep(request, self.model, [row.pk for row in left])
        return HttpResponseRedirect(act_url(self.model, act, token))

    def _report(self, request, act, worked, chosen):
        level = messages.SUCCESS if worked == chosen else messages.WARNING
        words = {
            "done": act.done,
            "worked": number(worked),
            "chosen": number(chosen),
            "rows": self.opts.verbose_name
            if chosen == 1
            else self.opts.verbose_name_plural,
        }
        text = _("%(done)s: %(worked)s of %(chosen)s %(rows)s.") % words
        self.message_user(request, text, level)

    def _give_reasons(self, request, level, reasons):
        for reason in reasons[:REASONS_SHOWN]:
            self.message_user(request, reason, level)
        if len(reasons) > REASONS_SHOWN:
            more = number(len(reasons) - REASONS_SHOWN)
            self.message_user(request, _("… and %(count)s more.") % {"count": more})


def _chosen_in_list(act):
    def chosen(model_admin, request, queryset):
        keys = queryset.order_by("-pk").values_list("pk", flat=True)
        token = selection.keep(request, model_admin.model, keys)
        return HttpResponseRedirect(act_url(model_admin.model, act, token))

    return chosen


def act_url(model, act, token):
    options = model._meta
    name = f"admin:{options.app_label}_{options.model_name}_act"
    return reverse(name, args=[act.name, token])


def money_panels(act, rows):
    """For an act that costs money: tokens, the price with its range and worst case,
    what is reused, and what caps leave."""
    if act.sends is None or not rows:
        return []
    found = act.sends(*rows)
    if not found.items:
        return []
    facts = [(_("requests (items)"), number(found.items)), *cost_facts(found.costs)]
    notes = cost_notes(found.costs)
    if found.reused:
        facts.append((_("answered before, at no cost"), number(found.reused)))
    if found.unpriced:
        text = ngettext(
            "%(count)s item waits for a price of its model, and is not counted.",
            "%(count)s items wait for a price of their model, and are not counted.",
            found.unpriced,
        )
        notes.append(text % {"count": number(found.unpriced)})
    left, short = cap_facts(tightest_cap_of(rows), found.costs.worst)
    return [Panel(title=_("Money"), facts=[*facts, *left], notes=[*notes, *short])]


def outlook_in_words(verb):
    """The words for what an act of steering would reach; `Act.in_words`."""
    return partial(outlook.in_words, verb, money=active_money)


def how_many(*rows):
    """The effect of an act that is about rows alone; `Act.effect`."""
    return len(rows)


def active_money(nanos):
    return cost(to_usd(nanos), active_provider())


def act_button(act, label):
    """A button elsewhere on a row's page that asks for one of its acts."""
    grave = " grave" if act.is_grave else ""
    return format_html(
        '<button type="submit" class="button{}" form="acts" name="action" value="{}">'
        "{}</button>",
        grave,
        act.name,
        label,
    )


def effect_in_words(effect):
    """Items, and the most they may cost; marked where the sandbox pretends."""
    if not effect.items:
        return _("no item; it costs nothing.")
    return ngettext(
        "%(count)s item, at most %(cost)s.",
        "%(count)s items, at most %(cost)s.",
        effect.items,
    ) % {
        "count": number(effect.items),
        "cost": active_money(effect.nanos),
    }
