"""Caps: what may be spent or sent at most, and how far each is used up."""

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches.admin.base import PanelAdmin
from batches.admin.display import EMPTY, percent
from batches.admin.panels import Panel
from batches.errors import ConfigError
from batches.models import Cap
from batches.models.money import to_nanos, to_usd
from batches.providers.registry import active_provider, is_sandbox
from batches.services.budget import (
    Budget,
    Payer,
    Purse,
    limit_of,
    settings_limits,
    tightest_cap,
)
from batches.services.events import audit
from batches.signals import announce
from batches.states import CapPeriod, CapScope
from batches.workloads import all_workloads

MOST_DOLLARS = 10_000_000


class CapForm(forms.ModelForm):
    """A cap in dollars or in items, not both."""

    dollars = forms.DecimalField(
        label=gettext_lazy("At most (dollars)"),
        required=False,
        min_value=0,
        max_value=MOST_DOLLARS,
        max_digits=16,
        decimal_places=9,
        help_text=gettext_lazy("Worst case: work in flight counts as reserved."),
    )

    class Meta:
        model = Cap
        fields = ["scope", "key", "period", "dollars", "most_items"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.instance.most_nanos is not None:
            self.initial["dollars"] = f"{self.instance.most_usd.normalize():f}"

    def clean(self):
        cleaned = super().clean()
        if not self.errors:
            self._check_amount(cleaned)
            self._check_key(cleaned)
        if not self.errors:
            dollars = cleaned["dollars"]
            self.instance.most_nanos = None if dollars is None else to_nanos(dollars)
            self._check_once(cleaned)
        return cleaned

    def _check_amount(self, cleaned):
        given = [cleaned.get("dollars"), cleaned.get("most_items")]
        if sum(amount is not None for amount in given) != 1:
            text = _("Give dollars or items: one of the two. For both, make two caps.")
            self.add_error("dollars", text)

    def _check_key(self, cleaned):
        scope, key = cleaned["scope"], cleaned["key"]
        if scope in (CapScope.ALL, CapScope.RUN):
            if key:
                self.add_error("key", _("Leave this empty for such a cap."))
            if scope == CapScope.RUN and cleaned["period"] != CapPeriod.EVER:
                self.add_error("period", _("A run is capped in all."))
        elif scope == CapScope.WORKLOAD and key and key not in all_workloads():
            self.add_error("key", _("There are: %s.") % ", ".join(all_workloads()))
        elif scope == CapScope.OWNER and key:
            users = get_user_model()._default_manager
            if not users.filter(username=key).exists():
                self.add_error("key", _("Nobody is called “%s” here.") % key)

    def _check_once(self, cleaned):
        is_money = self.instance.most_nanos is not None
        same = Cap.objects.filter(
            scope=cleaned["scope"],
            key=cleaned["key"],
            period=cleaned["period"],
            most_nanos__isnull=not is_money,
        ).exclude(pk=self.instance.pk)
        if other := same.first():
            text = _("There is such a cap already: %s. Change that one.")
            self.add_error(None, text % other)


@admin.register(Cap)
class CapAdmin(PanelAdmin):
    form = CapForm
    add_form_template = "admin/batches/form_with_panels.html"
    change_form_template = "admin/batches/form_with_panels.html"
    list_display = ["__str__", "used", "left", "changed_by", "changed_at"]
    ordering = ["scope", "key", "period"]

    @admin.display(description=gettext_lazy("used up"))
    def used(self, cap):
        purse = standing(cap)
        return percent(purse.used, purse.limit.most) if purse else EMPTY

    @admin.display(description=gettext_lazy("left"))
    def left(self, cap):
        purse = standing(cap)
        return purse.left_words if purse else _("each by itself")

    def panels(self, request, cap):
        return [settings_caps()]

    def save_model(self, request, obj, form, change):
        if change and not form.has_changed():
            return
        before = Cap.objects.filter(pk=obj.pk).first() if change else None
        obj.changed_by = request.user.get_username()
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            audit_cap(request, "cap:set", before, obj)
            announce("bundle")  # what waited for it may go

    def delete_model(self, request, obj):
        with transaction.atomic():
            audit_cap(request, "cap:delete", obj, None)
            super().delete_model(request, obj)
            announce("bundle")

    def delete_queryset(self, request, queryset):
        with transaction.atomic():
            for obj in queryset:
                self.delete_model(request, obj)


def standing(cap: Cap) -> Purse | None:
    """How far a cap is used up in the money of the active provider; None for one that
    holds for each by itself."""
    if not cap.key and cap.scope not in (CapScope.ALL, CapScope.ACCOUNT):
        return None
    owner = None
    if cap.scope == CapScope.OWNER:
        users = get_user_model()._default_manager
        owner = users.filter(username=cap.key).values_list("pk", flat=True).first()
    payer = Payer(
        workload=cap.key if cap.scope == CapScope.WORKLOAD else "",
        account=cap.key if cap.scope == CapScope.ACCOUNT else "",
        owner_id=owner,
        owner_name=cap.key if cap.scope == CapScope.OWNER else "",
    )
    return _budget().purse(limit_of(cap), payer)


def _budget() -> Budget:
    return Budget(active_provider(), now=timezone.now())


def cap_facts(purse: Purse | None, worst_nanos: int):
    """(facts, notes) on what the tightest cap leaves for work that may cost so much.

    Empty where no cap in dollars binds.
    """
    if purse is None:
        return [], []
    facts = [(_("left of the tightest cap"), f"{purse.left_words} ({purse.label})")]
    if worst_nanos <= purse.left:
        return facts, []
    note = _(
        "Not all of it can go now: at worst it costs more than this cap has left. What "
        "does not fit waits and says so; raising %(what)s lets it go."
    ) % {"what": purse.limit.raise_what}
    return facts, [note]


def cap_facts_for(payer: Payer, worst_nanos: int):
    """`cap_facts` of the caps that hold for one who pays, in the active money."""
    purse = tightest_cap(active_provider(), [payer], now=timezone.now())
    return cap_facts(purse, worst_nanos)


def settings_caps() -> Panel:
    """The caps that settings make, beside those of rows."""
    try:
        limits = list(settings_limits())
    except ConfigError as error:
        return Panel(title=_("Caps by settings"), empty=str(error))
    budget = _budget()
    payer = Payer(workload="")
    rows = []
    for limit in limits:
        if limit.scope == CapScope.RUN:
            rows.append(
                (limit.raise_what, _("each run"), f"${to_usd(limit.most):,.2f}", EMPTY)
            )
            continue
        purse = budget.purse(limit, payer)
        words = (CapPeriod(limit.period).label, f"${to_usd(limit.most):,.2f}")
        rows.append((limit.raise_what, *words, purse.left_words))
    kind = _("the sandbox's money") if is_sandbox(budget.provider) else _("real money")
    return Panel(
        title=_("Caps by settings (left: %s)") % kind,
        columns=[_("Setting"), _("Within"), _("At most"), _("Left")],
        rows=rows,
        empty=_("None: neither MONTHLY_CAP_USD, DAILY_CAP_USD nor RUN_CAP_USD is set."),
    )


def audit_cap(request, action, before, after):
    audit(
        action,
        actor=request.user.get_username(),
        target=str(after or before),
        before={"cap": str(before)} if before else None,
        after={"cap": str(after)} if after else None,
    )
