"""The groups that come with the project, and what their members may do.

A group gets its permissions when it is made, and permissions that a new version brings
when that is installed. What an administrator changes in a group stays changed.
"""

from collections import defaultdict

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.management import create_permissions
from django.db import connections
from django.db.models.signals import post_migrate, pre_migrate

from batches.services.roles import Role

EDITOR, REVIEWER = Role.EDITOR.value, Role.REVIEWER.value
OPERATOR, AUDITOR = Role.OPERATOR.value, Role.AUDITOR.value

_shipped = defaultdict(set)
_known_before = set()


def ship(group, *permissions):
    """Say that a group has permissions, as `app.codename`."""
    _shipped[group] |= set(permissions)


def every(*models, of=("view", "add", "change", "delete")):
    """The permissions of these kinds on models, as `app.codename`."""
    return [
        f"{model._meta.app_label}.{what}_{model._meta.model_name}"
        for model in models
        for what in of
    ]


def shipped():
    """{group: permissions as `app.codename`}; whoever audits may see all there is."""
    seen = [model for model in apps.get_models() if admin.site.is_registered(model)]
    return {**_shipped, AUDITOR: set(every(*seen, of=["view"]))}


def remember_known(sender, using="default", **kwargs):
    """Before migrations: which permissions there are already."""
    if sender is _last_app():
        _known_before.clear()
        _known_before.update(_existing(using))


def sync_groups(sender, using="default", **kwargs):
    """After the last app's migrations: make groups, and give them what is new."""
    if sender is not _last_app():
        return
    create_permissions(sender, using=using, verbosity=0)  # Django's turn may be later
    groups = apps.get_model("auth", "Group").objects.using(using)
    existing = _existing(using)
    for name, permissions in shipped().items():
        group, is_made = groups.get_or_create(name=name)
        wanted = permissions & existing.keys()
        if not is_made:
            wanted = wanted - _known_before if _known_before else set()
        group.permissions.add(*[existing[one] for one in sorted(wanted)])
    _known_before.clear()


def _existing(using):
    """{`app.codename`: key} of the permissions in the database; none before tables."""
    permission = apps.get_model("auth", "Permission")
    if permission._meta.db_table not in connections[using].introspection.table_names():
        return {}
    rows = permission.objects.using(using).values_list(
        "content_type__app_label", "codename", "pk"
    )
    return {f"{app}.{codename}": key for app, codename, key in rows}


def _last_app():
    return [app for app in apps.get_app_configs() if app.models_module][-1]


pre_migrate.connect(remember_known, dispatch_uid="batches.groups.before")
post_migrate.connect(sync_groups, dispatch_uid="batches.groups.after")
