"""Settings changed while the site runs: set, taken back, and who did it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from batches.config import OVERRIDABLE
from batches.errors import BatchError
from batches.models import ConfigOverride
from batches.services.events import audit


class BadOverride(BatchError):
    """A setting that cannot be overridden, or a value that it does not take."""

    code = "bad_request"


@dataclass(frozen=True)
class Shown:
    """A setting as it is: `override` where a row here wins over the environment."""

    name: str
    value: Any
    expected: str
    override: ConfigOverride | None

    @property
    def changed_by(self) -> str | None:
        return self.override.changed_by if self.override else None

    @property
    def changed_at(self) -> datetime | None:
        return self.override.changed_at if self.override else None


def shown_settings() -> Iterator[Shown]:
    """Every setting that can be overridden, by name, in one query."""
    rows = ConfigOverride.objects.in_bulk()
    for name, setting in OVERRIDABLE.items():
        row = rows.get(name)
        value = row.value if row else getattr(settings, name)
        yield Shown(name, value, setting.expected, row)


def override_settings(changes: Mapping[str, Any], *, by: str) -> list[str]:
    """Set overrides, or take them back with None; all of them or none.

    Returns the names of those that changed. Raises BadOverride naming setting, value
    and what would do.
    """
    for name, value in changes.items():
        _check(name, value)
    changed = []
    with transaction.atomic():
        rows = ConfigOverride.objects.select_for_update().in_bulk(list(changes))
        for name, value in changes.items():
            row = rows.get(name)
            before = {"value": row.value} if row else None
            after = None if value is None else {"value": value}
            if before == after:
                continue
            if after is None:
                ConfigOverride.objects.filter(pk=name).delete()
            else:
                ConfigOverride.objects.update_or_create(
                    name=name, defaults={"value": value, "changed_by": by[:150]}
                )
            audit(
                "override:delete" if after is None else "override:set",
                actor=by,
                target=name,
                before=before,
                after=after,
            )
            changed.append(name)
    return changed


def _check(name: str, value: Any) -> None:
    setting = OVERRIDABLE.get(name)
    if setting is None:
        raise BadOverride(
            f"{name[:64]} is no setting that can be overridden; there are "
            f"{', '.join(OVERRIDABLE)}."
        )
    if value is None:
        return
    try:
        setting.check(value)
    except ValueError as err:
        raise BadOverride(
            f"{name} is {str(value)[:50]!r}: it must be {setting.expected}."
        ) from err
