"""Canary and brake: a large run shows on a few answers what all of it would be worth.

A run over 100 items whose kind of work is new (few answers were judged of this
workload, model, prompt and trait) first sends a sample of 20 and holds the rest. Where
too few of its answers pass, and whenever a later job of any run comes back so, the run
is paused, says why and what was not spent, and asks a person: go on, or cancel?

An answer passes if its item is complete and no error-level check found anything.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count, F, Q
from django.db.models.functions import Coalesce

from batches import config
from batches.models import (
    BatchItem,
    BatchJob,
    ItemAttempt,
    JobShare,
    OpenItem,
    Run,
    TrackRecord,
)
from batches.models.money import to_usd
from batches.querysets import OpenItemQuerySet
from batches.services.alerts import close_alerts, raise_alert
from batches.services.bulk import add_to_rows, in_keys
from batches.services.effects import worst_case
from batches.services.events import record_event
from batches.states import (
    HOLDING_BACK,
    RUN_FINAL,
    AttemptOutcome,
    CanaryState,
    EventKind,
    ItemStatus,
    Severity,
)
from batches.workloads import all_workloads

LARGE = 100  # a run of more items than this sends a sample first
SAMPLE = 20
KNOWN = 50  # judged answers after which a kind of work needs no sample
FEWEST_JUDGED = 20  # in a job, for its ratio to mean anything
WORSE = 0.1  # two ratios as near as this may be the same by chance
CHECKS_NAMED = 5
ALERT = "low_pass_ratio"


class Kind(NamedTuple):
    """What a track record is kept for."""

    model: str
    prompt_key: int
    trait: str


class Candidate(NamedTuple):
    """A waiting item, with what a sample is spread over."""

    item_id: int
    model: str
    prompt_version_id: int | None
    target: str
    body_bytes: int
    fingerprint: bytes


# --- the sample -----------------------------------------------------------------------


def settle_samples(*, now: datetime) -> None:
    """Decide which runs need a sample, and let those go whose sample passed.

    Called under the bundling lock: nothing of these runs goes out meanwhile.
    """
    runs = Run.objects.unfinished().filter(
        canary_state__in=HOLDING_BACK, paused_at=None, cancelled_at=None
    )
    for run in runs.order_by("pk"):
        if run.canary_state == CanaryState.SAMPLING:
            _judge_sample(run, now)
        if run.canary_state == CanaryState.UNDECIDED:
            _decide(run, now)


def released(pool: OpenItemQuerySet) -> OpenItemQuerySet:
    """The pool without what its run's sample holds back."""
    sampling = Run.objects.unfinished().filter(canary_state=CanaryState.SAMPLING)
    sample = [key for run in sampling for key in run.canary_sample]
    free = ~Q(run__canary_state__in=HOLDING_BACK)
    return pool.filter(free | Q(item_id__in=sample)) if sample else pool.filter(free)


def _decide(run: Run, now: datetime) -> None:
    waiting = OpenItem.objects.filter(run=run, job__isnull=True)
    count = waiting.count()
    if count <= LARGE:
        if run.collected_at is not None:
            _set(run, canary_state=CanaryState.NOT_NEEDED)
        return  # else more may come
    sample = _choose(run, waiting)
    if not sample:
        _set(run, canary_state=CanaryState.NOT_NEEDED)
        return
    _set(run, canary_state=CanaryState.SAMPLING, canary_sample=sample)
    record_event(
        EventKind.RUN_SAMPLE,
        now=now,
        run=run,
        message=f"a sample of {len(sample)} goes first; {count - len(sample)} items "
        "wait for its answers",
        items=len(sample),
    )


def _choose(run: Run, waiting: OpenItemQuerySet) -> list[int]:
    """A sample of what is new in a run, spread over kind and length; in key order.

    Empty where nothing is new. Of equal requests one is enough.
    """
    workload = all_workloads().get(run.workload)
    if workload is None:
        return []
    by_kind: defaultdict[Kind, dict[bytes, Candidate]] = defaultdict(dict)
    rows = waiting.order_by("body_bytes", "item_id").values_list(*Candidate._fields)
    traits: dict[str, str] = {}
    for one in map(Candidate._make, rows.iterator()):
        trait = traits.get(one.target)
        if trait is None:
            trait = traits[one.target] = workload.trait(one.target)
        kind = Kind(one.model, one.prompt_version_id or 0, trait)
        by_kind[kind].setdefault(bytes(one.fingerprint), one)
    records = TrackRecord.objects.filter(workload=run.workload, judged__gte=KNOWN)
    known = {Kind(*row) for row in records.values_list(*Kind._fields)}
    new = {kind: list(by_kind[kind].values()) for kind in by_kind.keys() - known}
    return sorted(_spread(list(new.values())))


