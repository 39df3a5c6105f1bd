"""Holds, which people raise and lift, and alerts, which they acknowledge."""

from django import forms
from django.contrib import admin, messages
from django.db.models import F
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin.acts import (
    ROWS_SHOWN,
    Act,
    ActsAdmin,
    Button,
    outlook_in_words,
)
from batches.admin.base import ReadOnlyAdmin
from batches.admin.display import (
    EMPTY,
    badge,
    link,
    list_url,
    moment,
    moment_and_age,
    number,
    row_link,
    row_url,
)
from batches.admin.live import SLOW_SECONDS, STOP, Live, LiveAdmin
from batches.admin.notices import code_label, what_is_held
from batches.admin.panels import Panel
from batches.models import Alert, BatchJob, Hold, OpenItem, Run
from batches.providers import registry
from batches.services.alerts import acknowledge
from batches.services.effects import lift_effect, outlook_of_holds
from batches.services.prospects import prospect_of_holds
from batches.services.scopes import BY_HAND, hold_work, lift, recall_held
from batches.states import HoldScope, Severity
from batches.workloads import all_workloads

LIST_CHARS = 100  # of a message; its page has all of it

LIFT = Act(
    name="lift",
    kind="lift",
    label=gettext_lazy("Lift"),
    says=gettext_lazy("What it keeps back goes out again, and costs what it costs."),
    done=gettext_lazy("Lifted"),
    permission="batches.change_hold",
    sends=prospect_of_holds,
    do=lift,
    effect=lift_effect,
)

RECALL = Act(
    name="recall",
    kind="recall",
    label=gettext_lazy("Recall what was sent"),
    says=gettext_lazy(
        "Batches at the provider that it covers are cancelled there, and what they "
        "have finished is applied. The rest uses up no attempt, and waits under it."
    ),
    done=gettext_lazy("Recalled"),
    permission="batches.recall_job",
    do=recall_held,
    effect=outlook_of_holds,
    in_words=outlook_in_words("recall"),
    is_grave=True,
)


class StateFilter(admin.SimpleListFilter):
    """Still open, or closed: by whether a time of closing is there."""

    title = gettext_lazy("state")
    parameter_name = "state"
    closed_at = ""
    words = ()

    def lookups(self, request, model_admin):
        return list(zip(("open", "closed"), self.words, strict=True))

    def queryset(self, request, queryset):
        if self.value() not in ("open", "closed"):
            return queryset
        return queryset.filter(**{f"{self.closed_at}__isnull": self.value() == "open"})


class HoldStateFilter(StateFilter):
    closed_at = "lifted_at"
    words = (gettext_lazy("In force"), gettext_lazy("Lifted"))


class AlertStateFilter(StateFilter):
    closed_at = "acknowledged_at"
    words = (gettext_lazy("Open"), gettext_lazy("Acknowledged"))


class HoldForm(forms.ModelForm):
    """What is to be held, and why; the engine's own holds are not made here."""

    message = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=400,
        widget=forms.Textarea(attrs={"rows": 3, "dir": "auto"}),
        help_text=gettext_lazy("Everybody who waits for this work reads it."),
    )

    class Meta:
        model = Hold
        fields = ["scope", "key", "message"]
        help_texts = {
            "key": gettext_lazy(
                "The key of the provider or workload, or the account's name; empty for "
                "everything."
            )
        }

    def clean(self):
        cleaned = super().clean()
        scope, key = cleaned.get("scope"), cleaned.get("key", "")
        if not scope:
            return cleaned
        known = {
            HoldScope.PROVIDER: list(registry.KEYS),
            HoldScope.WORKLOAD: list(all_workloads()),
        }.get(scope)
        if scope == HoldScope.ALL and key:
            self.add_error("key", _("Leave this empty: everything is held."))
        elif scope != HoldScope.ALL and not key:
            self.add_error("key", _("Say which one is to be held."))
        elif known is not None and key not in known:
            self.add_error("key", _("There are: %s.") % ", ".join(known))
        elif Hold.objects.active().filter(scope=scope, key=key, code=BY_HAND).exists():
            self.add_error(None, _("That is on hold by hand already."))
        return cleaned


@admin.register(Hold)
class HoldAdmin(LiveAdmin, ActsAdmin, ReadOnlyAdmin):
    acts = (LIFT, RECALL)
    form = HoldForm
    add_form_template = "admin/batches/form_with_panels.html"
    list_display = ["what", "state", "reason", "text", "raised_by", "since", "probe"]
    list_filter = [HoldStateFilter, "scope"]
    list_per_page = 50
    sortable_by = ()

    def get_ordering(self, request):
        return [F("lifted_at").desc(nulls_first=True), "-pk"]

    def has_add_permission(self, request):
        return request.user.has_perm("batches.add_hold")

    def get_fields(self, request, obj=None):
        return HoldForm.Meta.fields

    def save_model(self, request, obj, form, change):
        made = hold_work(
            HoldScope(obj.scope),
            key=obj.key,
            reason=obj.message,
            by=request.user.get_username(),
        )
        obj.pk = made.pk
        obj.refresh_from_db()

    @admin.display(description=gettext_lazy("holds"))
    def what(self, hold):
        return what_is_held(hold)

    @admin.display(description=gettext_lazy("state"))
    def state(self, hold):
        return hold_state(hold)

    @admin.display(description=gettext_lazy("reason"))
    def reason(self, hold):
        return code_label(hold.code)

    @admin.display(description=gettext_lazy("message"))
    def text(self, hold):
        return Truncator(hold.message).chars(LIST_CHARS)

    @admin.display(description=gettext_lazy("since"))
    def since(self, hold):
        return moment_and_age(hold.raised_at)

    @admin.display(description=gettext_lazy("next probe"))
    def probe(self, hold):
        return moment(hold.probe_at)

    def panels(self, request, row):
        return self.live(request, row).panels if row else [held_panel()]

    def live(self, request, hold):
        is_active = hold.lifted_at is None
        return Live(
            panels=[hold_panel(hold)],
            sentence=_("In force") if is_active else _("Lifted"),
            seconds=SLOW_SECONDS if is_active else STOP,
            acts=("lift", "recall") if is_active else (),
        )

    def _rows_panel(self, rows):
        return Panel(
            title=self.opts.verbose_name_plural,
            columns=[_("Holds"), _("State"), _("Message")],
            rows=[
                (
                    link(row_url(Hold, hold.pk), what_is_held(hold)),
                    hold_state(hold),
                    hold.message,
                )
                for hold in rows[:ROWS_SHOWN]
            ],
            empty=_("None of them is there any more."),
            is_stacked=True,
        )

    def _back_url(self, rows):
        return list_url(Hold)


