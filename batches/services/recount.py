"""Recount: every figure that is kept beside the rows it sums, compared with those rows.

Items and attempts are the truth; shares, job and run counters, error counts and the
hourly rollup follow from them. Without constraints on the hot tables this is also where
an orphan would be found.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, F, Model, OuterRef, Q, QuerySet, Sum

from batches.models import (
    BatchItem,
    BatchJob,
    HourlyUsage,
    ItemAttempt,
    ItemRequest,
    JobShare,
    JobTally,
    OpenItem,
    Run,
    TrackRecord,
)
from batches.services.actuals import UNPRICED
from batches.states import (
    ITEM_FINAL,
    ITEM_OPEN,
    JUDGED,
    AttemptOutcome,
    ItemStatus,
)
from batches.workloads import all_workloads

SUMS = ("input_tokens", "cached_tokens", "output_tokens", "cost_nanos")
ENDED = {
    "complete": ItemStatus.COMPLETE,
    "failed": ItemStatus.FAILED,
    "cancelled": ItemStatus.CANCELLED,
}
SHARE_FIGURES = ("sent", *ENDED, "flagged", "returned", "follow_ups", "unpriced", *SUMS)
TALLY_KEY = ("job_id", "run_id", "outcome", "error_code")
USAGE_KEY = (
    "hour",
    "provider",
    "workload",
    "model",
    "owner_key",
    "account",
    "outcome",
    "error_code",
)

TRACK_KEY = ("workload", "model", "prompt_key", "trait")

Figures = dict[Any, Counter[str]]


@dataclass(frozen=True)
class Difference:
    """One stored figure that is not what the rows add up to."""

    table: str
    key: str
    column: str
    stored: int
    counted: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def recount(*, repair: bool) -> list[Difference]:
    """Find all differences and, with `repair`, write what was counted.

    Items that do not fit their open items, and orphans, are reported and never
    repaired: which of the two is wrong is not for a recount to say.
    """
    with transaction.atomic():
        differences = [
            *_recount_table(
                JobShare, _shares(), SHARE_FIGURES, ("job_id", "run_id"), repair
            ),
            *_recount_table(BatchJob, _jobs(), _JOB_FIGURES, ("pk",), repair),
            *_recount_table(Run, _runs(), _RUN_FIGURES, ("pk",), repair),
            *_recount_table(
                JobTally, _tallies(), ("attempts", *SUMS), TALLY_KEY, repair
            ),
            *_recount_table(
                HourlyUsage, _usage(), ("attempts", *SUMS), USAGE_KEY, repair
            ),
            *_recount_table(
                TrackRecord, _track_records(), ("judged",), TRACK_KEY, repair
            ),
        ]
        differences += _item_differences()
    return differences


_JOB_FIGURES = (
    "items_total",
    "items_returned",
    *(f"items_{name}" for name in ENDED),
    *SUMS,
)
_RUN_FIGURES = (
    "items_collected",
    *(f"unsent_{name}" for name in ENDED),
    "unsent_follow_ups",
    "reused",
    "saved_nanos",
)


def _recount_table(
    model: type[Model],
    counted: Figures,
    columns: Iterable[str],
    key_fields: tuple[str, ...],
    repair: bool,
) -> list[Difference]:
    """Compare a table's figures with those counted, and what lacks on either side."""
    columns = tuple(columns)
    table = model._meta.db_table
    differences = []
    stored = {
        row[: len(key_fields)]: dict(zip(columns, row[len(key_fields) :], strict=True))
        for row in model._default_manager.values_list(*key_fields, *columns).iterator()
    }
    for key in stored.keys() | {_as_tuple(key) for key in counted}:
        right = counted.get(key if len(key) > 1 else key[0], Counter())
        wrong = {
            column: right[column]
            for column in columns
            if stored.get(key, {}).get(column, 0) != right[column]
        }
        differences += [
            Difference(
                table,
                "/".join(map(str, key)),
                column,
                stored.get(key, {}).get(column, 0),
                value,
            )
            for column, value in wrong.items()
        ]
        if wrong and repair:
            model._default_manager.update_or_create(
                **dict(zip(key_fields, key, strict=True)), defaults=wrong
            )
    return sorted(differences, key=lambda d: (d.key, d.column))


