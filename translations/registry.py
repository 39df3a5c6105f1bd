"""Which fields of which models are translated: `register(Model, fields=[…])`.

Called from an app's `translatable.py`, which is found by itself when Django starts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
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

    @property
    def label(self) -> str:
        return self.model._meta.label_lower

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
) -> None:
    """Have `fields` of a model translated.

    `source_language` is a tag, or the name of a field that holds one. `formats` gives a
    field's format, or the name of a field that holds it; else short fields are plain
    text and long ones are looked at. `context(row)` gives what the translator should
    know of a row (`{"course": …}`); `skip(row, field)` gives a reason to leave a field
    out, in words that the run's report shows.
    """
    for name in fields:
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


def all_registered() -> dict[str, Registered]:
    """Every registered model by its label (`app.model`), in order."""
    return dict(sorted(_registered.items()))
