"""What whoever asked for a run is told of it: theirs alone, how far, what happened."""

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User

from batches.models import Run
from batches.querysets import EventQuerySet, RunQuerySet
from batches.services.lifecycle import RunFigures
from batches.states import AT_PROVIDER, RUN_FINAL, EventKind

# The seven that followers of a run know; others are for operators.
FOLLOWED = tuple(kind for kind in EventKind if kind.value.startswith("job:"))


def runs_of(owner: User) -> RunQuerySet:
    return Run.objects.filter(owner=owner)


def run_of(owner: User, public_id: UUID) -> Run | None:
    """The owner's run with this id; None also for what is somebody else's."""
    run: Run | None = runs_of(owner).filter(public_id=public_id).first()
    return run


def progress_of(run: Run, figures: RunFigures) -> int:
    """Percent of a run's items that have ended; 100 only where the run has."""
    if run.status in RUN_FINAL:
        return 100
    ended = figures.items - figures.open
    return min(99, 100 * ended // figures.items) if figures.items else 0


def answered_at_provider(run: Run) -> int:
    """How many of a run's items in unfinished batches are answered there, as far as the
    provider said; about, where a batch has items of other runs too."""
    shares = run.shares.filter(job__status__in=AT_PROVIDER, job__provider_total__gt=0)
    rows = shares.values_list(
        "sent", "job__provider_total", "job__provider_completed", "job__provider_failed"
    )
    return sum(
        sent * (completed + failed) // total for sent, total, completed, failed in rows
    )


def events_of(run: Run, *, after: int = 0) -> EventQuerySet:
    """What happened to a run since an event, oldest first; no progress where it asked
    for none."""
    kinds = set(FOLLOWED)
    if run.options.get("notify_progress") is False:
        kinds.discard(EventKind.RUN_PROGRESS)
    found: EventQuerySet = run.events.filter(kind__in=kinds, pk__gt=after)
    return found.oldest_first()


def event_data(event: Any) -> dict[str, Any]:
    """What an event says, with its message where it has one."""
    said: dict[str, Any] = event.data
    return said | ({"message": event.message} if event.message else {})
