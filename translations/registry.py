"""Which fields of which models are translated: `register(Model, fields=[…])`.

Called from an app's `translatable.py`, which is found by itself when Django starts.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.core.exceptions import (
    FieldDoesNotExist,
    ImproperlyConfigured,
    ValidationError,
)
from django.db import models
from django.db.models.signals import post_save

from translations.segments import guess_format

FORMATS = ("text", "html", "markdown")


@dataclass(frozen=True)
class Registered:
    """A model with translated fields; see `register` for what each part means."""

    model: type[models.Model]
    fields: tuple[str, ...]
    source_language: str
    formats: dict[str, str] = field(default_factory=dict)
    context: Callable[[Any], dict[str, str]] | None = None
    skip: Callable[[Any, str], str | None] | None = None
    select_related: tuple[str, ...] = ()
    group: str = ""
    external_id: str = "pk"
    importer: str = ""

    @property
    def label(self) -> str:
        return self.model._meta.label_lower

    @property
    def kind(self) -> str:
        """Its name for programs: the model's; with its app's where two are the same."""
        name = str(self.model._meta.model_name)
        return name if find_kind(name) is self else self.label

    def external_ids(self, keys: Iterable[str]) -> dict[str, str]:
        """{key: the id by which other systems know the row}"""
        rows = self.model._default_manager.filter(pk__in=keys)
        return {
            str(key): str(name)
            for key, name in rows.values_list("pk", self.external_id)
        }

    def rows(self, group_key: str | None = None) -> models.QuerySet[Any]:
        """Its rows, or those of one group by its key; blank are those of none."""
        rows = self.model._default_manager.order_by("pk")
        if group_key is None or not self.group:
            return rows
        if not group_key:
            return rows.filter(**{f"{self.group}__isnull": True})
        try:
            return rows.filter(**{self.group: group_key})
        except (ValueError, ValidationError):  # no key that a group could have
            return rows.none()

    def language_of(self, row: models.Model) -> str:
        """The language a row is written in: the field's value, or the fixed tag."""
        value = getattr(row, self.source_language, None)
        return str(value) if isinstance(value, str) and value else self.source_language

    def format_of(self, row: models.Model, name: str) -> str:
        """`text`, `html` or `markdown`: as told, by the row's own field, or guessed."""
        told = self.formats.get(name, "text" if _is_short(self.model, name) else "")
        if told in FORMATS:
            return told
        value = getattr(row, told, "") if told else ""
        return value if value in FORMATS else guess_format(getattr(row, name) or "")


def _is_short(model: type[models.Model], name: str) -> bool:
    return isinstance(model._meta.get_field(name), models.CharField)


_registered: dict[str, Registered] = {}


def register(
    model: type[models.Model],
    *,
    fields: Sequence[str],
    source_language: str = "en",
    formats: dict[str, str] | None = None,
    context: Callable[[Any], dict[str, str]] | None = None,
    skip: Callable[[Any, str], str | None] | None = None,
    select_related: Sequence[str] = (),
    group: str = "",
    external_id: str = "pk",
    importer: str = "",
) -> None:
    """Have `fields` of a model translated.

    `source_language` is a tag, or the name of a field that holds one. `formats` gives a
    field's format, or the name of a field that holds it; else short fields are plain
    text and long ones are looked at. `context(row)` gives what the translator should
    know of a row (`{"course": …}`); `skip(row, field)` gives a reason to leave a field
    out, in words that the run's report shows. `group` names the foreign key to what
    its rows are parts of (a course), by which reviewers may choose and
    coverage is counted. `external_id` names the unique field by which other systems
    know a row, and `importer` the kind of import (`lessons`) that writes it for them.
    """
    for name in [*fields, *filter(None, [group])]:
        try:
            model._meta.get_field(name)
        except FieldDoesNotExist as err:
            raise ImproperlyConfigured(
                f"{model._meta.label} has no field {name!r} to translate."
            ) from err
    entry = Registered(
        model=model,
        fields=tuple(fields),
        source_language=source_language,
        formats=dict(formats or {}),
        context=context,
        skip=skip,
        select_related=tuple(select_related),
        group=group,
        external_id=external_id,
        importer=importer,
    )
    if entry.label in _registered:
        raise ImproperlyConfigured(f"{model._meta.label} is registered twice.")
    _registered[entry.label] = entry
    post_save.connect(
        partial(_mark_stale, entry), sender=model, weak=False, dispatch_uid=entry.label
    )


def _mark_stale(
    entry: Registered, *, instance: models.Model, raw: bool, **_: Any
) -> None:
    from translations.staleness import mark_stale

    if not raw:
        mark_stale(entry, [instance])


def find_kind(kind: str) -> Registered | None:
    """The registered model that a program means: `lesson`, or `app.lesson`.

    The short name only where one model alone has it.
    """
    entry = _registered.get(kind)
    if entry is None:
        named = [e for e in _registered.values() if e.model._meta.model_name == kind]
        entry = named[0] if len(named) == 1 else None
    return entry


def all_registered() -> dict[str, Registered]:
    """Every registered model by its label (`app.model`), in order."""
    return dict(sorted(_registered.items()))
