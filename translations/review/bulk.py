"""Approving many at once: the good ones, a hundred at most, some to be looked at again.

Only what scores 90 and more, has no error and is up to date; each is checked again
before it is approved, and one in ten is drawn for a second look.
"""

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches.errors import BatchError
from translations.models import Translation
from translations.review.acts import approve_version

LOWEST_SCORE = 90
MOST = 100
SECOND_LOOK = 0.1
LOOKED_THROUGH = 10_000

ERRORS = gettext_lazy("with an error")
LOW_SCORE = gettext_lazy("with a score under 90")
STALE = gettext_lazy("out of date")
MORE = gettext_lazy("beyond the first hundred")


@dataclass
class BulkPlan:
    """What a bulk approval would do: the units, and how many are left out and why."""

    units: list[Translation] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def second_looks(self) -> int:
        return math.ceil(len(self.units) * SECOND_LOOK)


@dataclass
class BulkResult:
    approved: int = 0
    second_looks: int = 0
    refused: list[str] = field(default_factory=list)


def plan_bulk(waiting: QuerySet[Translation]) -> BulkPlan:
    """The good ones of a queue, the best first; nothing is written."""
    plan = BulkPlan()
    keys: list[int] = []
    rows = waiting.order_by("-latest__score", "updated_at", "pk").values_list(
        "pk", "latest__errors", "latest__score", "is_stale"
    )
    for key, errors, score, is_stale in rows[:LOOKED_THROUGH]:
        if errors:
            plan.left_out[str(ERRORS)] += 1
        elif score < LOWEST_SCORE:
            plan.left_out[str(LOW_SCORE)] += 1
        elif is_stale:
            plan.left_out[str(STALE)] += 1
        elif len(keys) == MOST:
            plan.left_out[str(MORE)] += 1
        else:
            keys.append(key)
    found = Translation.objects.select_related("latest").in_bulk(keys)
    plan.units = [found[key] for key in keys if key in found]
    return plan


def approve_many(
    chosen: Sequence[tuple[int, int]], *, by: AbstractBaseUser, publish: bool = False
) -> BulkResult:
    """Approve units, each given as (key, key of the version that was seen).

    A random tenth is marked for a second look. What may not be approved is told, and
    the others go on.
    """
    chosen = list(chosen)[:MOST]
    again = random.SystemRandom().sample(chosen, math.ceil(len(chosen) * SECOND_LOOK))
    result = BulkResult()
    units = Translation.objects.select_related("latest").in_bulk(
        [key for key, _version in chosen]
    )
    for key, version in chosen:
        unit = units.get(key)
        if unit is None or unit.latest is None:
            continue
        name = _("Translation %(number)s") % {"number": key}
        if unit.latest.score < LOWEST_SCORE:
            result.refused.append(f"{name}: {LOW_SCORE}")
            continue
        is_drawn = (key, version) in again
        try:
            approve_version(
                unit,
                base=version,
                by=by,
                publish=publish,
                in_bulk=True,
                needs_second_look=is_drawn,
            )
        except BatchError as err:
            result.refused.append(f"{name}: {err}")
            continue
        result.approved += 1
        result.second_looks += is_drawn
    return result
