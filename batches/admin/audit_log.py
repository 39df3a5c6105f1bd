"""The audit log: searched and taken away as a file, never changed."""

from datetime import datetime, time

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import StreamingHttpResponse
from django.urls import path
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches.admin.base import KeysetAdmin
from batches.admin.display import pretty, status_badge
from batches.admin.filters import TextFilter
from batches.admin.panels import Block, Panel, facts
from batches.models import AuditEntry
from batches.monitoring.audit import as_csv
from batches.states import AuditOutcome

EXPORT_NAME = "batches_auditentry_export"


class ActorFilter(TextFilter):
    title = gettext_lazy("actor")
    parameter_name = "actor"

    def matching(self, queryset, value):
        return queryset.filter(actor=value)


class AddressFilter(TextFilter):
    title = gettext_lazy("address")
    parameter_name = "address"

    def matching(self, queryset, value):
        return queryset.filter(address=value)


class ActionFilter(TextFilter):
    title = gettext_lazy("action (its beginning)")
    parameter_name = "action_is"  # `action` is the admin's own

    def matching(self, queryset, value):
        return queryset.filter(action__startswith=value)


class TargetFilter(TextFilter):
    title = gettext_lazy("target (its beginning)")
    parameter_name = "target"

    def matching(self, queryset, value):
        return queryset.filter(target__startswith=value)


class SinceFilter(TextFilter):
    title = gettext_lazy("from (2026-03-01, or 2026-03-01 23:30)")
    parameter_name = "since"

    def matching(self, queryset, value):
        at = moment_in(value)
        return queryset.filter(created_at__gte=at) if at else queryset.none()


class UntilFilter(TextFilter):
    title = gettext_lazy("until (a whole day, or before a time)")
    parameter_name = "until"

    def matching(self, queryset, value):
        at = moment_in(value, is_end=True)
        return queryset.filter(created_at__lt=at) if at else queryset.none()


def moment_in(text, *, is_end=False):
    """The time that a date or a time means here, a day's end if asked; None for
    neither."""
    try:
        day = parse_date(text)
        at = None if day else parse_datetime(text)
    except ValueError:
        return None
    if day:
        at = datetime.combine(day, time.max if is_end else time.min)
    if at and timezone.is_naive(at):
        at = timezone.make_aware(at)
    return at


@admin.register(AuditEntry)
class AuditEntryAdmin(KeysetAdmin):
    change_list_template = "admin/batches/audit_list.html"
    list_display = [
        *("id", "created_at", "actor", "address", "action", "target"),
        *("outcome_label", "count"),
    ]
    list_filter = [
        *("outcome", "kind", ActorFilter, AddressFilter, ActionFilter, TargetFilter),
        *(SinceFilter, UntilFilter),
    ]
    list_defer = ["before", "after"]
    search_fields = ["^actor", "^action", "^target"]
    search_help_text = gettext_lazy("The beginning of an actor, an action or a target.")

    @admin.display(description=gettext_lazy("outcome"))
    def outcome_label(self, entry):
        return status_badge(AuditOutcome, entry.outcome)

    def get_urls(self):
        view = self.admin_site.admin_view(self.export_view)
        return [path("export/", view, name=EXPORT_NAME), *super().get_urls()]

    def export_view(self, request):
        """What the list shows with these filters, all pages of it, as CSV."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_changelist_instance(request).queryset.order_by("-pk")
        name = f"audit-{timezone.now():%Y%m%d-%H%M}.csv"
        return StreamingHttpResponse(
            as_csv(found),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def panels(self, request, entry):
        names = ["created_at", "kind", "actor", "address", "action", "target"]
        names += ["outcome", "count", "message"]
        panel = Panel(title=_("What was done"), facts=facts(entry, names))
        for name, label in (("before", _("Before")), ("after", _("After"))):
            value = getattr(entry, name)
            if value is not None:
                panel.blocks.append(Block(label, pretty(value), is_code=True))
        return [panel]
