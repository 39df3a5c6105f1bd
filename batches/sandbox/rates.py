"""The rate limit that answers tell of in OpenAI's headers; nothing is refused by it."""

import threading
import time

REQUESTS_A_MINUTE = 5_000


class Rates:
    """Requests of the last minute, as a bucket that fills steadily."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = float(REQUESTS_A_MINUTE)
        self._at = time.monotonic()

    def spend(self) -> dict[str, str]:
        """Count one request; the headers that its answer carries."""
        with self._lock:
            now = time.monotonic()
            filled = self._left + (now - self._at) * REQUESTS_A_MINUTE / 60
            self._left = max(min(filled, REQUESTS_A_MINUTE) - 1, 0.0)
            self._at = now
            left = self._left
        seconds = (REQUESTS_A_MINUTE - left) * 60 / REQUESTS_A_MINUTE
        return {
            "x-ratelimit-limit-requests": str(REQUESTS_A_MINUTE),
            "x-ratelimit-remaining-requests": str(int(left)),
            "x-ratelimit-reset-requests": _duration(seconds),
        }


def _duration(seconds: float) -> str:
    """As OpenAI writes it: `12ms`, `1.5s`, `6m0s`."""
    if seconds < 1:
        return f"{max(int(seconds * 1000), 1)}ms"
    if seconds < 60:
        return f"{seconds:.3g}s"
    return f"{int(seconds // 60)}m{int(seconds % 60)}s"