def _spread(groups: Sequence[Sequence[Candidate]]) -> list[int]:
    """At most 20 of these, alike many of each group, at even steps of its length."""
    places = Counter[int]()
    largest = sorted(range(len(groups)), key=lambda n: -len(groups[n]))
    while places.total() < SAMPLE:
        roomy = [n for n in largest if places[n] < len(groups[n])]
        if not roomy:
            break
        for n in roomy[: SAMPLE - places.total()]:
            places[n] += 1
    chosen = []
    for n, wanted in places.items():
        last, group = len(groups[n]) - 1, groups[n]
        steps = [last // 2] if wanted == 1 else range(wanted)
        for step in steps:
            place = step if wanted == 1 else round(step * last / (wanted - 1))
            chosen.append(group[place].item_id)
    return chosen


def _judge_sample(run: Run, now: datetime) -> None:
    """Once no item of the sample is open any more: go on, brake, or choose again."""
    if in_keys(OpenItem.objects.all(), "item_id", run.canary_sample).exists():
        return
    found = in_keys(BatchItem.objects.all(), "pk", run.canary_sample).filter(
        status__in=(ItemStatus.COMPLETE, ItemStatus.FAILED)
    )
    attempts = {
        attempt.item_id: attempt
        for attempt in ItemAttempt.objects.filter(item__in=found)
        .order_by("pk")
        .only("item_id", "outcome", "error_code", "checks_failed")
    }
    if not attempts:  # all of it was cancelled
        _set(run, canary_state=CanaryState.UNDECIDED, canary_sample=[])
        return
    failures = [_what_failed(attempt) for attempt in attempts.values()]
    passed = sum(not what for what in failures)
    judged = len(failures)
    if passed / judged < config.get("BATCH_MIN_PASS_RATIO"):
        _set(run, canary_state=CanaryState.BRAKED)
        _brake(run, None, judged, passed, failures, now)
        return
    _set(run, canary_state=CanaryState.PASSED)
    record_event(
        EventKind.RUN_SAMPLE,
        now=now,
        run=run,
        message=f"{passed} of the {judged} answers to the sample passed; the rest goes",
        judged=judged,
        passed=passed,
    )


def _what_failed(attempt: ItemAttempt) -> list[str]:
    """The checks that an answer did not pass, or why there is none; empty if it did."""
    if attempt.outcome == AttemptOutcome.FAILED:
        return [attempt.error_code]
    return attempt.checks_failed.split(",") if attempt.checks_failed else []


# --- later jobs -----------------------------------------------------------------------


def watch_job(job: BatchJob, *, now: datetime) -> None:
    """Brake the runs whose answers in a job that ended passed too seldom."""
    lowest = config.get("BATCH_MIN_PASS_RATIO")
    for share in JobShare.objects.filter(job=job).select_related("run").order_by("run"):
        run = share.run
        is_watched = run.canary_state not in (CanaryState.OFF, CanaryState.SAMPLING)
        if not is_watched or run.status in RUN_FINAL or run.cancelled_at:
            continue
        if share.judged < FEWEST_JUDGED or _ratio(share) >= _threshold(run, lowest):
            continue
        tried = ItemAttempt.objects.filter(
            job=job, item__in=BatchItem.objects.filter(job=job, run=run)
        ).filter(~Q(checks_failed="") | Q(outcome=AttemptOutcome.FAILED))
        failures = [
            _what_failed(attempt)
            for attempt in tried.only("outcome", "error_code", "checks_failed")
        ]
        _brake(run, job, share.judged, share.passed, failures, now)


def _ratio(share: JobShare) -> float:
    return share.passed / share.judged


def _threshold(run: Run, lowest: float) -> float:
    """What a person accepted for a run brakes it no more, unless it gets far worse."""
    if run.brake is None:
        return lowest
    return float(min(lowest, run.brake["passed"] / run.brake["judged"] - WORSE))


# --- the brake ------------------------------------------------------------------------


def _brake(
    run: Run,
    job: BatchJob | None,
    judged: int,
    passed: int,
    failures: Iterable[list[str]],
    now: datetime,
) -> None:
    """Pause a run, and say why, what was not spent, and what a person can do.

    A run of which all is sent goes on: there is nothing to stop.
    """
    waits = worst_case(OpenItem.objects.filter(run=run, job__isnull=True))
    if not waits.items and run.collected_at:
        return
    checks = Counter(check for what in failures for check in what)
    brake: dict[str, Any] = {
        "job": job.pk if job else None,
        "judged": judged,
        "passed": passed,
        "checks": dict(checks.most_common(CHECKS_NAMED)),
        "items": waits.items,
        "nanos": waits.nanos,
    }
    Run.objects.filter(pk=run.pk).update(
        paused_at=Coalesce(F("paused_at"), now), brake=brake
    )
    run.brake = brake
    record_event(
        EventKind.RUN_BRAKED, now=now, run=run, job=job, message=brake_in_words(run)
    )
    raise_alert(
        ALERT,
        f"Run {run.pk} is paused: {brake_in_words(run)} {QUESTION}",
        key=f"run {run.pk}",
        severity=Severity.CRITICAL,
        run=run,
    )


QUESTION = (
    "Look at some of its answers. Resume the run to go on anyway, or cancel it, mend "
    "the prompt or the model, and start another."
)


def brake_in_words(run: Run) -> str:
    """Why a run was braked: the ratio, the commonest checks, the money not spent."""
    brake = run.brake or {}
    where = f"of job {brake['job']}" if brake["job"] else "of its sample"
    checks = ", ".join(f"{count} × {check}" for check, count in brake["checks"].items())
    return (
        f"only {brake['passed']} of {brake['judged']} answers {where} passed"
        f"{f' ({checks})' if checks else ''}. {brake['items']} items wait, and at most "
        f"${to_usd(brake['nanos']):f} is not spent on them."
    )


def release_brake(run: Run, *, by: str) -> None:
    """Note that a person decided about a braked run, in the caller's transaction."""
    if run.brake is None or not run.is_braked:
        return
    run.brake = {**run.brake, "resumed_by": by}
    Run.objects.filter(pk=run.pk).update(brake=run.brake)
    close_alerts(ALERT, key=f"run {run.pk}", by=by)


# --- what waits -----------------------------------------------------------------------


def held_back(run: Run) -> int:
    """How many items of a run wait for the answers to its sample."""
    if run.canary_state not in HOLDING_BACK:
        return 0
    waiting = OpenItem.objects.filter(run=run, job__isnull=True)
    return waiting.exclude(item_id__in=run.canary_sample).count()


def holds_back(run: Run, item_id: int) -> bool:
    return run.canary_state in HOLDING_BACK and item_id not in run.canary_sample


def waits_for_sample(run: Run) -> str:
    """What the held items wait for, after `12 items wait for`."""
    if run.canary_state == CanaryState.UNDECIDED:
        return (
            "the rest to be collected: whether a sample goes first depends on how many "
            "items there are"
        )
    return (
        f"the answers to a sample of {len(run.canary_sample)}, which went first "
        "because this kind of work is new here"
    )


# --- the track record -----------------------------------------------------------------


def count_judged(job: BatchJob) -> None:
    """Add what was judged in a job that ended, by prompt and trait; in key order."""
    workload = all_workloads().get(job.workload)
    if workload is None:
        return
    ended = BatchItem.objects.filter(
        job=job, status__in=(ItemStatus.COMPLETE, ItemStatus.FAILED)
    )
    counts: Counter[Kind] = Counter()
    groups = ended.values_list("prompt_version_id", "target").annotate(n=Count("pk"))
    for prompt, target, count in groups.order_by():
        counts[Kind(job.model, prompt or 0, workload.trait(target))] += count
    add_to_rows(
        TrackRecord,
        ("workload", *Kind._fields),
        ("judged",),
        [(job.workload, *kind, count) for kind, count in sorted(counts.items())],
    )


def _set(run: Run, **changes: Any) -> None:
    Run.objects.filter(pk=run.pk).update(**changes)
    for name, value in changes.items():
        setattr(run, name, value)
