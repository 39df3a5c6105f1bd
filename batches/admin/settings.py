"""Settings changed while the site runs, and this installation's identity."""

import json
from contextlib import suppress

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches.admin.base import PanelAdmin, ReadOnlyAdmin
from batches.admin.panels import Panel
from batches.config import OVERRIDABLE
from batches.models import ConfigOverride, Installation
from batches.services.events import audit


class OverrideForm(forms.ModelForm):
    """A setting out of those that may be overridden, and a value that fits it.

    The value is read as JSON; a text needs no quotes, and a list may be written with
    commas.
    """

    name = forms.ChoiceField(label=gettext_lazy("Setting"))
    value = forms.CharField(
        label=gettext_lazy("Value"),
        strip=True,
        widget=forms.TextInput(attrs={"class": "vTextField", "dir": "auto"}),
    )

    class Meta:
        model = ConfigOverride
        fields = ["name", "value"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            # Its name is its key: another name would be another row.
            self.fields.pop("name", None)
            self.initial["value"] = as_typed(self.instance.value)
        elif "name" in self.fields:
            taken = set(ConfigOverride.objects.values_list("pk", flat=True))
            free = [(name, name) for name in OVERRIDABLE if name not in taken]
            self.fields["name"].choices = [("", "---------"), *free]

    def clean(self):
        cleaned = super().clean()
        name = self.instance.pk or cleaned.get("name")
        typed = cleaned.get("value")
        if not name or typed is None:
            return cleaned
        try:
            cleaned["value"] = read_value(name, typed)
        except ValidationError as error:
            self.add_error("value", error)
        return cleaned


def as_typed(value):
    """A stored value as a person would write it."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def read_value(name, typed):
    """The usable value; a ValidationError says what the setting expects."""
    if name not in OVERRIDABLE:
        raise ValidationError(
            _("%(name)s is no setting that can be overridden; delete this row."),
            params={"name": name},
        )
    setting = OVERRIDABLE[name]
    for candidate in readings(typed):
        try:
            return setting.check(candidate)
        except ValueError:
            continue
    raise ValidationError(
        _("%(name)s must be %(expected)s; %(typed)s is not."),
        params={"name": name, "expected": setting.expected, "typed": repr(typed)},
    )


def readings(typed):
    """What a typed value may mean, the strictest first."""
    with suppress(ValueError):
        yield json.loads(typed)
    yield typed
    yield [part.strip() for part in typed.split(",") if part.strip()]


@admin.register(ConfigOverride)
class ConfigOverrideAdmin(PanelAdmin):
    form = OverrideForm
    add_form_template = "admin/batches/form_with_panels.html"
    change_form_template = "admin/batches/form_with_panels.html"
    list_display = ["name", "value", "changed_by", "changed_at"]
    readonly_fields = ["changed_by", "changed_at"]
    ordering = ["name"]

    def get_fields(self, request, obj=None):
        if obj is None:
            return ["name", "value"]
        return ["value", "changed_by", "changed_at"]

    def panels(self, request, override):
        return [settings_panel(override)]

    def save_model(self, request, obj, form, change):
        if change and not form.has_changed():
            return
        before = stored(obj.pk) if change else None
        obj.changed_by = request.user.get_username()
        super().save_model(request, obj, form, change)
        audit_override(request, "override:set", obj.pk, before, {"value": obj.value})

    def delete_model(self, request, obj):
        with transaction.atomic():
            before = {"value": obj.value}
            audit_override(request, "override:delete", obj.pk, before, None)
            super().delete_model(request, obj)

    def delete_queryset(self, request, queryset):
        with transaction.atomic():
            for obj in queryset:
                self.delete_model(request, obj)


def stored(name):
    return ConfigOverride.objects.filter(pk=name).values("value").first()


def audit_override(request, action, name, before, after):
    audit(
        action,
        actor=request.user.get_username(),
        target=name,
        before=before,
        after=after,
    )


def settings_panel(obj):
    """What each setting takes, and what holds where no row here overrides it."""
    names = [obj.pk] if obj else list(OVERRIDABLE)
    return Panel(
        title=_("Settings that can be overridden"),
        columns=[_("Setting"), _("Expected"), _("Without an override")],
        rows=[
            (name, OVERRIDABLE[name].expected, as_typed(getattr(settings, name)))
            for name in names
            if name in OVERRIDABLE
        ],
    )


@admin.register(Installation)
class InstallationAdmin(ReadOnlyAdmin):
    list_display = ["public_id", "created_at"]
