"""What was used, by the hour."""

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.urls import path
from django.utils.translation import gettext_lazy as _

from batches.admin.base import KeysetAdmin
from batches.admin.display import EMPTY, cost, row_link, status_badge
from batches.admin.filters import (
    AttemptOutcomeFilter,
    ChoiceFilter,
    ProviderFilter,
    WorkloadFilter,
)
from batches.admin.usage_page import URL_NAME, usage_page
from batches.models import HourlyUsage
from batches.models.money import to_usd
from batches.states import AttemptOutcome


class UsageOutcomeFilter(ChoiceFilter):
    title = _("outcome")
    parameter_name = "outcome"
    lookups = AttemptOutcomeFilter.lookups


@admin.register(HourlyUsage)
class HourlyUsageAdmin(KeysetAdmin):
    list_display = [
        "hour",
        "provider",
        "workload",
        "model",
        "owner",
        "account",
        "outcome_label",
        "error_code",
        "attempts",
        "input_tokens",
        "output_tokens",
        "cost",
    ]
    list_filter = [ProviderFilter, WorkloadFilter, UsageOutcomeFilter]
    change_list_template = "admin/batches/usage_list.html"

    def get_urls(self):
        view = self.admin_site.admin_view(self.usage_view)
        return [path("cost/", view, name=URL_NAME), *super().get_urls()]

    def usage_view(self, request):
        return usage_page(request, self)

    @admin.display(description=_("owner"))
    def owner(self, usage):
        return row_link(get_user_model(), usage.owner_key) if usage.owner_key else EMPTY

    @admin.display(description=_("outcome"))
    def outcome_label(self, usage):
        return status_badge(AttemptOutcome, usage.outcome)

    @admin.display(description=_("cost"))
    def cost(self, usage):
        return cost(to_usd(usage.cost_nanos), usage.provider)
