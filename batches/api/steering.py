"""/api/admin/steering: one address that pauses, recalls, resumes, reorders, cancels."""

from typing import Any, Literal
from uuid import UUID

from ninja import Router, Schema
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from batches.api.auth import ApiRequest, callers
from batches.api.errors import NotFound
from batches.errors import BatchError
from batches.models import BatchJob, Run
from batches.models.api_key import Scope
from batches.monitoring.outlook import as_dict, cost_as_dict, in_words
from batches.services import scopes
from batches.services.asking import mark_trial
from batches.states import HoldScope, Priority

router = Router(by_alias=True, tags=["steering"])
TARGETS = ("run", "job", "workload", "account", "everything")


class BadTarget(BatchError):
    """A request that names no target, or several."""

    code = "bad_request"


class TroubleOut(Schema):
    detail: str
    code: str


ERRORS = (400, 401, 403, 404, 409, 413, 415, 500, 502, 503)


class SteeringIn(Schema):
    """What is to be done, and to one of `run`, `job`, `workload`, `account` and
    `everything`."""

    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    act: scopes.Verb
    run: UUID | None = None
    job: UUID | None = None
    workload: str | None = Field(default=None, max_length=64)
    account: str | None = Field(default=None, max_length=64)
    everything: Literal[True] | None = None
    priority: Literal["low", "normal", "high"] = "high"
    reason: str = Field(default="", max_length=400, description="what a hold is to say")
    dry_run: bool = Field(default=False, description="say what it would do, no more")


class EffectOut(Schema):
    """Items by how far they are, and the most that they may cost, in dollars."""

    items: int
    unsent_items: int
    unsent_usd: str
    in_flight_items: int
    in_flight_usd: str
    answered_items: int
    beyond_items: int
    beyond_usd: str


class CostOut(Schema):
    """What an act would send: probable price, at nine times of ten, and reserved.

    `reused` items were answered before and cost nothing; `cap` has least left.
    """

    input_tokens: int
    output_tokens: int
    expected_usd: str
    high_usd: str
    worst_usd: str
    real_time_usd: str
    guessed: int
    reused: int
    unpriced: int
    cap: str | None
    cap_left_usd: str | None


class SteeredOut(Schema):
    """What it was about before it was done, and for how many rows it worked; `cost`
    only of an act that sends."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    effect: EffectOut
    cost: CostOut | None
    message: str
    dry_run: bool
    done: int
    chosen: int
    trouble: list[str]


@router.post(
    "",
    response={200: SteeredOut, **dict.fromkeys(ERRORS, TroubleOut)},
    summary="Pause, recall, resume, reorder or cancel a run, a job, or all there is",
    auth=callers(Scope.OPERATE),
)
def steer(request: ApiRequest, wanted: SteeringIn) -> dict[str, Any]:
    target = _target(wanted)
    found = scopes.foresee(wanted.act, target)
    cost = scopes.foresee_cost(wanted.act, target)
    done = scopes.Steered(chosen=0)
    if wanted.dry_run:
        mark_trial()
    else:
        done = scopes.steer(
            wanted.act,
            target,
            by=request.auth.actor,
            reason=wanted.reason,
            priority=Priority[wanted.priority.upper()],
        )
    return {
        "effect": as_dict(found),
        "cost": cost_as_dict(*cost) if cost else None,
        "message": in_words(wanted.act, found),
        "dry_run": wanted.dry_run,
        "done": done.done,
        "chosen": done.chosen,
        "trouble": done.trouble,
    }


def _target(wanted: SteeringIn) -> scopes.Target:
    """What a request names. Raises BadTarget, NotFound, UnknownWorkload, BadHold."""
    named = [name for name in TARGETS if getattr(wanted, name) is not None]
    if len(named) != 1:
        raise BadTarget(
            f"Name one of {', '.join(TARGETS)}: this names "
            f"{' and '.join(named) or 'none'}."
        )
    if wanted.run:
        return _row(Run, wanted.run)
    if wanted.job:
        return _row(BatchJob, wanted.job)
    if wanted.workload is not None:
        scope = scopes.Scope(HoldScope.WORKLOAD, wanted.workload)
        return scopes.check_scope(scope)
    if wanted.account is not None:
        return scopes.check_scope(scopes.Scope(HoldScope.ACCOUNT, wanted.account))
    return scopes.Scope(HoldScope.ALL)


def _row(model: type[Run] | type[BatchJob], public_id: UUID) -> Run | BatchJob:
    row: Run | BatchJob | None = model.objects.filter(public_id=public_id).first()
    if row is None:
        raise NotFound(f"There is no {model._meta.verbose_name} {public_id}.")
    return row
