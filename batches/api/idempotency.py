"""`Idempotency-Key`: however often a request is sent, one run comes of it."""

from hashlib import sha256
from typing import Annotated, Any

from ninja import Header

from batches.api.auth import ApiRequest
from batches.errors import BatchError
from batches.models import Run
from batches.services.collection import start_run, start_run_once
from batches.states import Priority, Trigger
from batches.workloads import get_workload

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        max_length=128,
        description="sent again with the same key, a request starts nothing new",
    ),
]


class OtherRequest(BatchError):
    """A key that came before, with another request."""

    code = "idempotency_conflict"


def start_asked(
    request: ApiRequest,
    workload: str,
    options: dict[str, Any],
    *,
    key: str,
    priority: Priority = Priority.NORMAL,
    limit: int | None = None,
    max_attempts: int | None = None,
) -> tuple[Run, bool]:
    """The run that a caller asks for, and whether this call started it.

    Raises OtherRequest where the key came with other work, and as `start_run` does.
    """
    wanted: dict[str, Any] = {
        "priority": priority,
        "limit": limit,
        "max_attempts": max_attempts,
    }
    owner, given = request.auth.user, {**wanted, "trigger": Trigger.API}
    if not key:
        return start_run(workload, options, owner=owner, **given), True
    if owner is None:  # programs without an owner must not meet in a key
        key = sha256(f"{request.auth.actor}\n{key}".encode()).hexdigest()
    run, is_new = start_run_once(
        workload, options, idempotency_key=key, owner=owner, **given
    )
    if not is_new:
        read = get_workload(workload).read_options(options).model_dump(mode="json")
        asked = {**wanted, "workload": workload, "options": read}
        other = [name for name, value in asked.items() if getattr(run, name) != value]
        if other:
            raise OtherRequest(
                f"This Idempotency-Key came before, for run {run.public_id}, with "
                f"another {' and '.join(other)}. Send a new key for new work."
            )
    return run, is_new
