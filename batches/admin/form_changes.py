"""Rows that Django's admin saves by itself, such as users and lessons, are audited.

Models with a service are audited by it. The others are watched here: their signals, and
only while one of the admin's own forms is answered, so that the entry is written in the
transaction of the change and names each field with its value before and after.
"""

import json
import re
from datetime import datetime
from functools import partial

from django.contrib import admin
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models.signals import m2m_changed, post_save, pre_delete, pre_save
from django.utils.text import Truncator

from batches.admin.base import ReadOnlyAdmin
from batches.services.asking import who_asks
from batches.services.events import audit

# Of one request: what a list deletes beyond is counted in one more entry.
MOST_ENTRIES = 200
MOST_CHARACTERS = 500
SECRET = re.compile(r"passw|secret|token|digest|api_?key|credential", re.IGNORECASE)
HIDDEN = "(not shown)"
RELATED = {"post_add": "added", "post_remove": "removed", "post_clear": "cleared"}
NOT_TOLD = ("last_login",)  # changes with every sign-in, which has its own entry

_pages = set()  # how the names of their pages begin


def watch():
    """Connect to every registered model that has no service to save or delete it."""
    for model, model_admin in admin.site._registry.items():
        if isinstance(model_admin, ReadOnlyAdmin):
            continue
        kind = type(model_admin)
        saves = kind.save_model is admin.ModelAdmin.save_model
        deletes = kind.delete_model is admin.ModelAdmin.delete_model
        if saves or deletes:
            _pages.add(f"{model._meta.app_label}_{model._meta.model_name}_")
        if saves:
            _connect(pre_save, _remember, model)
            _connect(post_save, _saved, model)
            for relation in model._meta.many_to_many:
                through = relation.remote_field.through
                _connect(m2m_changed, partial(_related, relation.name), through)
        if deletes:
            _connect(pre_delete, _deleting, model)


def _connect(signal, receiver, sender):
    name = getattr(receiver, "func", receiver).__name__
    uid = f"batches.form_changes.{name}"
    signal.connect(receiver, sender=sender, weak=False, dispatch_uid=uid)


def _remember(sender, instance, **_):
    asking = _by_form()
    if asking and instance.pk is not None:
        rows = sender._base_manager.filter(pk=instance.pk).values()
        asking.before[sender, instance.pk] = rows.first()


def _saved(sender, instance, created, **_):
    asking = _by_form()
    if asking is None:
        return
    before = asking.before.pop((sender, instance.pk), None) or {}
    after = _values(instance)
    not_told = {*NOT_TOLD, *_set_by_saving(sender)}
    names = [
        name
        for name in after
        if name not in not_told
        and (created or _whole(before.get(name)) != _whole(after[name]))
    ]
    if names:
        _write(
            asking,
            "create" if created else "change",
            instance,
            before=None if created else shown(before, names),
            after=shown(after, names),
        )


def _deleting(sender, instance, **_):
    asking = _by_form()
    if asking:
        values = _values(instance)
        _write(asking, "delete", instance, before=shown(values, values), after=None)


def _related(name, sender, instance, action, model, pk_set, **_):
    asking = _by_form()
    verb = RELATED.get(action)
    if asking is None or verb is None:
        return
    rows = model._base_manager.filter(pk__in=sorted(pk_set or ())[:MOST_ENTRIES])
    names = sorted(map(str, rows))
    _write(asking, "change", instance, before=None, after={name: {verb: names}})


def _by_form():
    """The request, where it answers a form of a model that is watched."""
    asking = who_asks()
    is_form = asking is not None and asking.form.startswith(tuple(_pages))
    return asking if is_form else None


def _write(asking, verb, row, *, before, after):
    asking.rows += 1
    options = row._meta
    if asking.rows > MOST_ENTRIES + 1:
        return
    if asking.rows > MOST_ENTRIES:
        before = after = None
        message = f"More than {MOST_ENTRIES} rows: the others have no entry each."
    else:
        message = ""
    audit(
        f"{options.model_name}.{verb}",
        actor=asking.actor,
        target=f"{options.verbose_name} {row.pk}: {row}",
        message=message,
        before=before,
        after=after,
    )


def _values(row):
    return {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
    }


def _set_by_saving(model):
    """The times that saving sets by itself: nobody's change."""
    return (
        field.attname
        for field in model._meta.concrete_fields
        if getattr(field, "auto_now", False)
    )


def _whole(value):
    """A time without what forms do not show of it, which they lose."""
    return value.replace(microsecond=0) if isinstance(value, datetime) else value


def shown(values, names):
    """{name: value} as JSON takes it; long texts cut, and no secret among them."""
    told = {}
    for name in names:
        value = values.get(name)
        if SECRET.search(name) and value:
            value = HIDDEN
        elif isinstance(value, bytes | memoryview):
            value = f"{len(value)} bytes"
        elif isinstance(value, str):
            value = Truncator(value).chars(MOST_CHARACTERS)
        told[name] = value
    return json.loads(json.dumps(told, cls=DjangoJSONEncoder, default=str))
