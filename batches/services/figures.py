"""What outcomes add to the figures of their job: shares, tallies and counters."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from django.db.models import F

from batches.models import BatchJob, JobShare, JobTally
from batches.services.attempts import APPLIED, Outcome
from batches.services.bulk import add_to_rows
from batches.services.lifecycle import SUMMED_FIELDS, ClosedItem
from batches.states import AttemptOutcome

TALLY_KEY = ("job", "run", "outcome", "error_code")

SHARE_COLUMN = {
    AttemptOutcome.APPLIED: "complete",
    AttemptOutcome.SPLIT: "complete",
    AttemptOutcome.FAILED: "failed",
    AttemptOutcome.RETURNED: "returned",
    AttemptOutcome.RETRIED: "returned",
    AttemptOutcome.CANCELLED: "cancelled",
}


def add_to_figures(
    job: BatchJob,
    won: Sequence[Outcome],
    closed: dict[int, ClosedItem],
    asked_for: Counter[int],
) -> None:
    """Add to this job's shares, tallies and own counters; in key order."""
    total: Counter[str] = Counter()
    tallies = []
    for run_id, outcomes in sorted(_by_run(won, closed).items()):
        share: Counter[str] = Counter()
        flagged = 0
        for (kind, code), some in sorted(_by_ending(outcomes).items()):
            sums = _sums(some)
            tallies.append((job.pk, run_id, kind.value, code, len(some), *sums))
            share[SHARE_COLUMN[kind]] += len(some)
            if kind is APPLIED:
                flagged = sum([bool(o.verdict and o.verdict.errors) for o in some])
            share.update(dict(zip(SUMMED_FIELDS, sums, strict=True)))
        total += share
        share["follow_ups"] = asked_for[run_id]
        share["flagged"] = flagged
        JobShare.objects.filter(job=job, run_id=run_id).update(
            **{name: F(name) + n for name, n in share.items() if n}
        )
    add_to_rows(JobTally, TALLY_KEY, ("attempts", *SUMMED_FIELDS), tallies)
    columns = {name: f"items_{name}" for name in SHARE_COLUMN.values()}
    added = {
        columns.get(name, name): F(columns.get(name, name)) + n
        for name, n in total.items()
    }
    if added:
        BatchJob.objects.filter(pk=job.pk).update(**added)


def _by_run(
    won: Sequence[Outcome], closed: dict[int, ClosedItem]
) -> Mapping[int, Sequence[Outcome]]:
    runs = {item.run_id for item in closed.values()}
    if len(runs) == 1:  # most jobs are of one run
        return dict.fromkeys(runs, won)
    by_run: defaultdict[int, list[Outcome]] = defaultdict(list)
    for outcome in won:
        by_run[closed[outcome.item_id].run_id].append(outcome)
    return by_run


def _by_ending(
    outcomes: Sequence[Outcome],
) -> dict[tuple[AttemptOutcome, str], list[Outcome]]:
    endings: dict[tuple[AttemptOutcome, str], list[Outcome]] = {}
    for kind, some in _by_kind(outcomes).items():
        if kind is APPLIED and some:
            endings[kind, ""] = some
            continue
        for outcome in some:
            endings.setdefault((kind, outcome.error_code), []).append(outcome)
    return endings


def _sums(outcomes: Sequence[Outcome]) -> tuple[int, int, int, int]:
    """Of tokens and cost, in the order of SUMMED_FIELDS."""
    return (
        sum([o.read.input_tokens for o in outcomes]),
        sum([o.read.cached_tokens for o in outcomes]),
        sum([o.read.output_tokens for o in outcomes]),
        sum([o.cost_nanos for o in outcomes]),
    )


def _by_kind(won: Sequence[Outcome]) -> dict[AttemptOutcome, list[Outcome]]:
    applied: list[Outcome] = []
    kinds = {APPLIED: applied}
    for outcome in won:
        if outcome.outcome is APPLIED:  # nearly all: they cost no lookup
            applied.append(outcome)
        else:
            kinds.setdefault(outcome.outcome, []).append(outcome)
    return kinds
