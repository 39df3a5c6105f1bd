"""The governor: how many jobs may be under way, and how large the next one is to be.

Bundling asks it, under its lock, for each group of items that could share a file; it
answers from what it read once and what it was told since. Slots are counted over all
unfinished jobs, whoever made them. A job's tokens are bounded by what the provider's
queue has room for, where a limit of it is known: then jobs are cut so that the slots
there are fill it, with one job made ahead that goes out the moment another leaves.
"""

from collections import Counter
from datetime import datetime
from typing import NamedTuple

from django.db.models import Count, Min, Sum

from batches import config
from batches.models import BatchJob
from batches.services.breaker import rest_in_words, resting
from batches.services.job_sizes import bounds_of, planned_size
from batches.services.slots import is_worth_a_job, part_of, slots_of
from batches.services.token_queue import Limit, limits
from batches.states import JOB_UNFINISHED, TO_SUBMIT, JobStatus

MOST_ITEMS = 50_000  # the provider's bound for one batch
# In these a job may still turn out to be too much for the provider's queue.
NOT_VALIDATED = (*TO_SUBMIT, JobStatus.VALIDATING)
Group = dict[str, str]


class Wait(NamedTuple):
    """What something waits for, and when that passes by itself, where it is known."""

    reason: str
    until: datetime | None = None


class Governor:
    """What may go out now, read once under the bundling lock and kept up to date by
    `took_job` as jobs are made.

    A group is what may share a file: provider, account, endpoint, model and workload.
    """

    def __init__(self, *, now: datetime) -> None:
        self._slots: int = config.get("BATCH_MAX_JOBS")
        self._by_hand: dict[str, int] = config.get("TOKEN_QUEUE_LIMITS")
        self._limits = limits()
        self._resting = resting(now)
        self._jobs: Counter[str] = Counter()
        self._at_provider: Counter[tuple[str, str]] = Counter()
        self._to_send: Counter[tuple[str, str]] = Counter()
        self._smallest_unsure: dict[tuple[str, str], int] = {}
        self._sizes: dict[str, int] = {}
        unfinished = BatchJob.objects.filter(status__in=JOB_UNFINISHED).order_by()
        for row in unfinished.values(
            "workload", "provider", "model", "status"
        ).annotate(
            jobs=Count("pk"), tokens=Sum("queued_tokens"), least=Min("queued_tokens")
        ):
            self._jobs[row["workload"]] += row["jobs"]
            queue = (row["provider"], row["model"])
            if row["status"] in TO_SUBMIT:
                self._to_send[queue] += row["tokens"]
            elif row["status"] != JobStatus.COMPLETED:
                self._at_provider[queue] += row["tokens"]
            if row["status"] in NOT_VALIDATED:
                self._note_unsure(queue, row["least"])

    def _note_unsure(self, queue: tuple[str, str], tokens: int) -> None:
        least = self._smallest_unsure.get(queue, tokens)
        self._smallest_unsure[queue] = min(least, tokens)

    # --- slots ------------------------------------------------------------------------

    def _free_slots(self, workload: str) -> int:
        own = slots_of(workload) - self._jobs[workload]
        return max(0, min(own, self._slots - self._jobs.total()))

    def slot_reason(self, group: Group) -> str:
        """What a further job of this group waits for; "" where it may be made."""
        workload = group["workload"]
        if self._jobs[workload] >= slots_of(workload):
            return f"one of {self._jobs[workload]} {workload} jobs to end"
        if self._jobs.total() >= self._slots:
            return f"one of {self._jobs.total()} jobs to end"
        return ""

    # --- sizes ------------------------------------------------------------------------

    def job_size(self, group: Group, waiting: int) -> int:
        """The most items of the group's next job, of so many that wait.

        As planned; and where more wait than fit into all slots, as many as it takes to
        have them all in the slots that are free. Bounds of the workload's own hold.
        """
        workload = group["workload"]
        if workload not in self._sizes:
            self._sizes[workload] = planned_size(workload)
        size = self._sizes[workload]
        if bounds_of(workload) is None and waiting > slots_of(workload) * size:
            free = max(self._free_slots(workload), 1)
            size = min(max(size, -(-waiting // free)), MOST_ITEMS)
            self._sizes[workload] = size  # for its next jobs too
        return size

    # --- the provider's queue ---------------------------------------------------------

    def _limit(self, group: Group) -> Limit | None:
        known = self._limits.get((group["provider"], group["model"]))
        by_hand = self._by_hand.get(group["model"])
        return known or (Limit(by_hand) if by_hand else None)

    def queue_left(self, group: Group) -> int | None:
        """The most input tokens of the next job; None where no limit is known, 0 where
        it has to wait. Where it is more, one item may go whatever its size.

        As much as lets the slots that are free fill the room, or as searches for the
        limit; once there is none, as much as a part of the queue for the one job that
        is made ahead.
        """
        known = self._limit(group)
        if known is None:
            return None
        queue = (group["provider"], group["model"])
        workload = group["workload"]
        part = part_of(known.kept_to, workload)
        taken = self._at_provider[queue] + self._to_send[queue]
        if probe := known.probe(taken, self._smallest_unsure.get(queue)):
            return probe
        room = known.kept_to - taken
        if is_worth_a_job(room, part):
            spread = room // max(self._free_slots(workload) - 1, 1)
            return max(min(room, max(part, spread)), 1)
        return 0 if self._to_send[queue] else part

    def queue_reason(self, group: Group) -> str:
        """What the next job waits for in the provider's queue; "" if for nothing."""
        limit = self._limit(group)
        if limit is None or self.queue_left(group) != 0:
            return ""
        queue = (group["provider"], group["model"])
        taken = self._at_provider[queue] + self._to_send[queue]
        return (
            f"room in the queue of {group['provider']} for {group['model']}: {taken:,} "
            f"of {limit.kept_to:,} input tokens are taken"
        )

    # --- the provider itself ----------------------------------------------------------

    def back_off_reason(self, group: Group) -> str:
        """Until when the provider is left alone, and why; "" if it is not."""
        state = self._resting.get(group["provider"])
        return rest_in_words(state) if state else ""

    # --- all of it --------------------------------------------------------------------

    def wait(self, group: Group) -> Wait | None:
        """What a further job of this group waits for; None where it may be made."""
        if reason := self.back_off_reason(group):
            return Wait(reason, self._resting[group["provider"]].open_until)
        if reason := self.slot_reason(group) or self.queue_reason(group):
            return Wait(reason)
        return None

    # --- as jobs are made -------------------------------------------------------------

    def took_job(self, group: Group, *, items: int, tokens: int) -> None:
        """A job was made of the group: it takes a slot, and tokens of the queue."""
        self._jobs[group["workload"]] += 1
        queue = (group["provider"], group["model"])
        self._to_send[queue] += tokens
        self._note_unsure(queue, tokens)
