"""Which prompt a subject is asked with: production's, or that of a version on trial.

Each subject of a workload falls into one of 100 slots, by a hash of the workload and
its key: the same in every run. A version on trial holds as many slots as its weight in
percent, and keeps those it has; so a change of weights moves exactly the subjects that
it must, and nobody else's.
"""

import hashlib
from dataclasses import dataclass

from django.db import transaction

from batches.errors import BadOptions, BadPrompt, NotPossible
from batches.models import PromptVersion
from batches.services.events import audit
from batches.services.prompts import current_prompt
from batches.workloads import Subject, Workload

SLOTS = 100
# All trials of a workload together. More is no trial any more: production has to keep
# subjects to be compared with, and putting a version there needs a right of its own.
MOST_WEIGHT = 90


@dataclass(frozen=True)
class Arms:
    """The versions that a run's subjects are shared out among.

    `trials` is `{slot: version}`; every other slot is production's.
    """

    workload: str
    production: PromptVersion
    trials: dict[int, PromptVersion]

    def of(self, subject: Subject) -> PromptVersion:
        """The version that a subject is asked with."""
        if not self.trials:
            return self.production
        return self.trials.get(slot_of(self.workload, subject), self.production)


def read_arms(workload: Workload, number: int | None = None) -> Arms:
    """The arms as they are now; with `number` that version alone.

    Raises BadOptions, naming the versions that there are, for a number of none.
    """
    if number is not None:
        return Arms(workload.key, _numbered(workload, number), {})
    production = current_prompt(workload)
    used = PromptVersion.objects.in_use(workload.key).exclude(pk=production.pk)
    trials = {slot: version for version in used for slot in version.slots}
    return Arms(workload.key, production, trials)


def slot_of(workload: str, subject: Subject) -> int:
    """0 to 99; the same whenever and wherever it is asked in one database."""
    key = f"{workload}\0{subject.content_type_id}\0{subject.object_id}"
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % SLOTS


def weigh(version: PromptVersion, weight: int, *, by: str) -> PromptVersion:
    """Try a version on so many percent of the subjects; 0 ends its trial.

    It keeps the slots it has, gets more of those that are production's, or gives its
    last ones back. Raises BadPrompt for a weight that cannot be, NotPossible for the
    version in production.
    """
    with transaction.atomic():
        rows = PromptVersion.objects.select_for_update()
        alike = {one.pk: one for one in rows.filter(workload=version.workload)}
        version = alike.pop(version.pk)
        if version.is_production:
            raise NotPossible(
                f"{version} is in production: it has every subject that no trial has."
            )
        taken = {slot for one in alike.values() for slot in one.slots}
        left = MOST_WEIGHT - len(taken)
        if not 0 <= weight <= left:
            raise BadPrompt(
                f"{version} cannot have {weight} % of the subjects: from 0 to {left} "
                f"can be given, since trials together have at most {MOST_WEIGHT} %."
            )
        before = version.weight
        version.slots = _resized(version.slots, weight, taken)
        version.save(update_fields=["slots"])
        audit(
            "prompt.weigh",
            actor=by,
            target=str(version),
            before={"weight": before},
            after={"weight": weight},
        )
    return version


def _resized(slots: list[int], wanted: int, taken: set[int]) -> list[int]:
    free = [slot for slot in range(SLOTS) if slot not in taken and slot not in slots]
    return [*slots, *free][:wanted]


def _numbered(workload: Workload, number: int) -> PromptVersion:
    current_prompt(workload)  # what ships is a version from the first look on
    versions = PromptVersion.objects.filter(workload=workload.key)
    version = versions.filter(number=number).first()
    if version is None:
        numbers = versions.order_by("number").values_list("number", flat=True)
        raise BadOptions(
            f"{workload.key}: prompt {number}: there is no such version; there are "
            f"{', '.join(map(str, numbers))}."
        )
    return version
