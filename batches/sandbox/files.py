"""/v1/files: uploads that stream to disk, the list, and the bytes back."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from batches.sandbox.storage import StoredFile
from batches.sandbox.wire import (
    ApiError,
    Reply,
    Request,
    file_id,
    json_reply,
    page,
    page_limit,
)

if TYPE_CHECKING:
    from batches.sandbox.app import Sandbox

MAXIMUM_BYTES = 512 * 1024 * 1024
BLOCK_BYTES = 256 * 1024
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
BATCH_LIFETIME_SECONDS = 30 * 86400
SHORTEST_LIFETIME_SECONDS, LONGEST_LIFETIME_SECONDS = 3600, 30 * 86400


def no_such_file(identifier: str) -> ApiError:
    return ApiError(404, f"No such File object: {identifier}", param="id")


def create(sandbox: "Sandbox", request: Request) -> Reply:
    identifier = file_id()
    part = sandbox.storage.path(f"{identifier}.part")
    try:
        fields, filename, size = _receive(request, part)
        stored = _checked(sandbox, request, identifier, fields, filename, size)
        os.replace(part, sandbox.storage.path(identifier))
    finally:
        part.unlink(missing_ok=True)
    sandbox.storage.add_file(stored)
    return json_reply(stored.to_wire())


def _receive(request: Request, part: Path) -> tuple[dict[str, str], str | None, int]:
    """Stream the form: its fields, the file's name, and its bytes into `part`."""
    import multipart

    content_type, options = multipart.parse_options_header(
        request.headers.get("content-type", "")
    )
    boundary = options.get("boundary")
    if content_type != "multipart/form-data" or not boundary:
        raise ApiError(400, "The request must be multipart/form-data with a boundary.")
    fields: dict[str, bytes] = {}
    filename: str | None = None
    size = 0
    with part.open("wb") as target:
        parser = multipart.PushMultipartParser(boundary)
        segment = None
        try:
            while not parser.closed:
                block = request.read(BLOCK_BYTES)
                for event in parser.parse(block):
                    if isinstance(event, multipart.MultipartSegment):
                        segment = event
                        if segment.name == "file":
                            filename = segment.filename or "upload"
                    elif event is not None and segment is not None:
                        if segment.name == "file":
                            size += _keep(event, target, size)
                        else:
                            so_far = fields.get(segment.name, b"")
                            fields[segment.name] = (so_far + event)[:4096]
                if not block:
                    break
        except multipart.MultipartError as err:
            raise ApiError(400, f"The form could not be read: {err}.") from err
    with suppress(UnicodeDecodeError):
        return {name: value.decode() for name, value in fields.items()}, filename, size
    raise ApiError(400, "The form's fields must be UTF-8.")


def _keep(block: bytes, target: BinaryIO, size: int) -> int:
    if size + len(block) > MAXIMUM_BYTES:
        raise ApiError(413, "File is too large.")
    return target.write(block)


def _checked(
    sandbox: "Sandbox",
    request: Request,
    identifier: str,
    fields: dict[str, str],
    filename: str | None,
    size: int,
) -> StoredFile:
    if filename is None:
        raise _missing("file")
    purpose = fields.get("purpose")
    if not purpose:
        raise _missing("purpose")
    if purpose not in PURPOSES:
        allowed = ", ".join(f"'{name}'" for name in PURPOSES)
        raise ApiError(
            400,
            f"'{purpose}' is not one of [{allowed}] - 'purpose'",
            param="purpose",
            code="invalid_value",
        )
    # A client that names nothing uploads as `upload`; only another ending is refused.
    ending = Path(filename).suffix
    if purpose == "batch" and ending not in ("", ".jsonl"):
        raise ApiError(400, "Invalid file format for Batch API. Must be .jsonl")
    if size == 0:
        raise ApiError(400, "The file is empty.", param="file", code="empty_file")
    now = time.time()
    expires_at = _expiry(fields, now)
    if expires_at is None and purpose == "batch":
        expires_at = now + BATCH_LIFETIME_SECONDS
    shorter = sandbox.faults.strikes("file_lifetime")
    if shorter is not None:
        expires_at = now + shorter["seconds"]
    hidden = sandbox.faults.strikes("invisible_file") or request.struck(
        "invisible_file"
    )
    visible_at = now + (hidden["seconds"] if hidden else 0)
    return StoredFile(identifier, purpose, filename, size, now, expires_at, visible_at)


def _expiry(fields: dict[str, str], now: float) -> float | None:
    anchor = fields.get("expires_after[anchor]")
    seconds = fields.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return None
    return now + checked_lifetime(anchor, seconds, "expires_after")


def checked_lifetime(anchor: object, seconds: object, name: str) -> int:
    """The seconds of an `(output_)expires_after`; 400 where they are not allowed."""
    if anchor != "created_at":
        raise ApiError(
            400,
            f"Invalid value for '{name}.anchor': the only anchor is 'created_at'.",
            param=f"{name}.anchor",
            code="invalid_value",
        )
    try:
        number = int(str(seconds))
    except ValueError:
        number = 0
    if not SHORTEST_LIFETIME_SECONDS <= number <= LONGEST_LIFETIME_SECONDS:
        raise ApiError(
            400,
            f"Invalid value for '{name}.seconds': expected an integer from "
            f"{SHORTEST_LIFETIME_SECONDS} to {LONGEST_LIFETIME_SECONDS}, but got "
            f"{seconds} instead.",
            param=f"{name}.seconds",
            code="invalid_value",
        )
    return number


def _missing(name: str) -> ApiError:
    return ApiError(
        400,
        f"Missing required parameter: '{name}'.",
        param=name,
        code="missing_required_parameter",
    )


def listed(sandbox: "Sandbox", request: Request) -> Reply:
    limit = page_limit(request, default=10_000, maximum=10_000)
    order = request.one("order") or "desc"
    if order not in ("asc", "desc"):
        raise ApiError(
            400,
            f"Invalid value: '{order}'. Supported values are: 'asc' and 'desc'.",
            param="order",
            code="invalid_value",
        )
    after = request.one("after")
    if after and not sandbox.storage.knows_file(after):
        raise no_such_file(after)
    found = sandbox.storage.files(
        after=after or None,
        limit=limit + 1,
        newest_first=order == "desc",
        purpose=request.one("purpose"),
    )
    return page([file.to_wire() for file in found[:limit]], len(found) > limit)


def _found(sandbox: "Sandbox", identifier: str) -> StoredFile:
    file = sandbox.storage.file(identifier)
    if file is None:
        raise no_such_file(identifier)
    return file


def retrieve(sandbox: "Sandbox", request: Request, identifier: str) -> Reply:
    return json_reply(_found(sandbox, identifier).to_wire())


def content(sandbox: "Sandbox", request: Request, identifier: str) -> Reply:
    file = _found(sandbox, identifier)
    return Reply(
        path=sandbox.storage.path(file.id), content_type="application/octet-stream"
    )


def delete(sandbox: "Sandbox", request: Request, identifier: str) -> Reply:
    if not sandbox.storage.delete_file(identifier):
        raise no_such_file(identifier)
    sandbox.drop_unused_contents()
    return json_reply({"id": identifier, "object": "file", "deleted": True})
