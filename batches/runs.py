"""Runs from code: ask for work, wait for it, read what came of it.

    from batches import start_run

    run = start_run("taglines", limit=20, budget_usd=1)
    run.wait(timeout_seconds=3600)
    for result in run.results():
        print(result.object_id, result.status, result.answer)

This module is for the code of others and is kept as it is; the services behind it are
not. `batches.signals` tells of runs and items as they end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User

from batches.errors import BadOptions, BatchError
from batches.models import BatchItem, ItemAttempt, Run
from batches.models.money import to_nanos, to_usd
from batches.services import collection
from batches.services.lifecycle import RunFigures, run_figures
from batches.services.pipeline import process_until_done
from batches.states import (
    BACK,
    RUN_FINAL,
    AttemptOutcome,
    ItemStatus,
    Priority,
    RunStatus,
    Trigger,
)

RESULTS_AT_ONCE = 500
LOOK_EVERY_SECONDS = 1.0


class NotFinished(BatchError, TimeoutError):
    """A run was not at its end when the time to wait for it was over; it goes on."""

    code = "not_finished"


@dataclass(frozen=True)
class Result:
    """What became of one item: its answer, or why there is none.

    `answer` is the model's text as it came, JSON where the workload asked for JSON;
    `error_code` and `error_message` are empty unless the item failed. `object_id` is
    the subject's key as text, and `target` the part of it, in the workload's words.
    """

    item_id: int
    parent_item_id: int | None
    content_type_id: int
    object_id: str
    target: str
    status: ItemStatus
    answer: str
    error_code: str
    error_message: str
    cost_usd: Decimal


class StartedRun:
    """A run that was asked for. `row` is its `batches.models.Run`."""

    def __init__(self, row: Run) -> None:
        self.row = row

    def __repr__(self) -> str:
        return f"<StartedRun {self.row}: {self.status}>"

    @property
    def id(self) -> UUID:
        """What `find_run`, the API and the commands know it by."""
        return self.row.public_id

    @property
    def status(self) -> RunStatus:
        """Where it stands now."""
        self.row.refresh_from_db()
        return RunStatus(self.row.status)

    def figures(self) -> RunFigures:
        """Items by what became of them, and what it cost until now."""
        self.row.refresh_from_db()
        return run_figures(self.row)

    def wait(
        self, timeout_seconds: float | None = None, *, work_here: bool = False
    ) -> RunStatus:
        """Wait until the run is at its end; returns how it ended.

        Somebody has to do the work meanwhile: the worker (`manage.py up`), or with
        `work_here` this process, as `process_batches --until-done` does.
        Raises NotFinished, saying what it waits for, when the time is over, or when
        nothing more can be done here without a person. A batch may take a day.
        """
        deadline = None
        if timeout_seconds is not None:
            deadline = time.monotonic() + timeout_seconds
        passes = process_until_done() if work_here else None
        while (status := self.status) not in RUN_FINAL:
            if deadline is not None and time.monotonic() >= deadline:
                raise NotFinished(self._what_it_waits_for())
            if passes is None:
                time.sleep(LOOK_EVERY_SECONDS)
            elif next(passes, None) is None and self.status not in RUN_FINAL:
                raise NotFinished(self._what_it_waits_for())
        return status

    def _what_it_waits_for(self) -> str:
        figures = self.figures()
        state = self.row.get_status_display().lower()
        said = [f"Run {self.row.pk} is {state}: {figures.open} items are open."]
        if self.row.paused_at:
            said.append("It is paused; resume it in the admin.")
        if self.row.waiting_reason:
            said.append(f"It waits: {self.row.waiting_reason.rstrip('.')}.")
        said.append(f"`manage.py explain run {self.row.pk}` tells more.")
        return " ".join(said)

    def results(self) -> Iterator[Result]:
        """What became of each item until now, in the order of their making.

        Read in pages, so that a run of any size takes little memory. What a run was
        answered from equal requests, at no cost, is among it.
        """
        last = 0
        while True:
            rows = BatchItem.objects.filter(run=self.row, pk__gt=last).order_by("pk")
            page = list(rows[:RESULTS_AT_ONCE])
            if not page:
                return
            last = page[-1].pk
            tries = _last_tries([item.pk for item in page])
            for item in page:
                yield _result(item, tries.get(item.pk))


def start_run(
    workload: str,
    *,
    limit: int | None = None,
    budget_usd: Decimal | float | str | None = None,
    owner: User | None = None,
    account: str = "",
    priority: Priority = Priority.NORMAL,
    may_wait: bool = False,
    force_refresh: bool = False,
    canary: bool = True,
    **options: Any,
) -> StartedRun:
    """Ask for work, as `manage.py run_workload` does; `options` are the workload's own.

    `limit` counts subjects. Nothing is sent before the transaction that this is called
    in is committed. Raises BatchError with a sentence for a person: UnknownWorkload,
    BadOptions, UnknownPrice or UnknownProvider; then nothing is written.
    """
    row = collection.start_run(
        workload,
        options,
        trigger=Trigger.COMMAND,
        owner=owner,
        account=account,
        priority=priority,
        limit=limit,
        budget_nanos=None if budget_usd is None else _nanos(budget_usd),
        may_wait=may_wait,
        force_refresh=force_refresh,
        canary=canary,
    )
    return StartedRun(row)


def find_run(run_id: UUID | str) -> StartedRun:
    """A run by its id; raises BatchError where there is none."""
    try:
        row = Run.objects.filter(public_id=UUID(str(run_id))).first()
    except ValueError as err:
        raise BatchError(f"{run_id!r} is no id of a run; ids are UUIDs.") from err
    if row is None:
        raise BatchError(f"There is no run {run_id}; *Runs* in the admin lists them.")
    return StartedRun(row)


def _nanos(budget_usd: Decimal | float | str) -> int:
    try:
        budget = Decimal(str(budget_usd))
    except InvalidOperation as err:
        raise BadOptions(
            f"budget_usd {budget_usd!r} is no amount of dollars; give it as 2.50."
        ) from err
    return to_nanos(budget) if budget.is_finite() else 0


def _last_tries(item_ids: list[int]) -> dict[int, ItemAttempt]:
    tries = ItemAttempt.objects.filter(item__in=item_ids).exclude(outcome__in=BACK)
    return {
        attempt.item_id: attempt
        for attempt in tries.defer("raw_line").order_by("pk")
        if attempt.outcome != AttemptOutcome.CANCELLED
    }


def _result(item: BatchItem, attempt: ItemAttempt | None) -> Result:
    return Result(
        item_id=item.pk,
        parent_item_id=item.parent_id,
        content_type_id=item.content_type_id,
        object_id=item.object_id,
        target=item.target,
        status=ItemStatus(item.status),
        answer=attempt.answer if attempt else "",
        error_code=item.error_code,
        error_message=attempt.error_message if attempt and item.error_code else "",
        cost_usd=to_usd(item.cost_nanos),
    )
