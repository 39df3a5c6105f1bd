"""/v1/batches: create, look, list, cancel. The work itself is the runner's."""

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batches.sandbox.files import checked_lifetime
from batches.sandbox.storage import FINAL, Batch
from batches.sandbox.validation import ANSWERED, SUPPORTED
from batches.sandbox.wire import (
    ApiError,
    Lost,
    Reply,
    Request,
    hex_id,
    json_reply,
    page,
    page_limit,
)

if TYPE_CHECKING:
    from batches.sandbox.app import Sandbox

WINDOW_SECONDS = 86_400
METADATA_PAIRS, METADATA_KEY, METADATA_VALUE = 16, 64, 512


def create(sandbox: "Sandbox", request: Request) -> Reply:
    batch = _checked(request.json_object())
    late = sandbox.faults.strikes("late_create") or request.struck("late_create")
    if late is not None:
        # The answer is lost at once; the request itself arrives later.
        timer = threading.Timer(late["seconds"], _accept, (sandbox, batch, request))
        timer.daemon = True
        timer.start()
        raise Lost
    _accept(sandbox, batch, request)
    if sandbox.faults.strikes("repeated_create") is not None:
        batch = replace(batch, id=hex_id("batch_"))
        _accept(sandbox, batch, request)
    return json_reply(batch.to_wire())


def _accept(sandbox: "Sandbox", batch: Batch, request: Request) -> None:
    if sandbox.is_stopping:
        return  # a late create that comes too late
    now = time.time()
    faults = sandbox.faults
    batch.created_at, batch.expires_at = now, now + WINDOW_SECONDS
    window = faults.strikes("expire_after")
    if window is not None:
        batch.expires_at = now + window["seconds"]
    late = faults.strikes("late_validation") or request.struck("late_validation")
    batch.validate_at = now + (late["seconds"] if late else 0)
    hidden = faults.strikes("list_delay") or request.struck("list_delay")
    batch.visible_at = now + (hidden["seconds"] if hidden else 0)
    sandbox.storage.add_batch(batch)
    sandbox.runner.start(batch.id)


def _checked(given: dict[str, Any]) -> Batch:
    for name in ("input_file_id", "endpoint", "completion_window"):
        if given.get(name) is None:
            raise ApiError(
                400,
                f"Missing required parameter: '{name}'.",
                param=name,
                code="missing_required_parameter",
            )
        if not isinstance(given[name], str):
            raise _wrong_type(name, "a string", given[name])
    if given["endpoint"] not in SUPPORTED:
        supported = ", ".join(SUPPORTED)
        raise ApiError(
            400,
            f"Invalid endpoint: {given['endpoint']}. Supported values: {supported}.",
            param="endpoint",
            code="invalid_value",
        )
    if given["endpoint"] not in ANSWERED:
        raise ApiError(
            400,
            f"This sandbox does not answer {given['endpoint']}; it answers "
            f"{', '.join(ANSWERED)}.",
            param="endpoint",
            code="invalid_value",
        )
    if given["completion_window"] != "24h":
        raise ApiError(
            400,
            f"Invalid value for 'completion_window': '{given['completion_window']}'. "
            "The only supported value is '24h'.",
            param="completion_window",
            code="invalid_value",
        )
    return Batch(
        id=hex_id("batch_"),
        endpoint=given["endpoint"],
        input_file_id=given["input_file_id"],
        completion_window=given["completion_window"],
        created_at=0,
        expires_at=0,
        metadata=_metadata(given.get("metadata")),
        output_seconds=_output_seconds(given.get("output_expires_after")),
    )


def _metadata(metadata: Any) -> dict[str, str] | None:
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        raise _wrong_type("metadata", "an object", metadata)
    if len(metadata) > METADATA_PAIRS:
        raise ApiError(
            400,
            f"Invalid 'metadata': too many properties. Expected an object with at most "
            f"{METADATA_PAIRS} properties, but got an object with {len(metadata)} "
            "properties instead.",
            param="metadata",
            code="object_above_max_properties",
        )
    for key, value in metadata.items():
        if len(key) > METADATA_KEY:
            raise _too_long(
                "metadata", f"a key with maximum length {METADATA_KEY}", key
            )
        if not isinstance(value, str):
            raise _wrong_type(f"metadata.{key}", "a string", value)
        if len(value) > METADATA_VALUE:
            expected = f"a string with maximum length {METADATA_VALUE}"
            raise _too_long(f"metadata.{key}", expected, value)
    return metadata


def _output_seconds(wanted: Any) -> int | None:
    if wanted is None:
        return None
    if not isinstance(wanted, dict):
        raise _wrong_type("output_expires_after", "an object", wanted)
    return checked_lifetime(
        wanted.get("anchor"), wanted.get("seconds"), "output_expires_after"
    )


def _wrong_type(param: str, expected: str, value: Any) -> ApiError:
    got = {
        bool: "a boolean",
        int: "an integer",
        float: "a decimal number",
        list: "an array",
        dict: "an object",
        str: "a string",
    }.get(type(value), "null")
    return ApiError(
        400,
        f"Invalid type for '{param}': expected {expected}, but got {got} instead.",
        param=param,
        code="invalid_type",
    )


def _too_long(param: str, expected: str, text: str) -> ApiError:
    return ApiError(
        400,
        f"Invalid '{param}': string too long. Expected {expected}, but got one with "
        f"length {len(text)} instead.",
        param=param,
        code="string_above_max_length",
    )


def no_such_batch(identifier: str) -> ApiError:
    return ApiError(404, f"No batch found with id '{identifier}'.")


def _found(sandbox: "Sandbox", identifier: str) -> Batch:
    batch = sandbox.storage.batch(identifier)
    if batch is None:
        raise no_such_batch(identifier)
    return batch


def retrieve(sandbox: "Sandbox", request: Request, identifier: str) -> Reply:
    return json_reply(_found(sandbox, identifier).to_wire())


def listed(sandbox: "Sandbox", request: Request) -> Reply:
    limit = page_limit(request, default=20, maximum=100)
    after = request.one("after")
    before = _found(sandbox, after).seq if after else None
    found = sandbox.storage.batches(after=before, limit=limit + 1)
    return page([batch.to_wire() for batch in found[:limit]], len(found) > limit)


def cancel(sandbox: "Sandbox", request: Request, identifier: str) -> Reply:
    """Cancelling what is cancelled or cancelling is allowed; other endings are 409."""
    _found(sandbox, identifier)
    with sandbox.storage.changing(identifier) as batch:
        if batch.status in FINAL and batch.status != "cancelled":
            raise ApiError(409, f"Cannot cancel a batch with status '{batch.status}'.")
        if batch.status not in ("cancelled", "cancelling"):
            batch.status, batch.cancelling_at = "cancelling", time.time()
    sandbox.runner.wake(identifier)
    return json_reply(batch.to_wire())
