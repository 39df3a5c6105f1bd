"""Rows of any model in bulk, with what the model itself would put in their columns."""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any
from uuid import UUID

from django.db import models

from batches.services.bulk import Row, insert_rows, is_postgres


def insert_whole(
    model: type[models.Model],
    fields: Sequence[str],
    rows: Iterable[Row],
    /,
    **alike: Any,
) -> None:
    """As `insert_rows`, but columns that are not named get the model's own defaults.

    `alike` are columns with one value in all rows. Columns whose default is made anew
    for each row, as an id is, have to be among `fields`.
    """
    lacking = {
        field.name: _default(field)
        for field in model._meta.concrete_fields
        if field.name not in fields
        and field.name not in alike
        and not isinstance(field, models.AutoField)
    }
    insert_rows(model, fields, rows, alike={**lacking, **alike})


def _default(field: Any) -> Any:
    if field.has_db_default():
        return field.db_default
    value = field.get_default()
    return value.value if isinstance(value, Enum) else value


def as_kept(key: UUID) -> Any:
    """A UUID as its column takes it: SQLite has it without dashes."""
    return key if is_postgres() else key.hex
