"""Content rows by name: what items are about, a page of them in one query a kind."""

from collections import defaultdict

from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from batches.admin.display import link, row_url

NAME_LENGTH = 60

# {model: its long fields that its __str__ reads}, learned from the first row met.
_read_by_str = {}


def name_subjects(request, rows):
    """Give each row a `subject_name`: its content row, linked, or why there is none.

    A row has `content_type_id` and `object_id`. Names are shown to those who may see
    the content; others see its kind and key.
    """
    by_kind = defaultdict(list)
    for row in rows:
        by_kind[row.content_type_id].append(row)
    for content_type_id, of_kind in by_kind.items():
        _name_kind(request, content_type_id, of_kind)


def _name_kind(request, content_type_id, rows):
    try:
        kind = ContentType.objects.get_for_id(content_type_id)
    except ContentType.DoesNotExist:
        kind = None
    model = kind.model_class() if kind else None
    if model is None:
        kind_name = kind.name if kind else _("unknown")
        for row in rows:
            row.subject_name = _("%(name)s (no installed app has this kind)") % {
                "name": f"{kind_name} {row.object_id}"
            }
        return
    subjects = load_named(model, {row.object_id for row in rows})
    is_shown = may_see(request, model)
    for row in rows:
        name = f"{model._meta.verbose_name} {row.object_id}"
        subject = subjects.get(row.object_id)
        if subject is None:
            row.subject_name = _("%(name)s (deleted)") % {"name": name}
        elif not is_shown:
            row.subject_name = name
        else:
            row.subject_name = format_html(
                '{} <span class="under">{}</span>',
                _linked(model, subject),
                name,
            )


def load_named(model, keys):
    """{key as text: row} of those that are there, without the texts no name needs.

    A content row may hold a book. So long fields are left out, but for those that
    `__str__` turns out to read: these would be fetched row by row.
    """
    wanted = [key for key in map(_to_key(model), keys) if key is not None]
    long = {f.name for f in model._meta.concrete_fields if _is_long(f)}
    rows = model._base_manager.defer(*(long - _read_by_str.get(model, set())))
    found = rows.in_bulk(wanted)
    if model not in _read_by_str and found:
        first = next(iter(found.values()))
        str(first)
        _read_by_str[model] = long - first.get_deferred_fields()
        if _read_by_str[model]:
            return load_named(model, keys)
    return {str(key): row for key, row in found.items()}


def _is_long(field):
    return isinstance(field, models.TextField | models.JSONField)


def _to_key(model):
    def to_key(text):
        try:
            return model._meta.pk.to_python(text)
        except ValidationError:  # a key that this model cannot have
            return None

    return to_key


def may_see(request, model):
    """Whether this user may see rows of a model, which need not be in the admin."""
    if admin.site.is_registered(model):
        return admin.site.get_model_admin(model).has_view_permission(request)
    label = model._meta.app_label
    return request.user.has_perm(f"{label}.view_{model._meta.model_name}")


def _linked(model, subject):
    name = Truncator(str(subject)).chars(NAME_LENGTH)
    if not admin.site.is_registered(model):
        return name
    return link(row_url(model, subject.pk), name)
