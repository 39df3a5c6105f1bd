"""Runs of one owner in the words of this family, and how they came out."""

from collections import Counter
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Count, F, Sum
from django.utils import timezone

from batches.api.batch_jobs.shapes import PLAIN_RUN_STATUS
from batches.api.errors import NotFound
from batches.api.user_batches.schemas import (
    CountsOut,
    FailureOut,
    OutcomeOut,
    PriorityWord,
    QueueOut,
    ResultOut,
    UserEventOut,
    UserEventsOut,
    UserJobDetailOut,
    UserJobOut,
    UserJobsOut,
    UserStatsOut,
)
from batches.models import Event, JobShare, Run
from batches.monitoring.answers import Came, items_in_order, read_answers
from batches.monitoring.following import (
    event_data,
    events_of,
    progress_of,
    run_of,
    runs_of,
)
from batches.services.asking import mark_of_another
from batches.services.lifecycle import (
    RunFigures,
    figures_of_runs,
    run_figures,
    sum_figures,
)
from batches.states import Priority, RunStatus

PRIORITIES: dict[int, PriorityWord] = {
    Priority.LOW: "low",
    Priority.NORMAL: "normal",
    Priority.HIGH: "high",
}


def find_run(owner: User, public_id: UUID) -> Run:
    """The owner's run. Raises NotFound, also for what is somebody else's."""
    run = run_of(owner, public_id)
    if run is None:
        if Run.objects.filter(public_id=public_id).exists():
            mark_of_another()
        raise NotFound(f"You have no job {public_id}; list yours at /api/v1/ai/batch.")
    return run


def shown_list(owner: User, *, limit: int, offset: int) -> UserJobsOut:
    runs = list(runs_of(owner).newest_first()[offset : offset + limit])
    figures = figures_of_runs(runs)
    return UserJobsOut(
        jobs=[UserJobOut(**_facts(run, figures[run.pk])) for run in runs],
        total=runs_of(owner).count(),
        limit=limit,
        offset=offset,
    )


def shown_detail(
    run: Run, *, after: int, limit: int, with_content: bool
) -> UserJobDetailOut:
    figures = run_figures(run)
    outcome = None
    if run.finished_at is not None:
        outcome = _outcome(run, figures, after, limit, with_content=with_content)
    return UserJobDetailOut(**_facts(run, figures), result=outcome)


def plain_status(run: Run) -> Any:
    return PLAIN_RUN_STATUS[RunStatus(run.status)]


def _facts(run: Run, figures: RunFigures) -> dict[str, Any]:
    return {
        "job_id": run.public_id,
        "type": run.workload,
        "status": plain_status(run),
        "progress": progress_of(run, figures),
        "total_items": figures.items,
        "completed_items": figures.complete,
        "failed_items": figures.failed,
        "priority": PRIORITIES[run.priority],
        "created_at": run.created_at,
        "started_at": run.started_at,
        "completed_at": run.finished_at,
    }


# --- how it came out ------------------------------------------------------------------


def _outcome(
    run: Run, figures: RunFigures, after: int, limit: int, *, with_content: bool
) -> OutcomeOut:
    """A page of results and errors, in the order of the items."""
    page = list(items_in_order(run)[after : after + limit + 1])
    more, page = len(page) > limit, page[:limit]
    index = {item.pk: number for number, item in enumerate(page, start=after)}
    came = read_answers(page, with_content=with_content)
    not_done = figures.failed + figures.cancelled
    assert run.finished_at is not None  # noqa: S101 (the caller asked)
    spent = run.finished_at - (run.started_at or run.created_at)
    return OutcomeOut(
        job_id=run.public_id,
        status="partial"
        if figures.complete and not_done
        else "failed"
        if not_done
        else "completed",
        total_processed=figures.complete + figures.failed,
        success_count=figures.complete,
        failure_count=figures.failed,
        results=[
            ResultOut(**_place(one, index), data=one.data)
            for one in came
            if one.is_complete
        ]
        if with_content
        else None,
        errors=[
            FailureOut(
                **_place(one, index),
                code=one.code,
                message=one.message,
                retryable=one.may_pass,
            )
            for one in came
            if not one.is_complete
        ],
        processing_time=max(0, int(spent.total_seconds() * 1000)),
        next=after + limit if more else None,
    )


def _place(came: Came, index: dict[int, int]) -> dict[str, Any]:
    return {
        "index": index[came.item.pk],
        "subject": came.item.object_id,
        "target": came.item.target,
    }


# --- events and counts ----------------------------------------------------------------


def shown_events(run: Run, *, after: int, limit: int) -> UserEventsOut:
    page = list(events_of(run, after=after)[: limit + 1])
    more, page = len(page) > limit, page[:limit]
    return UserEventsOut(
        job_id=run.public_id,
        events=[shown_event(run, event) for event in page],
        next=page[-1].pk if more else None,
    )


def shown_event(run: Run, event: Event) -> UserEventOut:
    return UserEventOut(
        job_id=run.public_id,
        event_type=event.kind,
        event_data=event_data(event),
        created_at=event.created_at,
    )


def stats_of(owner: User) -> UserStatsOut:
    rows = runs_of(owner).order_by().values_list("status")
    by_status: Counter[str] = Counter()
    for status, count in rows.annotate(n=Count("pk")):
        by_status[PLAIN_RUN_STATUS[RunStatus(status)]] += count
    unfinished = list(runs_of(owner).unfinished())
    in_jobs = JobShare.objects.filter(run__in=unfinished)
    flying = in_jobs.aggregate(
        n=Sum(F("sent") - F("complete") - F("failed") - F("cancelled") - F("returned"))
    )["n"]
    waiting = sum_figures(figures_of_runs(unfinished).values()).open - (flying or 0)
    total = by_status.total()
    words = [word for word in CountsOut.model_fields if word != "total"]
    counts = {word: by_status[word] for word in words}
    return UserStatsOut(
        queue=QueueOut(
            total_jobs=total,
            **{f"{word}_jobs": count for word, count in counts.items()},
            queue_length=waiting,
            current_processing=by_status["processing"],
        ),
        jobs=CountsOut(total=total, **counts),
        timestamp=timezone.now(),
    )
