"""Run templates: kept, checked as a run is, and started by hand or by a schedule."""

from datetime import datetime
from typing import Any

from croniter import croniter
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from batches.errors import BadOptions
from batches.models import Run, RunTemplate
from batches.services.collection import (
    Plan,
    check_limits,
    plan_run,
    start_run,
    start_run_once,
)
from batches.services.events import audit
from batches.states import CanaryState, Trigger
from batches.workloads import get_workload

# What a template has of a run, under the same names.
SAME = (
    "workload",
    "options",
    "limit",
    "budget_nanos",
    "account",
    "priority",
    "may_wait",
    "force_refresh",
)


def template_of(run: Run, *, name: str = "") -> RunTemplate:
    """A run's options as a template that is not kept yet."""
    return RunTemplate(
        name=name,
        owner=run.owner,
        canary=run.canary_state != CanaryState.OFF,
        **{field: getattr(run, field) for field in SAME},
    )


def check_template(template: RunTemplate) -> None:
    """See that its runs can be started; raises BadOptions or UnknownWorkload."""
    if not template.name.strip():
        raise BadOptions("Give the template a name.")
    options = template.options
    if not isinstance(options, dict):
        raise BadOptions(f"The options are {options!r:.60}; give a JSON object.")
    get_workload(template.workload).read_options(options)
    check_limits(limit=template.limit, budget_nanos=template.budget_nanos)
    cron = template.cron
    if cron and (len(cron.split()) != 5 or not croniter.is_valid(cron)):
        raise BadOptions(
            f"The schedule is {cron!r}; give a cron line of five fields, such as "
            "0 3 * * 1, or leave it empty."
        )


def save_template(template: RunTemplate, *, by: str) -> RunTemplate:
    """Keep a template, new or changed, and say so in the audit log.

    Its schedule follows when schedules are synced (`batches.schedules`). Raises as
    `check_template` does, and BadOptions for a name that is taken.
    """
    check_template(template)
    before = RunTemplate.objects.filter(pk=template.pk).first()
    template.changed_by = by
    try:
        with transaction.atomic():
            template.save()
    except IntegrityError as err:
        raise BadOptions(
            f"There is a template “{template.name}” already; choose another name."
        ) from err
    audit(
        "template.change" if before else "template.add",
        actor=by,
        target=str(template),
        before=_told(before) if before else None,
        after=_told(template),
    )
    return template


def remove_template(template: RunTemplate, *, by: str) -> None:
    """Remove a template; its runs stay."""
    audit(
        "template.remove",
        actor=by,
        target=str(template),
        before=_told(template),
    )
    template.delete()


def _told(template: RunTemplate) -> dict[str, Any]:
    names = (*SAME, "canary", "cron", "owner_id")
    return {name: getattr(template, name) for name in names}


def plan_template(template: RunTemplate, *, seconds: float | None = None) -> Plan:
    """What a run of it would be now; as `plan_run`."""
    return plan_run(
        template.workload,
        template.options,
        limit=template.limit,
        seconds=seconds,
        force_refresh=template.force_refresh,
    )


def start_template(
    template: RunTemplate,
    *,
    trigger: Trigger,
    owner: User | None,
    due_at: datetime | None = None,
) -> Run:
    """Start a run of it; raises as `collection.start_run` does."""
    return start_run(
        template.workload,
        template.options,
        trigger=trigger,
        owner=owner,
        due_at=due_at,
        **run_arguments(template),
    )


def start_template_once(
    template: RunTemplate, *, trigger: Trigger, owner: User | None, idempotency_key: str
) -> tuple[Run, bool]:
    """As `start_template`, one run however often; and whether this call started it."""
    return start_run_once(
        template.workload,
        template.options,
        trigger=trigger,
        owner=owner,
        idempotency_key=idempotency_key,
        **run_arguments(template),
    )


def run_arguments(template: RunTemplate) -> dict[str, Any]:
    """What `start_run` is told beside workload, options and who asks."""
    return {
        "schedule": template.schedule_key,
        "limit": template.limit,
        "budget_nanos": template.budget_nanos,
        "account": template.account,
        "priority": template.priority,
        "may_wait": template.may_wait,
        "force_refresh": template.force_refresh,
        "canary": template.canary,
    }
