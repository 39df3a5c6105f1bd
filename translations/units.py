"""Units as storing sees them: found and locked, changed in memory, written in bulk."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from batches.services.bulk import insert_rows, reserve_keys, update_rows
from translations.judging import Judged
from translations.models import ReviewStatus, Translation

UnitKey = tuple[int, str, str, str]  # content type, object id, field, language


class Unit(msgspec.Struct, gc=False):
    """A row of `Translation`, without what Django's own object of it costs.

    `is_new` are units that no row stands for yet.
    """

    id: int
    content_type_id: int
    object_id: str
    field: str
    language: str
    source_language: str
    format: str
    status: str = ReviewStatus.DRAFT.value
    latest_id: int | None = None
    published_id: int | None = None
    versions_made: int = 0
    source_hash: str = ""
    is_stale: bool = False
    is_sandbox: bool = False
    parts_total: int = 0
    parts_done: int = 0
    is_kept: bool = False
    is_new: bool = False

    @property
    def key(self) -> UnitKey:
        return (self.content_type_id, self.object_id, self.field, self.language)


ROW = Unit.__struct_fields__[:-1]
# What a machine may change: not what the unit is of, nor that a person keeps it.
CHANGED = slice(ROW.index("source_language"), ROW.index("is_kept"))


def find_units(wanted: Iterable[UnitKey]) -> dict[UnitKey, Unit]:
    """Those of these units that are there, locked in the order of kind and key."""
    wanted = set(wanted)
    rows_of: defaultdict[int, set[str]] = defaultdict(set)
    for kind, object_id, _, _ in wanted:
        rows_of[kind].add(object_id)
    languages = {key[3] for key in wanted}
    found = {}
    for kind, object_ids in sorted(rows_of.items()):
        rows = Translation.objects.select_for_update().filter(
            content_type=kind, object_id__in=object_ids, language__in=languages
        )
        for row in rows.order_by("pk").values_list(*ROW):
            unit = Unit(*row)
            if unit.key in wanted:
                found[unit.key] = unit
    return found


def take_units(wanted: dict[UnitKey, Judged]) -> dict[UnitKey, Unit]:
    """These units: locked where they are there, else new, in the order of keys."""
    units = find_units(wanted)
    missing = sorted(wanted.keys() - units.keys())
    for key, pk in zip(missing, reserve_keys(Translation, len(missing)), strict=True):
        judged = wanted[key]
        units[key] = Unit(pk, *key, judged.source_language, judged.format, is_new=True)
    return units


def write_units(units: Sequence[Unit], now: datetime) -> None:
    """Write what became of these units. New ones are inserted in the order of keys.

    Raises IntegrityError where somebody else made one of the new ones meanwhile.
    """
    astuple = msgspec.structs.astuple
    times = {"created_at": now, "updated_at": now}
    new = (astuple(unit)[:-1] for unit in units if unit.is_new)
    insert_rows(Translation, ROW, new, alike=times)
    update_rows(
        Translation,
        (*ROW[CHANGED], "updated_at"),
        [(unit.id, *astuple(unit)[CHANGED], now) for unit in units if not unit.is_new],
    )
