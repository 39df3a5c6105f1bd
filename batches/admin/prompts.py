"""Prompt versions, as they are sent."""

from django.contrib import admin
from django.utils.translation import gettext as _

from batches.admin.base import ReadOnlyAdmin
from batches.admin.filters import WorkloadFilter
from batches.admin.panels import Block, Panel, facts
from batches.models import PromptVersion


@admin.register(PromptVersion)
class PromptVersionAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "workload",
        "number",
        "origin",
        "is_production",
        "created_at",
    ]
    list_filter = [WorkloadFilter, "origin", "is_production"]
    ordering = ["workload", "-number"]

    def panels(self, request, prompt):
        names = ["workload", "number", "origin", "is_production", "created_at"]
        panel = Panel(title=_("Prompt"), facts=facts(prompt, [*names, "digest"]))
        panel.blocks.append(Block(_("text"), prompt.text))
        if prompt.note:
            panel.blocks.append(Block(_("note"), prompt.note))
        return [panel]
