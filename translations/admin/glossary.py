"""The glossary in the admin: written here, or imported; taken along as CSV."""

from django.contrib import admin, messages
from django.http import HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches.admin.base import PanelAdmin
from batches.admin.display import link
from batches.admin.groups import EDITOR, OPERATOR, REVIEWER, every, ship
from translations.admin.coverage import URL_NAME
from translations.admin.importing import ImportContentMixin
from translations.glossary.importing import write_terms
from translations.glossary.saving import delete_term, save_term
from translations.models import GlossaryTerm


@admin.register(GlossaryTerm)
class GlossaryTermAdmin(ImportContentMixin, PanelAdmin):
    import_kind = "glossary"
    import_example = {
        "source_language": "so",
        "source_term": "ilme",
        "source_forms": "ilme|ilmaha|ilmuhu",
        "target_language": "en",
        "preferred": "child|children",
        "forbidden": "kid|kids",
        "rule": "required",
        "note": "",
    }
    actions = ["download"]
    exclude = ["version", "updated_at"]
    list_display = [
        "source_term",
        "source_language",
        "target_language",
        "preferred",
        "forbidden",
        "rule",
        "scope",
        "version",
    ]
    list_filter = ["rule", "source_language", "target_language"]
    ordering = ["source_term", "target_language"]
    search_fields = ["source_term", "source_forms", "preferred"]

    def panels(self, request, row):
        return []

    def save_model(self, request, obj, form, change):
        if save_term(obj, by=request.user.get_username()):
            messages.info(
                request,
                format_html(
                    _(
                        "Texts made before that are against it will be marked as out "
                        "of date; {} tells how many there are, and has them sent."
                    ),
                    link(reverse(f"admin:{URL_NAME}"), _("Coverage")),
                ),
            )

    def delete_model(self, request, obj):
        delete_term(obj, by=request.user.get_username())

    def delete_queryset(self, request, queryset):
        for term in queryset:
            self.delete_model(request, term)

    @admin.action(
        description=gettext_lazy("Download selected terms as CSV"),
        permissions=["view"],
    )
    def download(self, request, queryset):
        response = HttpResponse(content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="glossary.csv"'
        write_terms(queryset.order_by(*self.ordering), response)
        return response


ship(EDITOR, *every(GlossaryTerm, of=["view"]))
ship(REVIEWER, *every(GlossaryTerm))
ship(OPERATOR, *every(GlossaryTerm, of=["view"]))
