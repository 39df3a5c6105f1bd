"""The breaker: a provider that does not answer is left alone for a while.

Five calls without a usable answer in a row, within five minutes, and nothing is asked
of it: no submission, no polling, no download. Then one call goes through, and what
comes of it ends the rest or makes it longer. All workers share it through one row; what
waits says until when. Holds are another matter: they are about key and account, and
keep new work alone from going out.
"""

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from batches.errors import ProviderRests
from batches.models import ProviderState
from batches.providers.errors import ProviderError
from batches.providers.registry import get_provider, is_sandbox

log = logging.getLogger(__name__)

FAILURES = 5
WINDOW = timedelta(minutes=5)
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 60, 900
SANDBOX_FIRST_REST_SECONDS, SANDBOX_LONGEST_REST_SECONDS = 2, 30
# How long the one call that goes through has; then it is another's turn.
PROBE = timedelta(minutes=3)
# Rate limits that were seen sooner after the last ones are not written again.
RATE_LIMITS_EVERY = timedelta(seconds=10)


def jittered(seconds: float) -> timedelta:
    """So long or up to half as long again: what failed together is not tried together
    again."""
    return timedelta(seconds=seconds * random.uniform(1.0, 1.5))  # noqa: S311


def rest_seconds(provider: str, times: int) -> int:
    """How long a provider rests that failed so many probes: 1, 2, 4, 8, 15 minutes."""
    first, longest = FIRST_REST_SECONDS, LONGEST_REST_SECONDS
    if is_sandbox(provider):
        first, longest = SANDBOX_FIRST_REST_SECONDS, SANDBOX_LONGEST_REST_SECONDS
    return min(first * 2 ** min(times, 10), longest)


def rest_in_words(state: ProviderState, until: datetime | None = None) -> str:
    """What is waited for, to stand after "waits for"."""
    until = until or state.open_until
    return (
        f"{state.provider} to answer again; it is asked at {until:%H:%M:%S} UTC, after "
        f"{state.failures} failures in a row: {state.last_error}"
    )


def resting(now: datetime) -> dict[str, ProviderState]:
    """The providers that are not asked now, by key."""
    resting = ProviderState.objects.filter(open_until__gt=now)
    return {state.provider: state for state in resting}


@contextmanager
def calls_to(provider: str, *, now: datetime) -> Iterator[None]:
    """Around calls to a provider: notes whether it answers, and what it says of rates.

    Raises ProviderRests where it is not to be asked now.
    """
    state = ProviderState.objects.filter(pk=provider).first()
    is_probe = state is not None and _begin(state, now)
    client = get_provider(provider)
    before = client.answers
    has_failed = False
    try:
        yield
    except ProviderError as err:
        has_failed = err.is_bad_hour
        if has_failed:
            _note_failure(provider, err, is_probe=is_probe)
        raise
    finally:
        if not has_failed:
            if client.answers != before:
                _note_answer(state)
            elif is_probe:  # nothing was asked: it is the next one's turn
                _of(provider).update(probe_until=None)
        _keep_rate_limits(provider, client.rate_limits, state)


def _of(provider: str) -> QuerySet[ProviderState]:
    return ProviderState.objects.filter(pk=provider)


def _begin(state: ProviderState, now: datetime) -> bool:
    """Whether this is the one call that goes through; False where all may go."""
    if state.open_until is None:
        return False
    if state.open_until > now:
        raise ProviderRests(rest_in_words(state), until=state.open_until)
    real_now = timezone.now()
    turn = Q(probe_until__isnull=True) | Q(probe_until__lte=now)
    taken = _of(state.provider).filter(turn, open_until=state.open_until)
    if not taken.update(probe_until=real_now + PROBE):
        state.refresh_from_db()
        if state.open_until is None:
            return False  # it answered meanwhile
        until = max(state.open_until, state.probe_until or state.open_until)
        raise ProviderRests(rest_in_words(state, until), until=until)
    return True


def _note_failure(provider: str, err: ProviderError, *, is_probe: bool) -> None:
    now = timezone.now()
    with transaction.atomic():
        ProviderState.objects.get_or_create(pk=provider)
        state = ProviderState.objects.select_for_update().get(pk=provider)
        if state.failing_since is None or (
            state.open_until is None and state.failing_since < now - WINDOW
        ):
            state.failures, state.failing_since = 0, now
        state.failures = min(state.failures + 1, 30_000)
        state.last_error = str(err)[:500]
        is_first = state.open_until is None and state.failures >= FAILURES
        if is_first or (is_probe and state.open_until is not None):
            rest = rest_seconds(provider, state.times_opened)
            state.open_until = now + jittered(rest)
            state.probe_until = None
            state.times_opened = min(state.times_opened + 1, 30_000)
            log.warning(
                "[Batch Worker] %s is not asked until %s: %s",
                provider,
                f"{state.open_until:%H:%M:%S}",
                err,
            )
        state.save()


def _note_answer(state: ProviderState | None) -> None:
    """It answers: whatever failed before is over."""
    if state is None or not (state.failures or state.open_until):
        return
    _of(state.provider).update(
        failures=0,
        failing_since=None,
        times_opened=0,
        open_until=None,
        probe_until=None,
        last_error="",
    )


def _keep_rate_limits(
    provider: str, told: dict[str, str], state: ProviderState | None
) -> None:
    now = timezone.now()
    if not told or (
        state is not None
        and state.rate_limits_at is not None
        and now - RATE_LIMITS_EVERY < state.rate_limits_at <= now
    ):
        return
    ProviderState.objects.update_or_create(
        pk=provider, defaults={"rate_limits": told, "rate_limits_at": now}
    )
