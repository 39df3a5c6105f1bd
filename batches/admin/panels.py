"""What a detail page is made of: panels of facts, tables and texts, in one template."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches.admin.display import (
    EMPTY,
    dollars,
    moment,
    number,
    pretty,
    row_link,
    status_badge,
)
from batches.models.money import to_usd
from batches.services.diffs import Run

TAG = re.compile(r"(<[^<>]*>)")
# Long texts start folded, so that a page stays one that can be looked over.
LONG_TEXT = 4_000

MONEY_LABELS = {
    "budget_nanos": gettext_lazy("budget"),
    "cost_nanos": gettext_lazy("cost"),
    "estimate_nanos": gettext_lazy("estimate"),
    "reserved_nanos": gettext_lazy("reserved"),
    "unpriced_nanos": gettext_lazy("cost not known, at most"),
}


@dataclass
class Block:
    """A text as it is, in its own direction.

    `is_code` where its columns matter, `is_markup` where it may hold tags.
    """

    label: str
    text: str
    language: str = ""
    direction: str = "auto"
    is_code: bool = False
    is_markup: bool = False

    @property
    def shown(self) -> str:
        """The text; its tags isolated, as right-to-left text turns them inside out."""
        if not self.is_markup:
            return self.text
        parts = TAG.split(self.text)  # text, tag, text, tag, …, text
        return format_html_join(
            "",
            '{}<bdi class="tag" dir="ltr">{}</bdi>',
            zip(parts[::2], [*parts[1::2], ""], strict=True),
        )

    @property
    def is_open(self) -> bool:
        return len(self.text) <= LONG_TEXT


@dataclass
class DiffBlock(Block):
    """A text with its changes marked: struck out what goes, underlined what comes."""

    runs: Sequence[Run] = ()

    @property
    def shown(self) -> str:
        tags = {"gone": "del", "new": "ins", "same": "span"}
        return format_html_join(
            "",
            "<{0}>{1}</{0}>",
            ((tags[run.kind], run.text) for run in self.runs),
        )


@dataclass
class Choice:
    """One of the views that a page offers of the same thing."""

    label: str
    url: str
    is_current: bool = False


@dataclass
class Panel:
    """One part of a page; what of it is empty is not shown.

    `key` names it among the panels of a page that is kept up to date.
    """

    title: str
    facts: list[tuple[str, Any]] = field(default_factory=list)
    columns: Sequence[str] = ()
    rows: list[Sequence[Any]] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    empty: str = ""
    is_side_by_side: bool = False
    is_stacked: bool = False  # on a phone each row is a card, not a line to scroll
    key: str = ""

    @property
    def labelled_rows(self) -> list[list[tuple[str, Any]]]:
        """Each row as (column, cell) pairs."""
        return [list(zip(self.columns, row, strict=True)) for row in self.rows]


def facts(row: models.Model, names: Sequence[str]) -> list[tuple[str, Any]]:
    """(label, value) of a row's fields, in the order asked for."""
    fields = [row._meta.get_field(name) for name in names]
    return [(_label(field), shown(row, field)) for field in fields]


def row_panel(row: models.Model, names: Sequence[str] | None = None) -> Panel:
    """A row's plain fields; its long ones are blocks under them."""
    names = names or [field.name for field in row._meta.concrete_fields]
    panel = Panel(title=_("Fields"))
    for name in names:
        field_ = row._meta.get_field(name)
        value = getattr(row, field_.attname)
        if isinstance(field_, models.JSONField):
            if value:
                panel.blocks.append(Block(_label(field_), pretty(value), is_code=True))
        elif isinstance(field_, models.TextField):
            if value:
                panel.blocks.append(Block(_label(field_), value))
        else:
            panel.facts.append((_label(field_), shown(row, field_)))
    return panel


def shown(row: models.Model, field: models.Field) -> Any:
    """A field's value as people read it."""
    value = getattr(row, field.attname)
    if value is None or value == "":
        return EMPTY
    if isinstance(field, models.ForeignKey):
        return _related(field.related_model, value)
    if field.name in MONEY_LABELS:
        return dollars(to_usd(value))
    if field.choices:
        return getattr(row, f"get_{field.name}_display")()
    if isinstance(field, models.DateTimeField):
        return moment(value)
    if isinstance(field, models.BooleanField):
        return _("yes") if value else _("no")
    if isinstance(field, models.AutoField) or field.primary_key:
        return value
    if isinstance(field, models.IntegerField):
        return number(value)
    if isinstance(field, models.BinaryField):
        return bytes(value).hex()
    return value


def status_fact(row: models.Model, choices) -> tuple[str, Any]:
    return _label(row._meta.get_field("status")), status_badge(choices, row.status)


def _label(field: models.Field) -> str:
    return MONEY_LABELS.get(field.name, field.verbose_name)


def _related(model: type[models.Model], key: Any) -> Any:
    if model is ContentType:
        try:
            return ContentType.objects.get_for_id(key).name
        except ContentType.DoesNotExist:
            return key
    return row_link(model, key)