def hold_state(hold):
    return badge(_("In force"), "bad") if hold.lifted_at is None else badge(_("Lifted"))


def hold_panel(hold):
    facts = [
        (_("holds"), what_is_held(hold)),
        (_("state"), hold_state(hold)),
        (_("reason"), code_label(hold.code)),
        (_("raised by"), hold.raised_by),
        (_("since"), moment(hold.raised_at)),
    ]
    if hold.probe_at or hold.probes:
        facts += [
            (_("next probe"), moment(hold.probe_at)),
            (_("probes so far"), number(hold.probes)),
        ]
    if hold.lifted_at:
        facts += [
            (_("lifted by"), hold.lifted_by),
            (_("lifted"), moment(hold.lifted_at)),
        ]
    return Panel(
        title=_("What it holds, and why"), key="hold", facts=facts, notes=[hold.message]
    )


def held_panel():
    """For the page that raises one: what a hold does."""
    return Panel(
        title=_("What a hold does"),
        key="about",
        notes=[
            _(
                "Nothing that it covers is put into jobs or sent until it is lifted. "
                "What is at a provider already goes on, unless it is recalled: its "
                "results are read and applied."
            )
        ],
        links=[link(list_url(OpenItem), _("Items that are not finished"))],
    )


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    actions = ["acknowledge_chosen"]
    list_display = ["told", "state", "text", "about", "times", "last_seen", "closed_by"]
    list_filter = [AlertStateFilter, "severity"]
    list_per_page = 50
    list_select_related = ["job", "run"]
    sortable_by = ()

    def get_ordering(self, request):
        return [F("acknowledged_at").desc(nulls_first=True), "-pk"]

    def has_acknowledge_permission(self, request):
        return request.user.has_perm("batches.change_alert")

    @admin.display(description=gettext_lazy("what"))
    def told(self, alert):
        return code_label(alert.code)

    @admin.display(description=gettext_lazy("state"))
    def state(self, alert):
        return alert_state(alert)

    @admin.display(description=gettext_lazy("message"))
    def text(self, alert):
        return Truncator(alert.message).chars(LIST_CHARS)

    @admin.display(description=gettext_lazy("about"))
    def about(self, alert):
        return about(alert)

    @admin.display(description=gettext_lazy("last seen"))
    def last_seen(self, alert):
        return moment_and_age(alert.seen_at)

    @admin.display(description=gettext_lazy("acknowledged by"))
    def closed_by(self, alert):
        return alert.acknowledged_by or EMPTY

    @admin.action(description=gettext_lazy("Acknowledge"), permissions=["acknowledge"])
    def acknowledge_chosen(self, request, queryset):
        by = request.user.get_username()
        chosen = list(queryset)
        closed = sum(acknowledge(alert, by=by) for alert in chosen)
        level = messages.SUCCESS if closed == len(chosen) else messages.WARNING
        text = ngettext(
            "Acknowledged: %(closed)s of %(chosen)s alert.",
            "Acknowledged: %(closed)s of %(chosen)s alerts.",
            len(chosen),
        ) % {"closed": number(closed), "chosen": number(len(chosen))}
        self.message_user(request, text, level)

    def panels(self, request, alert):
        return [alert_panel(alert)]

    def render_change_form(self, request, context, *args, obj=None, **kwargs):
        if obj is not None and self.has_acknowledge_permission(request):
            button = Button("acknowledge_chosen", _("Acknowledge"))
            context["act_buttons"] = [(button, obj.acknowledged_at is None)]
            context["list_url"] = list_url(Alert)
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)


def about(alert):
    if alert.job_id:
        return row_link(BatchJob, alert.job_id, str(alert.job))
    if alert.run_id:
        return row_link(Run, alert.run_id, str(alert.run))
    return alert.key or EMPTY


def alert_state(alert):
    if alert.acknowledged_at:
        return badge(_("Acknowledged"))
    tone = "bad" if alert.severity == Severity.CRITICAL else "warn"
    return badge(alert.get_severity_display(), tone)


def alert_panel(alert):
    facts = [
        (_("what"), code_label(alert.code)),
        (_("state"), alert_state(alert)),
        (_("about"), about(alert)),
        (_("times"), number(alert.times)),
        (_("since"), moment(alert.raised_at)),
        (_("last seen"), moment(alert.seen_at)),
    ]
    if alert.acknowledged_at:
        facts += [
            (_("acknowledged by"), alert.acknowledged_by),
            (_("acknowledged"), moment(alert.acknowledged_at)),
        ]
    return Panel(
        title=_("What was seen"), key="alert", facts=facts, notes=[alert.message]
    )
