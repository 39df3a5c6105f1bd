"""Our own prices, checked and logged by the service; and how long answers were."""

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import NON_FIELD_ERRORS
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches.admin.base import PanelAdmin, ReadOnlyAdmin
from batches.admin.display import EMPTY, number
from batches.admin.panels import Panel
from batches.errors import BatchError
from batches.models import AnswerLength, Price
from batches.providers.registry import active_provider
from batches.services.estimates import STEPS_PER_DOUBLING
from batches.services.prices import (
    WRITTEN,
    current_rate,
    delete_price,
    price_notes,
    price_problems,
    save_price,
)


class PriceForm(forms.ModelForm):
    class Meta:
        model = Price
        fields = list(WRITTEN)

    def _post_clean(self):
        """After the fields: what they say together, and beside the other prices."""
        super()._post_clean()
        problems = price_problems(self.instance)
        if problems:  # said better than by the constraints of the table
            self.errors.pop(NON_FIELD_ERRORS, None)
        for field, text in problems.items():
            if field not in self.errors:
                self.add_error(field, text)


@admin.register(Price)
class PriceAdmin(PanelAdmin):
    form = PriceForm
    add_form_template = "admin/batches/form_with_panels.html"
    change_form_template = "admin/batches/form_with_panels.html"
    list_display = [
        "model",
        "provider",
        "valid_from",
        "valid_until",
        "batch",
        "real_time",
        "changed_by",
    ]
    list_filter = ["provider"]
    search_fields = ["model"]
    ordering = ["model", "provider", "valid_from"]
    fieldsets = [
        (None, {"fields": ["model", "provider", "valid_from", "valid_until"]}),
        (
            gettext_lazy("Dollars for a million tokens"),
            {
                "fields": [
                    "batch_input",
                    "batch_cached",
                    "batch_output",
                    "real_time_input",
                    "real_time_cached",
                    "real_time_output",
                ]
            },
        ),
        (
            gettext_lazy("Where a request's price depends on more"),
            {
                "fields": [
                    "long_from",
                    "long_input_factor",
                    "long_output_factor",
                    "written_factor",
                ]
            },
        ),
        (None, {"fields": ["note"]}),
    ]

    @admin.display(description=gettext_lazy("batch: input, cached, output"))
    def batch(self, price):
        return rates(price.batch_input, price.batch_cached, price.batch_output)

    @admin.display(description=gettext_lazy("real time"))
    def real_time(self, price):
        return rates(
            price.real_time_input, price.real_time_cached, price.real_time_output
        )

    def panels(self, request, price):
        if price is None:
            return []
        panel = Panel(
            title=_("In use"),
            facts=[
                (_("revision"), price.revision),
                (_("changed by"), price.changed_by or EMPTY),
                (_("for %(model)s today") % {"model": price.model}, today(price)),
            ],
            notes=price_notes(price),
        )
        return [panel]

    def save_model(self, request, obj, form, change):
        if change and not form.has_changed():
            return
        notes = save_price(obj, by=request.user.get_username())
        for note in notes:
            messages.warning(request, note)

    def delete_model(self, request, obj):
        delete_price(obj, by=request.user.get_username())

    def delete_queryset(self, request, queryset):
        with transaction.atomic():
            for price in queryset:
                self.delete_model(request, price)


@admin.register(AnswerLength)
class AnswerLengthAdmin(ReadOnlyAdmin):
    """What estimates are made of."""

    list_display = [
        "workload",
        "model",
        "provider",
        "trait",
        "request_tokens",
        "length",
        "weight",
    ]
    list_filter = ["provider", "workload", "model"]
    ordering = ["workload", "model", "provider", "trait", "size", "step"]

    @admin.display(description=gettext_lazy("tokens of the request"), ordering="size")
    def request_tokens(self, row):
        return f"{number(2**row.size)}–{number(2 ** (row.size + 1) - 1)}"

    @admin.display(description=gettext_lazy("length of the answer"), ordering="step")
    def length(self, row):
        return _("%(ratio).2f × the request") % {
            "ratio": 2 ** (row.step / STEPS_PER_DOUBLING)
        }

    @admin.display(description=gettext_lazy("answers, older ones for less"))
    def weight(self, row):
        return f"{row.answers:,.1f}"


def rates(*amounts):
    """Dollars for a million tokens, side by side, without zeros at their ends."""
    shown = (EMPTY if usd is None else f"${usd.normalize():f}" for usd in amounts)
    return " / ".join(shown)


def today(price):
    """What a request to this model costs now, and by which word."""
    if price.model.endswith("*"):
        return EMPTY
    try:
        provider = price.provider or active_provider()
        rate = current_rate(provider, price.model, timezone.now())
    except BatchError as err:
        return str(err)
    return _("$%(input)s in and $%(output)s out, by %(version)s") % {
        "input": f"{rate.input_usd.normalize():f}",
        "output": f"{rate.output_usd.normalize():f}",
        "version": rate.version,
    }
