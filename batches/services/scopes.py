"""Steering of a workload, an account, or everything; and one door for all steering.

What is wide is paused by a hold, which keeps back what is in the pool and in unsent
jobs. To recall it is to hold it and to recall its jobs; to cancel it, or to reorder it,
is to do so to each of its runs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from django.db.models import Q, QuerySet

from batches.errors import BatchError, NotPossible
from batches.models import BatchJob, Hold, Run
from batches.querysets import RunQuerySet
from batches.services.budget import Purse
from batches.services.effects import (
    Outlook,
    of_hold,
    outlook_of_jobs,
    outlook_of_recall,
    outlook_of_runs,
    outlook_of_work,
)
from batches.services.holds import BadHold, lift_hold, raise_hold
from batches.services.prospects import (
    Prospect,
    prospect_of,
    prospect_of_resumed,
    prospect_of_runs,
    tightest_cap_of,
)
from batches.services.steering import (
    cancel_job,
    cancel_run,
    pause_job,
    pause_run,
    recall_job,
    recall_jobs,
    recall_run,
    resume_job,
    resume_run,
    set_priority,
)
from batches.states import HoldScope, Priority
from batches.workloads import get_workload

BY_HAND = "by_hand"  # the code of a hold that a person raised

Verb = Literal["pause", "recall", "resume", "cancel", "priority"]
VERBS: tuple[Verb, ...] = ("pause", "recall", "resume", "cancel", "priority")


@dataclass(frozen=True)
class Scope:
    """A workload or an account, by its key, or everything."""

    scope: HoldScope
    key: str = ""

    def __str__(self) -> str:
        return self._hold().what()

    def covered(self) -> Q:
        """What it covers, of open items or jobs."""
        return of_hold(self._hold())

    def runs(self) -> RunQuerySet:
        """Its runs that are not finished, oldest first."""
        return Run.objects.unfinished().filter(self.covered()).order_by("pk")

    def _hold(self) -> Hold:
        return Hold(scope=self.scope, key=self.key)


def check_scope(target: Scope) -> Scope:
    """The scope, if there is such a thing; raises BadHold, UnknownWorkload."""
    if target.scope == HoldScope.WORKLOAD:
        get_workload(target.key)
    if target.scope == HoldScope.ACCOUNT and not target.key:
        raise BadHold(
            "Name the account: work without one is steered by its kind or its runs."
        )
    return target


# --- holds ----------------------------------------------------------------------------


def hold_work(scope: HoldScope, *, key: str = "", reason: str, by: str) -> Hold:
    """Keep new work from going out: all of it, or what `key` names.

    What is at the provider is read all the same. Raises BadHold for a key that is
    missing or too much, NotPossible where it is on hold by hand already.
    """
    if not raise_hold(scope, BY_HAND, reason, key=key, by=by):
        raise NotPossible(
            "That is on hold by hand already; lift the hold there is to give another "
            "reason."
        )
    return _hold_by_hand(scope, key).get()


def lift(hold: Hold, *, by: str) -> Hold:
    """Let held work go. Raises NotPossible for a hold that was lifted before."""
    if not lift_hold(hold, by=by):
        raise NotPossible(f"The hold on {hold.what()} was lifted before.")
    hold.refresh_from_db()
    return hold


def recall_held(hold: Hold, *, by: str) -> list[BatchJob]:
    """Recall the jobs that a hold covers; what comes back waits under it.

    Raises NotPossible where the hold was lifted, and as `recall_jobs` does.
    """
    if not Hold.objects.active().filter(pk=hold.pk).exists():
        raise NotPossible(
            f"The hold on {hold.what()} was lifted: what is recalled would go out "
            "again at once. Raise a new one first."
        )
    return recall_jobs(BatchJob.objects.filter(of_hold(hold)), by=by)


def _hold_by_hand(scope: HoldScope, key: str) -> QuerySet[Hold]:
    return Hold.objects.active().filter(scope=scope, key=key, code=BY_HAND)


# --- one door -------------------------------------------------------------------------

Target = Run | BatchJob | Scope


@dataclass
class Steered:
    """How many rows an act worked for, of how many; and what kept it from the others.

    Where a provider could not be told, what is wanted is written down all the same, and
    polling tells it.
    """

    done: int = 0
    chosen: int = 1
    trouble: list[str] = field(default_factory=list)


def foresee(verb: Verb, target: Target) -> Outlook:
    """What an act would reach; nothing is changed."""
    if isinstance(target, Run):
        return outlook_of_runs(target)
    if isinstance(target, BatchJob):
        is_recall = verb == "recall"
        return (outlook_of_recall if is_recall else outlook_of_jobs)(target)
    if verb == "cancel":
        return outlook_of_runs(*target.runs(), together=True)
    return outlook_of_work(target.covered())


def foresee_cost(verb: Verb, target: Target) -> tuple[Prospect, Purse | None] | None:
    """What an act would send, and the cap that has least left for it; None for an act
    that sends nothing."""
    if verb != "resume":
        return None
    if isinstance(target, Run):
        return prospect_of_runs(target), tightest_cap_of([target])
    if isinstance(target, BatchJob):
        return prospect_of_resumed(target), tightest_cap_of([target])
    return prospect_of(target.covered()), tightest_cap_of(target.runs())


def steer(
    verb: Verb,
    target: Target,
    *,
    by: str,
    reason: str = "",
    priority: Priority = Priority.NORMAL,
) -> Steered:
    """Do it. Raises NotPossible, and whatever else it meets with a single row."""
    if isinstance(target, Scope):
        return _steer_scope(verb, target, by=by, reason=reason, priority=priority)
    acts: dict[Verb, Callable[..., object]] = (
        {
            "pause": pause_run,
            "recall": recall_run,
            "resume": resume_run,
            "cancel": cancel_run,
            "priority": partial(set_priority, priority=priority),
        }
        if isinstance(target, Run)
        else {
            "pause": pause_job,
            "recall": recall_job,
            "resume": resume_job,
            "cancel": cancel_job,
        }
    )
    if verb not in acts:
        raise NotPossible("Priorities are of runs: what is in a job has its place.")
    acts[verb](target, by=by)
    return Steered(done=1)


def _steer_scope(
    verb: Verb, target: Scope, *, by: str, reason: str, priority: Priority
) -> Steered:
    held = _hold_by_hand(target.scope, target.key)
    reason = reason or f"{verb} by hand"
    match verb:
        case "pause":
            hold_work(target.scope, key=target.key, reason=reason, by=by)
            return Steered(done=1)
        case "recall":
            raise_hold(target.scope, BY_HAND, reason, key=target.key, by=by)
            recalled = recall_held(held.get(), by=by)
            return Steered(len(recalled), len(recalled))
        case "resume":
            hold = held.first()
            if hold is None:
                raise NotPossible(f"There is no hold by hand on {target}.")
            lift(hold, by=by)
            return Steered(done=1)
        case "cancel":
            return _each(target.runs(), cancel_run, by=by)
        case "priority":
            runs = target.runs().filter(cancelled_at__isnull=True)
            return _each(runs, partial(set_priority, priority=priority), by=by)


def _each(runs: RunQuerySet, act: Callable[..., Run], *, by: str) -> Steered:
    """Do it to each run; one run's trouble does not keep the others."""
    steered = Steered(chosen=0)
    for run in list(runs):
        steered.chosen += 1
        try:
            act(run, by=by)
            steered.done += 1
        except BatchError as err:
            steered.trouble.append(str(err))
    return steered
