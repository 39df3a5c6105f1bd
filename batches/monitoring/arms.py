"""Prompts side by side: what became of the items of runs, by prompt version.

The figures of all arms add up to those of their runs, which are kept elsewhere
(`figures_of_runs`); each page shows both.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import StringIO
from itertools import accumulate

from django.db.models import BigIntegerField, Count, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from batches.models import BatchItem, ItemAttempt, PromptVersion, Run
from batches.models.money import to_usd
from batches.providers.registry import SANDBOX
from batches.services.lifecycle import RunFigures, figures_of_runs, sum_figures
from batches.states import AttemptOutcome, ItemStatus
from batches.workloads import Reception, all_workloads

MOST_RUNS = 500  # of a workload: the newest
MOST_ITEMS = 10_000  # on a page; a file has all
ALL_KEYS = 2**63 - 1


@dataclass(frozen=True)
class Arm:
    """What became of the items of one prompt version; None for items without one.

    `flagged` counts answers that did not pass an error-level check; `cost_nanos` has
    real and pretended money together, `sandbox_nanos` the pretended.
    """

    version: PromptVersion | None
    items: int
    complete: int
    failed: int
    cancelled: int
    flagged: int
    input_tokens: int
    output_tokens: int
    cost_nanos: int
    sandbox_nanos: int
    reception: Reception

    @property
    def open(self) -> int:
        return self.items - self.complete - self.failed - self.cancelled

    @property
    def real_nanos(self) -> int:
        return self.cost_nanos - self.sandbox_nanos

    @property
    def name(self) -> str:
        return str(self.version) if self.version else "without a prompt"

    @property
    def error_rate(self) -> float | None:
        """Failed items, of those that ended complete or failed; 0 to 1."""
        ended = self.complete + self.failed
        return self.failed / ended if ended else None

    @property
    def nanos_per_result(self) -> int | None:
        return self.cost_nanos // self.complete if self.complete else None


@dataclass(frozen=True)
class Comparison:
    """The arms of some runs of one workload, and those runs' own figures.

    Where `is_part`, the arms are of some of the runs' items, and do not add up to them.
    """

    runs: Sequence[Run]
    arms: list[Arm]
    total: RunFigures
    is_part: bool = False
    differences: list[str] = field(default_factory=list)


def compare_runs(
    workload: str, runs: Sequence[Run], *, most: int | None = None
) -> Comparison:
    """The arms of these runs, in the order of their versions' numbers.

    With `most` only so many items are looked at, those that were made first.
    """
    items = BatchItem.objects.filter(run__in=[run.pk for run in runs])
    if most is not None:
        items = _first(items, most)
    counted = items.values("prompt_version").annotate(
        items=Count("pk"),
        complete=Count("pk", filter=Q(status=ItemStatus.COMPLETE)),
        failed=Count("pk", filter=Q(status=ItemStatus.FAILED)),
        cancelled=Count("pk", filter=Q(status=ItemStatus.CANCELLED)),
        input_tokens_sum=Sum("input_tokens"),
        output_tokens_sum=Sum("output_tokens"),
        cost=Sum("cost_nanos"),
        sandbox=Sum("cost_nanos", filter=Q(provider=SANDBOX), default=0),
    )
    rows = list(counted.order_by())
    versions = PromptVersion.objects.in_bulk([row["prompt_version"] for row in rows])
    flagged = _flagged(items)
    known = all_workloads().get(workload)
    receptions = known.receptions(items) if known else {}
    arms = [
        Arm(
            version=versions.get(row["prompt_version"]),
            items=row["items"],
            complete=row["complete"],
            failed=row["failed"],
            cancelled=row["cancelled"],
            flagged=flagged.get(row["prompt_version"], 0),
            input_tokens=row["input_tokens_sum"],
            output_tokens=row["output_tokens_sum"],
            cost_nanos=row["cost"],
            sandbox_nanos=row["sandbox"],
            reception=receptions.get(row["prompt_version"], Reception()),
        )
        for row in rows
    ]
    arms.sort(key=lambda arm: arm.version.number if arm.version else 0)
    total = sum_figures(figures_of_runs(runs).values())
    if most is not None and total.items > most:
        return Comparison(runs, arms, total, is_part=True)
    return Comparison(runs, arms, total, differences=_differences(arms, total))


def compare_workload(
    workload: str, *, days: int, now: datetime, most: int | None = None
) -> Comparison:
    """The arms of a workload's runs of the last days; of the newest 500 at most.

    With `most`, of so many of the newest runs as have together so many items; of the
    newest run alone where it has more.
    """
    found = Run.objects.filter(
        workload=workload, created_at__gte=now - timedelta(days=days)
    )
    runs = list(found.order_by("-pk")[:MOST_RUNS])
    if most is not None:
        figures = figures_of_runs(runs)
        so_far = accumulate(figures[run.pk].items for run in runs)
        fitting = sum(1 for items in so_far if items <= most)
        runs = runs[: max(1, fitting)]
    return compare_runs(workload, runs, most=most)


def _first(items: QuerySet[BatchItem], most: int) -> QuerySet[BatchItem]:
    """The `most` of these with the lowest keys, as a range of keys."""
    behind = items.order_by("pk").values("pk")[most : most + 1]
    end = Coalesce(Subquery(behind), ALL_KEYS, output_field=BigIntegerField())
    return items.filter(pk__lt=end)


def _flagged(items: QuerySet[BatchItem]) -> dict[int | None, int]:
    answers = ItemAttempt.objects.filter(
        item__in=items.values("pk"), outcome=AttemptOutcome.APPLIED
    ).exclude(checks_failed="")
    counted = answers.values_list("prompt_version").annotate(n=Count("pk"))
    return dict(counted.order_by())


def _differences(arms: Sequence[Arm], total: RunFigures) -> list[str]:
    """Where the arms do not add up to the runs; while items are moved, say."""
    found = []
    for name in ("items", "complete", "failed", "cancelled", "cost_nanos"):
        ours, theirs = sum(getattr(arm, name) for arm in arms), getattr(total, name)
        if ours != theirs:
            found.append(f"{name}: {ours:,} in the arms, {theirs:,} in the runs")
    return found


COLUMNS = (
    *("prompt", "version", "label", "items", "complete", "failed", "cancelled"),
    *("open", "error_rate", "checks_failed", "input_tokens", "output_tokens"),
    *("cost_usd", "sandbox_cost_usd", "cost_per_result_usd", "results", "score"),
    *("approved", "edited", "rejected", "undecided"),
)


def as_csv(comparison: Comparison) -> str:
    """A row an arm, and the runs' own figures in the last one; money in dollars."""
    out = StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for arm in comparison.arms:
        got, each = arm.reception, arm.nanos_per_result
        writer.writerow(
            {
                "prompt": arm.name,
                "version": arm.version.number if arm.version else "",
                "label": arm.version.label.value if arm.version else "",
                "items": arm.items,
                "complete": arm.complete,
                "failed": arm.failed,
                "cancelled": arm.cancelled,
                "open": arm.open,
                "error_rate": _rounded(arm.error_rate, 4),
                "checks_failed": arm.flagged,
                "input_tokens": arm.input_tokens,
                "output_tokens": arm.output_tokens,
                "cost_usd": f"{to_usd(arm.cost_nanos):f}",
                "sandbox_cost_usd": f"{to_usd(arm.sandbox_nanos):f}",
                "cost_per_result_usd": "" if each is None else f"{to_usd(each):f}",
                "results": got.results,
                "score": _rounded(got.score, 1),
                "approved": got.approved,
                "edited": got.edited,
                "rejected": got.rejected,
                "undecided": got.undecided,
            }
        )
    total = comparison.total
    writer.writerow(
        {
            "prompt": "the runs themselves",
            "items": total.items,
            "complete": total.complete,
            "failed": total.failed,
            "cancelled": total.cancelled,
            "open": total.open,
            "cost_usd": f"{to_usd(total.cost_nanos):f}",
        }
    )
    return out.getvalue()


def _rounded(value: float | None, places: int) -> float | str:
    return "" if value is None else round(value, places)
