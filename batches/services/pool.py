"""The pool of waiting items, and the one order in which they go out.

What goes first: the higher priority, which waiting raises; then the owner who has the
fewest items in flight; then the older item. So nothing starves, and nobody takes all.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush, heapreplace

from django.db.models import Count, F, Max, Min, Q, Sum, Window
from django.db.models.functions import RowNumber

from batches.models import JobShare, OpenItem
from batches.querysets import OpenItemQuerySet
from batches.services.budget import Payer
from batches.services.canary import released
from batches.services.reuse import Twins
from batches.states import Priority

GROUP = ("provider", "account", "endpoint", "model", "workload")
# Each of these that something has waited counts like one step of priority.
WAIT_FOR_A_STEP = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One waiting item, with what bundling needs to know of it."""

    item_id: int
    run_id: int
    body_bytes: int
    input_tokens: int
    output_limit: int


WANTED_COLUMNS = ("item_id", "run_id", "body_bytes", "input_tokens", "output_limit")


@dataclass
class Lane:
    """What waits of one run, alike in all that a file has in common."""

    group: dict[str, str]
    payer: Payer
    waiting: int
    first_item: int
    level: int
    oldest: datetime
    is_impatient: bool
    sent: int = 0
    reason: str = ""  # why no more of it goes
    until: datetime | None = None  # when that passes by itself, where it is known
    is_short: bool = False  # of money, or of items that a cap allows

    @property
    def run_id(self) -> int:
        return self.payer.run_id or 0

    @property
    def left(self) -> int:
        return self.waiting - self.sent

    @property
    def is_open(self) -> bool:
        """Whether more of it may go out in this pass."""
        return self.left > 0 and not self.reason


@dataclass
class Pool:
    """Every lane, and how many items each owner has in flight; kept up while choosing.

    Read under the bundling lock.
    """

    now: datetime
    twins: Twins
    lanes: dict[tuple[str, ...], list[Lane]] = field(default_factory=dict)
    in_flight: Counter[int | None] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for lane in _lanes(self.waiting(), self.now):
            place = tuple(lane.group[name] for name in GROUP)
            self.lanes.setdefault(place, []).append(lane)
        self.in_flight.update(_in_flight())

    def waiting(self) -> OpenItemQuerySet:
        """What may go out now, as far as its runs, their samples and twins go."""
        waiting = OpenItem.objects.waiting(self.now).filter(run__paused_at=None)
        return self.twins.leave_in(released(waiting))

    def most_wanted_group(self) -> list[Lane]:
        """The open lanes of that group whose first item is wanted most of all."""
        groups = [
            open_lanes
            for lanes in self.lanes.values()
            if (open_lanes := [lane for lane in lanes if lane.is_open])
        ]
        return min(groups, key=lambda lanes: min(map(self.rank, lanes)), default=[])

    def rank(self, lane: Lane) -> tuple[int, int, int]:
        """Lower goes first."""
        return (-lane.level, self.in_flight[lane.payer.owner_id], lane.first_item)

    def items(self, lanes: Sequence[Lane], most: int) -> dict[int, list[Wanted]]:
        """{run: its next items, oldest first}; of each at most `most`."""
        waiting = self.waiting().filter(**lanes[0].group)
        rows: Iterable[tuple[int, ...]]
        if len(lanes) == 1:
            one = waiting.filter(run=lanes[0].run_id).order_by("item_id")
            rows = one.values_list(*WANTED_COLUMNS)[:most]
        else:
            place = Window(
                RowNumber(), partition_by=F("run_id"), order_by=F("item_id").asc()
            )
            several = waiting.filter(run__in=[lane.run_id for lane in lanes])
            rows = (
                several.annotate(place=place)
                .filter(place__lte=most)
                .order_by("run_id", "item_id")
                .values_list(*WANTED_COLUMNS)
            )
        found: dict[int, list[Wanted]] = {lane.run_id: [] for lane in lanes}
        for row in rows:
            item = Wanted(*row)
            found[item.run_id].append(item)
        return found


class Order:
    """Items of several lanes, one by one in the order of the pool.

    Whoever takes an item says so (`took`), as it may change whose turn is next; a lane
    that cannot go on is left out (`skip`).
    """

    def __init__(
        self, pool: Pool, lanes: Sequence[Lane], items: dict[int, list[Wanted]]
    ) -> None:
        self._in_flight = pool.in_flight
        self._lanes = lanes
        self._items = [items[lane.run_id] for lane in lanes]
        self._next = [0] * len(lanes)
        self._heap = [self._entry(i) for i in range(len(lanes)) if self._items[i]]
        heapify(self._heap)

    def _entry(self, place: int) -> tuple[int, int, int, int]:
        lane = self._lanes[place]
        item = self._items[place][self._next[place]]
        flying = self._in_flight[lane.payer.owner_id]
        return (-lane.level, flying, item.item_id, place)

    def first(self) -> tuple[Lane, Wanted] | None:
        """Whose turn it is."""
        while self._heap:
            place = self._heap[0][3]
            entry = self._entry(place)
            if entry == self._heap[0]:
                return self._lanes[place], self._items[place][self._next[place]]
            heapreplace(self._heap, entry)  # its owner got something meanwhile
        return None

    def took(self) -> None:
        """The first was taken."""
        place = heappop(self._heap)[3]
        lane = self._lanes[place]
        lane.sent += 1
        self._in_flight[lane.payer.owner_id] += 1
        self._move_on(place)

    def _move_on(self, place: int) -> None:
        items = self._items[place]
        self._lanes[place].first_item = items[self._next[place]].item_id + 1
        self._next[place] += 1
        if self._next[place] < len(items):
            heappush(self._heap, self._entry(place))

    def pass_over(self) -> None:
        """The first stays in the pool; its lane goes on with the next."""
        place = heappop(self._heap)[3]
        self._lanes[place].waiting -= 1
        self._move_on(place)

    def skip(self) -> None:
        """The lane of the first goes no further."""
        heappop(self._heap)


def _lanes(waiting: OpenItemQuerySet, now: datetime) -> Iterable[Lane]:
    impatient = Q(run__may_wait=False) | Q(priority=Priority.HIGH)
    rows = (
        waiting.values(
            *GROUP,
            "run_id",
            "run__owner_id",
            "run__owner__username",
            "run__budget_nanos",
        )
        .annotate(
            waiting=Count("item"),
            first=Min("item_id"),
            most_priority=Max("priority"),
            oldest=Min("ready_at"),
            impatient=Count("item", filter=impatient),
        )
        .order_by(*GROUP, "run_id")
    )
    for row in rows:
        waited = max(now - row["oldest"], timedelta(0))
        yield Lane(
            group={name: row[name] for name in GROUP},
            payer=Payer(
                workload=row["workload"],
                account=row["account"],
                owner_id=row["run__owner_id"],
                owner_name=row["run__owner__username"] or "",
                run_id=row["run_id"],
                budget_nanos=row["run__budget_nanos"],
            ),
            waiting=row["waiting"],
            first_item=row["first"],
            level=row["most_priority"] + waited // WAIT_FOR_A_STEP,
            oldest=row["oldest"],
            is_impatient=bool(row["impatient"]),
        )


def _in_flight() -> dict[int | None, int]:
    """How many items of each owner are in jobs that are not finished."""
    sums = (
        JobShare.objects.filter(job__finished_at__isnull=True)
        .values("run__owner_id")
        .annotate(
            flying=Sum(
                F("sent") - F("complete") - F("failed") - F("cancelled") - F("returned")
            )
        )
        .order_by()
    )
    return {row["run__owner_id"]: row["flying"] for row in sums}