def _as_tuple(key: Hashable) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _shares() -> Figures:
    figures: Figures = defaultdict(Counter)
    in_job = BatchItem.objects.filter(job__isnull=False)
    for job, run, status, count in _grouped(in_job, "job_id", "run_id", "status"):
        for name, final in ENDED.items():
            if status == final:
                figures[job, run][name] += count
                figures[job, run]["sent"] += count
    flying = OpenItem.objects.filter(job__isnull=False)
    for job, run, count in _grouped(flying, "job_id", "run_id"):
        figures[job, run]["sent"] += count
    sent = ItemAttempt.objects.filter(job__isnull=False)
    ended_here = Q(item__job=F("job"), item__status__in=ITEM_FINAL)
    for job, run, count in _grouped(sent.exclude(ended_here), "job_id", "item__run_id"):
        figures[job, run]["returned"] += count
        figures[job, run]["sent"] += count
    sums = {name: Sum(name) for name in SUMS}
    for job, run, *totals in (
        sent.values_list("job_id", "item__run_id").annotate(**sums).order_by()
    ):
        figures[job, run].update(dict(zip(SUMS, totals, strict=True)))
    unknown = sent.filter(UNPRICED, job__finished_at__isnull=False)
    for job, run, count in _grouped(unknown, "job_id", "item__run_id"):
        figures[job, run]["unpriced"] += count
    asked = BatchItem.objects.filter(parent__job__isnull=False)
    for job, run, count in _grouped(asked, "parent__job_id", "run_id"):
        figures[job, run]["follow_ups"] += count
    for job, run, count in _grouped(
        sent.filter(outcome=AttemptOutcome.APPLIED).exclude(checks_failed=""),
        "job_id",
        "item__run_id",
    ):
        figures[job, run]["flagged"] += count
    return figures


def _jobs() -> Figures:
    figures: Figures = defaultdict(Counter)
    for (job, _), share in _shares().items():
        figures[job]["items_total"] += share["sent"]
        for name in (*ENDED, "returned"):
            figures[job][f"items_{name}"] += share[name]
        for name in SUMS:
            figures[job][name] += share[name]
    return figures


def _runs() -> Figures:
    figures: Figures = defaultdict(Counter)
    first = BatchItem.objects.filter(parent__isnull=True)
    for run, count in _grouped(first, "run_id"):
        figures[run]["items_collected"] += count
    never_sent = BatchItem.objects.filter(job__isnull=True, status__in=ITEM_FINAL)
    for run, status, count in _grouped(never_sent, "run_id", "status"):
        for name, final in ENDED.items():
            if status == final:
                figures[run][f"unsent_{name}"] += count
    asked = BatchItem.objects.filter(parent__isnull=False, parent__job__isnull=True)
    for run, count in _grouped(asked, "run_id"):
        figures[run]["unsent_follow_ups"] += count
    reused = ItemAttempt.objects.filter(outcome=AttemptOutcome.REUSED)
    for run, saved, count in _grouped(
        reused, "item__run_id", "reused_from__cost_nanos"
    ):
        figures[run]["reused"] += count
        figures[run]["saved_nanos"] += count * (saved or 0)
    return figures


def _track_records() -> Figures:
    figures: Figures = defaultdict(Counter)
    judged = ItemAttempt.objects.filter(
        outcome__in=JUDGED, job__finished_at__isnull=False
    )
    known = all_workloads()
    for workload, model, prompt, target, count in _grouped(
        judged, "item__workload", "item__model", "prompt_version_id", "item__target"
    ):
        if workload in known:
            trait = known[workload].trait(target)
            figures[workload, model, prompt or 0, trait]["judged"] += count
    return figures


