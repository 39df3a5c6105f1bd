"""The time that batches take, which can stand still: `POST /_sandbox/clock`."""

import threading
import time
from typing import TYPE_CHECKING

from batches.sandbox.wire import ApiError, Reply, Request, json_reply

if TYPE_CHECKING:
    from batches.sandbox.app import Sandbox


class Clock:
    """Unix seconds, behind by as long as it has stood still.

    Who measures how a queue is used stops it while he works, so that a machine that is
    busy measures what an idle one does.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._behind = 0.0
        self._stopped_at: float | None = None

    def now(self) -> float:
        with self._lock:
            return (self._stopped_at or time.time()) - self._behind

    @property
    def is_running(self) -> bool:
        return self._stopped_at is None

    def run(self, running: bool) -> None:
        """Let it run or stand still; safe to repeat."""
        with self._lock:
            if running and self._stopped_at is not None:
                self._behind += time.time() - self._stopped_at
                self._stopped_at = None
            elif not running and self._stopped_at is None:
                self._stopped_at = time.time()


def change(sandbox: "Sandbox", request: Request) -> Reply:
    """`{"running": true | false}`; what the clock shows then."""
    given = request.json_object()
    running = given.get("running")
    if set(given) != {"running"} or not isinstance(running, bool):
        raise ApiError(400, 'The clock takes {"running": true} or {"running": false}.')
    sandbox.clock.run(running)
    return json_reply({"now": sandbox.clock.now(), "running": running})
