"""Keys of programs: who has which, when it was used last, and an end to it."""

from django.contrib import admin, messages
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin.base import ReadOnlyAdmin
from batches.admin.panels import Panel, facts
from batches.models import ApiKey
from batches.services.api_keys import revoke_api_key


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Made by `create_api_key`, which alone ever shows the secret."""

    actions = ["revoke_selected"]
    list_display = [
        "name",
        "prefix",
        "may",
        "owner",
        "created_at",
        "last_used_at",
        "expires_at",
        "revoked_at",
    ]
    list_select_related = ["owner"]
    ordering = ["name"]
    search_fields = ["name", "prefix"]

    def has_revoke_permission(self, request):
        return request.user.has_perm("batches.change_apikey")

    @admin.display(description=gettext_lazy("scopes"))
    def may(self, key):
        return ", ".join(key.scopes)

    @admin.action(
        description=gettext_lazy("Revoke: they work no more, at once and for good"),
        permissions=["revoke"],
    )
    def revoke_selected(self, request, queryset):
        keys = list(queryset.filter(revoked_at__isnull=True))
        for key in keys:
            revoke_api_key(key, by=request.user.get_username())
        text = ngettext("%(n)s key is revoked.", "%(n)s keys are revoked.", len(keys))
        self.message_user(request, text % {"n": len(keys)}, messages.SUCCESS)

    def panels(self, request, key):
        names = ["name", "prefix", "owner", "created_at", "last_used_at"]
        return [
            Panel(
                title=_("Key"),
                facts=[
                    *facts(key, [*names, "expires_at", "revoked_at"]),
                    (_("scopes"), ", ".join(key.scopes)),
                ],
            )
        ]
