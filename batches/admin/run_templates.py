"""Run templates: kept, scheduled, and started again with their price before them."""

from django import forms
from django.contrib import admin
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied
from django.db import transaction
from django.http import Http404
from django.urls import path, reverse
from django.utils.translation import gettext_lazy

from batches.admin.base import PanelAdmin
from batches.admin.caps import MOST_DOLLARS
from batches.admin.display import EMPTY
from batches.admin.filters import WorkloadFilter
from batches.admin.starting import runs_panel, start_page
from batches.errors import BatchError
from batches.models import Run, RunTemplate
from batches.models.money import to_nanos
from batches.schedules import sync_schedules
from batches.services.budget import Payer
from batches.services.run_templates import (
    SAME,
    check_template,
    plan_template,
    remove_template,
    save_template,
    start_template_once,
    template_of,
)
from batches.states import Trigger
from batches.workloads import all_workloads

PERMISSION = "batches.start_runtemplate"


class TemplateForm(forms.ModelForm):
    workload = forms.ChoiceField(label=gettext_lazy("Workload"))
    dollars = forms.DecimalField(
        label=gettext_lazy("Budget of a run (dollars)"),
        required=False,
        min_value=0,
        max_value=MOST_DOLLARS,
        max_digits=16,
        decimal_places=9,
        help_text=gettext_lazy("Worst case. Empty: none of its own."),
    )

    class Meta:
        model = RunTemplate
        fields = [
            *("name", "workload", "options", "limit", "dollars", "account"),
            *("priority", "may_wait", "force_refresh", "canary", "cron"),
        ]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["workload"].choices = [(key, key) for key in all_workloads()]
        if self.instance.budget_usd is not None:
            self.initial["dollars"] = f"{self.instance.budget_usd.normalize():f}"

    def clean(self):
        cleaned = super().clean()
        dollars = cleaned.get("dollars")
        self.instance.budget_nanos = None if dollars is None else to_nanos(dollars)
        return cleaned

    def _post_clean(self):
        """After the fields: whether a run of it could be started."""
        super()._post_clean()
        if self.errors.keys() - {NON_FIELD_ERRORS}:
            return
        try:
            check_template(self.instance)
        except BatchError as err:  # said better than by the constraints of the table
            self.errors.pop(NON_FIELD_ERRORS, None)
            self.add_error(NON_FIELD_ERRORS, str(err))


@admin.register(RunTemplate)
class RunTemplateAdmin(PanelAdmin):
    form = TemplateForm
    add_form_template = "admin/batches/form_with_panels.html"
    change_form_template = "admin/batches/form_with_panels.html"
    list_display = ["name", "workload", "when", "owner", "changed_by", "changed_at"]
    list_filter = [WorkloadFilter]
    list_select_related = ["owner"]
    ordering = ["name"]
    search_fields = ["name"]

    @admin.display(description=gettext_lazy("schedule"), ordering="cron")
    def when(self, template):
        return template.cron or EMPTY

    def get_urls(self):
        view = self.admin_site.admin_view(self.start_view)
        name = "batches_runtemplate_start"
        return [path("<int:pk>/start/", view, name=name), *super().get_urls()]

    def get_changeform_initial_data(self, request):
        """A link from a run brings that run's options."""
        initial = super().get_changeform_initial_data(request)
        run = Run.objects.filter(pk=initial.pop("run", None)).first()
        if run is None or not request.user.has_perm("batches.view_run"):
            return initial
        given = template_of(run)
        names = [name for name in SAME if name != "budget_nanos"]
        initial |= {name: getattr(given, name) for name in (*names, "canary")}
        if given.budget_usd is not None:
            initial["dollars"] = f"{given.budget_usd.normalize():f}"
        return initial

    def panels(self, request, template):
        if template is None:
            return []
        runs = Run.objects.filter(schedule=template.schedule_key)
        url = reverse("admin:batches_runtemplate_start", args=[template.pk])
        may_start = request.user.has_perm(PERMISSION)
        return [runs_panel(request, runs, start_url=url if may_start else "")]

    def start_view(self, request, pk):
        template = self.get_object(request, str(pk))
        if template is None:
            raise Http404
        if not self.has_view_permission(request, template):
            raise PermissionDenied
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        payer = Payer(
            template.workload,
            account=template.account,
            owner_id=request.user.pk,
            owner_name=request.user.get_username(),
            budget_nanos=template.budget_nanos,
        )
        return start_page(
            self,
            request,
            template,
            payer=payer,
            plan=lambda seconds: plan_template(template, seconds=seconds),
            start=lambda key: start_template_once(
                template,
                trigger=Trigger.ADMIN,
                owner=request.user,
                idempotency_key=key,
            ),
        )

    def save_model(self, request, obj, form, change):
        if change and not form.has_changed():
            return
        if not change:
            obj.owner = request.user
        with transaction.atomic():
            save_template(obj, by=request.user.get_username())
            sync_schedules()

    def delete_model(self, request, obj):
        with transaction.atomic():
            remove_template(obj, by=request.user.get_username())
            sync_schedules()

    def delete_queryset(self, request, queryset):
        for template in queryset:
            self.delete_model(request, template)