def _tallies() -> Figures:
    figures: Figures = defaultdict(Counter)
    sent = ItemAttempt.objects.filter(job__isnull=False)
    sums = {f"sum_{name}": Sum(name) for name in SUMS}
    keys = ("job_id", "item__run_id", "outcome", "error_code")
    for row in sent.values(*keys).annotate(n=Count("pk"), **sums).order_by():
        tally = figures[tuple(row[key] for key in keys)]
        tally["attempts"] = row["n"]
        for name in SUMS:
            tally[name] = row[f"sum_{name}"]
    return figures


def _usage() -> Figures:
    figures: Figures = defaultdict(Counter)
    attempts = ItemAttempt.objects.filter(job__finished_at__isnull=False)
    keys = (
        "job__finished_at",
        "job__provider",
        "job__workload",
        "job__model",
        "item__run__owner_id",
        "job__account",
        "outcome",
        "error_code",
    )
    sums = {f"sum_{name}": Sum(name) for name in SUMS}
    for row in attempts.values(*keys).annotate(n=Count("pk"), **sums).order_by():
        finished, provider, workload, model, owner, account, outcome, code = (
            row[key] for key in keys
        )
        hour = finished.replace(minute=0, second=0, microsecond=0)
        key = (hour, provider, workload, model, owner or 0, account, outcome, code)
        figures[key]["attempts"] += row["n"]
        for name in SUMS:
            figures[key][name] += row[f"sum_{name}"]
    return figures


def _grouped(rows: QuerySet[Any], *fields: str) -> Iterable[tuple[Any, ...]]:
    """Rows counted by fields: (value, …, count)."""
    return rows.values_list(*fields).annotate(count=Count("pk")).order_by()


def _item_differences() -> list[Difference]:
    """Items that contradict their open items or attempts, and rows without an item."""
    item, open_item = BatchItem._meta.db_table, OpenItem._meta.db_table
    lacks_open = BatchItem.objects.filter(status__in=ITEM_OPEN).filter(
        ~Exists(
            OpenItem.objects.filter(item_id=OuterRef("pk"), run_id=OuterRef("run_id"))
        )
    )
    still_open = OpenItem.objects.filter(
        ~Exists(BatchItem.objects.filter(pk=OuterRef("item_id"), status__in=ITEM_OPEN))
    )
    elsewhere = OpenItem.objects.exclude(job_id=F("item__job_id")).exclude(
        job__isnull=True, item__job__isnull=True
    )
    problems: list[tuple[str, str, Iterable[int]]] = [
        (item, "has no open item", _keys(lacks_open)),
        (open_item, "is open though its item is not", _keys(still_open)),
        (open_item, "is in another job than its item", _keys(elsewhere)),
        (
            ItemRequest._meta.db_table,
            "has no item",
            _keys(ItemRequest.objects.filter(~_has_item())),
        ),
        (
            ItemAttempt._meta.db_table,
            "has no item",
            _keys(ItemAttempt.objects.filter(~_has_item())),
        ),
        (
            item,
            "has no run",
            _keys(
                BatchItem.objects.filter(
                    ~Exists(Run.objects.filter(pk=OuterRef("run_id")))
                )
            ),
        ),
        (item, "does not cost what its attempts do", _wrong_sums()),
    ]
    return [
        Difference(table, str(key), column=what, stored=1, counted=0)
        for table, what, keys in problems
        for key in keys
    ]


def _has_item() -> Exists:
    return Exists(BatchItem.objects.filter(pk=OuterRef("item_id")))


def _keys(rows: QuerySet[Any]) -> Iterable[int]:
    return rows.order_by("pk").values_list("pk", flat=True)


def _wrong_sums() -> list[int]:
    costs: Mapping[int, int] = dict(
        ItemAttempt.objects.filter(cost_nanos__gt=0)
        .values_list("item_id")
        .annotate(cost=Sum("cost_nanos"))
        .order_by()
    )
    stored = dict(
        BatchItem.objects.filter(cost_nanos__gt=0).values_list("pk", "cost_nanos")
    )
    return sorted(
        key for key in costs.keys() | stored.keys() if costs.get(key) != stored.get(key)
    )
