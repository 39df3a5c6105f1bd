"""A run's events as they happen: Server-Sent Events, where an ASGI server runs.

A threaded server would give each follower a thread for as long as they look on. There
the same address answers with JSON as ever, and pages ask again every two seconds.

One process looks for all its followers on two threads, so on two connections to the
database, however many there are.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections, connections
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from ninja.responses import NinjaJSONEncoder

from batches.api.user_batches.schemas import MAX_EVENTS
from batches.api.user_batches.shapes import plain_status, shown_event
from batches.errors import BatchError
from batches.models import Run
from batches.monitoring.following import answered_at_provider, events_of, progress_of
from batches.services.lifecycle import run_figures
from batches.states import RUN_FINAL

TYPE = "text/event-stream"
LOOK_SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0
# Then the caller comes again by itself, and is asked again who it is.
LONGEST_SECONDS = 300.0
RETRY_MILLISECONDS = 2000
# A browser opens six connections to a site at most, and needs some for its pages.
MOST_EACH = 4

_LOOKERS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="streams")
# {user: streams that are open in this process}; touched by the event loop alone.
_open: Counter[int] = Counter()


class TooManyStreams(BatchError):
    code = "too_many_streams"


class BadEventId(BatchError):
    code = "bad_request"


@dataclass(frozen=True)
class Look:
    """What is new of a run, as (id, name, event), how far it is, and if it ended."""

    events: list[tuple[int, str, dict[str, Any]]]
    figures: dict[str, Any]
    is_over: bool


def open_streams() -> int:
    return _open.total()


def is_pushed(request: HttpRequest) -> bool:
    """Whether this server can hold connections open without a thread for each."""
    return isinstance(request, ASGIRequest) and settings.EVENT_STREAMS > 0


def wants_stream(request: HttpRequest) -> bool:
    preferred = request.get_preferred_type(["application/json", TYPE])
    return is_pushed(request) and preferred == TYPE


def last_event(request: HttpRequest, after: int) -> int:
    """Where to go on: what a caller that was cut off says it has, else `after`.

    Raises BadEventId.
    """
    given = request.headers.get("Last-Event-ID", "")
    if not given:
        return after
    if not (given.isascii() and given.isdecimal() and len(given) < 19):
        raise BadEventId(
            f"Last-Event-ID is {given[:50]!r}: it must be the id of an event; leave it "
            "out for all of them."
        )
    return int(given)


def stream_events(run: Run, *, owner: int, after: int) -> HttpResponseBase:
    """Events since one, and what follows until the run ends. Raises TooManyStreams.

    Whoever comes again with all events of a run that ended gets 204, which tells a
    browser not to come again.
    """
    if _open[owner] >= MOST_EACH or open_streams() >= settings.EVENT_STREAMS:
        raise TooManyStreams(
            f"Too many runs are followed at once: {MOST_EACH} for each user and "
            f"{settings.EVENT_STREAMS} in all. Ask for JSON every two seconds instead."
        )
    if run.status in RUN_FINAL and not events_of(run, after=after).exists():
        return HttpResponse(status=204)
    return StreamingHttpResponse(
        _pieces(run.pk, owner, after),
        content_type=TYPE,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _pieces(run_id: int, owner: int, after: int) -> AsyncIterator[bytes]:
    _open[owner] += 1
    try:
        # The thread of the request waits for the end of the stream; not so its
        # connection, which would be one for each follower.
        await sync_to_async(connections.close_all)()
        yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
        started = said_at = time.monotonic()
        figures: dict[str, Any] = {}
        while time.monotonic() - started < LONGEST_SECONDS:
            seen = await _look_aside(run_id, after)
            if seen is None:
                return  # it was deleted
            said = [_piece(name, data, key) for key, name, data in seen.events]
            if seen.figures != figures:
                figures = seen.figures
                said.append(_piece("figures", figures))
            for piece in said:
                yield piece
            if seen.events:
                after = seen.events[-1][0]
            if said:
                said_at = time.monotonic()
            elif time.monotonic() - said_at >= HEARTBEAT_SECONDS:
                yield b": still here\n\n"
                said_at = time.monotonic()
            if len(seen.events) == MAX_EVENTS:
                continue
            if seen.is_over:
                return
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        _open[owner] -= 1
        if not _open[owner]:
            del _open[owner]


def _piece(name: str, data: dict[str, Any], key: int | None = None) -> bytes:
    """One event; those without an id are not gone on from."""
    first = f"id: {key}\n" if key is not None else ""
    text = json.dumps(data, cls=NinjaJSONEncoder, ensure_ascii=False)
    return f"{first}event: {name}\ndata: {text}\n\n".encode()


def look(run_id: int, after: int) -> Look | None:
    """What is new of a run since an event; None where there is no such run."""
    run = Run.objects.filter(pk=run_id).first()
    if run is None:
        return None
    # The status was read first: of a run that is over, the last event is there.
    events = events_of(run, after=after)[:MAX_EVENTS]
    figures = run_figures(run)
    return Look(
        events=[
            (event.pk, event.kind, shown_event(run, event).model_dump())
            for event in events
        ],
        figures={
            "status": plain_status(run),
            "progress": progress_of(run, figures),
            "totalItems": figures.items,
            "completedItems": figures.complete,
            "failedItems": figures.failed,
            "answeredAtProvider": answered_at_provider(run),
        },
        is_over=run.status in RUN_FINAL,
    )


def _look_on_thread(run_id: int, after: int) -> Look | None:
    close_old_connections()
    try:
        return look(run_id, after)
    finally:
        close_old_connections()


_look_aside = sync_to_async(_look_on_thread, thread_sensitive=False, executor=_LOOKERS)
