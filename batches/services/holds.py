"""Holds: what keeps new work from going out, for whom, and why.

A person raises a hold for any reason and lifts it. The engine raises one on a provider
that says that key or account are in trouble, and lifts it by itself: a wrong key is
right again when a free call is answered; for an empty account no free call tells, so
there one waiting job goes out alone, the probe, and lifts the hold when it passes the
provider's validation.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from batches.errors import BatchError
from batches.models import BatchJob, Hold
from batches.providers.errors import ProviderError
from batches.providers.registry import get_provider, is_sandbox
from batches.services.alerts import close_alerts, raise_alert
from batches.services.events import audit
from batches.signals import announce
from batches.states import HoldScope, Severity

log = logging.getLogger(__name__)

ENGINE = "batchsite"  # who raises a hold that no person raised
WRONG_KEY = "wrong_key"  # probed by a call that costs nothing
ACCOUNT_TROUBLE = "account_trouble"  # probed by the next waiting job
PROBED = frozenset({WRONG_KEY, ACCOUNT_TROUBLE})

# A hold that comes back so soon after its probe had lifted it goes on with the back-off
# that it had.
RELAPSE = timedelta(hours=2)
ACCOUNT_ADVICE = (
    " Look at billing and limits in the account's settings (of OpenAI: "
    "platform.openai.com/settings/organization/billing)."
)


class BadHold(BatchError):
    """A hold that names what it may not, or does not name what it must."""

    code = "bad_hold"


@dataclass(frozen=True)
class ProbeDelays:
    first: timedelta
    longest: timedelta


DELAYS = ProbeDelays(timedelta(minutes=5), timedelta(hours=1))
SANDBOX_DELAYS = ProbeDelays(timedelta(seconds=2), timedelta(seconds=30))


def probe_delay(provider: str, probes: int) -> timedelta:
    """How long to wait after so many probes: 5, 10, 20, 40, 60, 60 … minutes."""
    delays = SANDBOX_DELAYS if is_sandbox(provider) else DELAYS
    return min(delays.first * 2 ** min(probes, 10), delays.longest)


# --- what is held ---------------------------------------------------------------------


def active_holds() -> list[Hold]:
    """Every hold that is in force, oldest first; few, whatever was held before."""
    return list(Hold.objects.active())


def holds_on(*, provider: str, workload: str, account: str) -> list[Hold]:
    """The holds that keep such work from going out, oldest first."""
    return [
        hold
        for hold in active_holds()
        if hold.covers(provider=provider, workload=workload, account=account)
    ]


def hold_on(*, provider: str, workload: str, account: str) -> Hold | None:
    """The hold that keeps such work from going out now; None where it may go.

    One that is waiting for a job to probe with lets work pass; `take_probe` sees to it
    that this is one job.
    """
    now = timezone.now()
    for hold in holds_on(provider=provider, workload=workload, account=account):
        if not is_probe_due(hold, now):
            return hold
    return None


def hold_on_job(job: BatchJob) -> Hold | None:
    """As `hold_on`, for a job."""
    return hold_on(provider=job.provider, workload=job.workload, account=job.account)


def is_probe_due(hold: Hold, now: datetime) -> bool:
    """Whether one job may go out under a hold now, to see what comes of it."""
    return (
        hold.code == ACCOUNT_TROUBLE
        and hold.probe_at is not None
        and hold.probe_at <= now
    )


def held_until(hold: Hold) -> str:
    """What held work waits for, to stand after "waits for"."""
    what = hold.what()
    if hold.raised_by != ENGINE:
        return f"{hold.raised_by} to lift the hold on {what}: {hold.message}"
    return f"the hold on {what} to end: {hold.message}"


def take_probe(job: BatchJob) -> Hold | None:
    """The last look before a job is sent: what keeps it, None where it may go now.

    Of all who come to be the probe at one time, one gets it; the others wait.
    """
    now = timezone.now()
    covering = holds_on(
        provider=job.provider, workload=job.workload, account=job.account
    )
    for hold in sorted(covering, key=lambda hold: is_probe_due(hold, now)):
        if not is_probe_due(hold, now) or not _count_probe(hold, now):
            return hold
        log.info("[Batch Worker] Job %d goes out to probe the %s", job.pk, hold)
    return None


# --- raise and lift -------------------------------------------------------------------


def raise_hold(
    scope: HoldScope,
    code: str,
    message: str,
    *,
    key: str = "",
    by: str = ENGINE,
    probe_at: datetime | None = None,
    probes: int = 0,
) -> bool:
    """Hold all, or what `key` names; False where the same hold is in force already.

    Raises BadHold where a key is missing, or is given for everything.
    """
    if (scope == HoldScope.ALL) == bool(key):
        raise BadHold(
            "A hold on everything names nothing else; leave its key out."
            if key
            else f"Name the {HoldScope(scope).label.lower()} that is to be held."
        )
    try:
        with transaction.atomic():
            hold = Hold.objects.create(
                scope=scope,
                key=key,
                code=code,
                message=message[:500],
                raised_by=by[:150],
                probe_at=probe_at,
                probes=probes,
            )
            audit("hold.raise", actor=by, target=str(hold), message=message)
            announce("bundle")  # which says on its rows what waits now
            announce("submit")
    except IntegrityError:
        return False
    log.error("[Batch Worker] Hold on %s: %s", hold.what(), message)
    return True


def lift_hold(hold: Hold, *, by: str) -> bool:
    """Let work go out again, and close the alert that told of the hold.

    False where the hold was lifted before.
    """
    with transaction.atomic():
        lifted = Hold.objects.filter(pk=hold.pk, lifted_at__isnull=True).update(
            lifted_at=timezone.now(), lifted_by=by[:150], probe_at=None
        )
        if not lifted:
            return False
        audit("hold.lift", actor=by, target=str(hold))
        close_alerts(hold.code, key=hold.key, by=by)
        announce("bundle")
        announce("submit")
    log.info("[Batch Worker] Lifted by %s: %s", by, hold)
    return True


# --- account trouble ------------------------------------------------------------------


def report_account_trouble(provider: str, message: str) -> None:
    """An empty or closed account, in the provider's words: hold it until a probe works.

    Safe to repeat: one hold and one alert stand for it, however many jobs meet it.
    """
    _hold_provider(provider, ACCOUNT_TROUBLE, message + ACCOUNT_ADVICE)


def report_refusal(provider: str, err: ProviderError) -> None:
    """Hold a provider whose answer says that key or account are in trouble.

    Every other error is somebody else's: a bad hour is no reason to hold.
    """
    if not err.is_account_trouble:
        return
    if err.status == HTTPStatus.UNAUTHORIZED:
        _hold_provider(provider, WRONG_KEY, str(err))
    elif err.status == HTTPStatus.FORBIDDEN:
        _hold_provider(provider, ACCOUNT_TROUBLE, str(err))
    else:
        report_account_trouble(provider, str(err))


def _hold_provider(provider: str, code: str, message: str) -> None:
    now = timezone.now()
    same = Hold.objects.filter(scope=HoldScope.PROVIDER, key=provider, code=code)
    if same.filter(lifted_at__isnull=True).exists():
        return
    before = same.filter(lifted_by=ENGINE, lifted_at__gte=now - RELAPSE).order_by("-pk")
    probes = before.values_list("probes", flat=True).first() or 0
    was_raised = raise_hold(
        HoldScope.PROVIDER,
        code,
        message,
        key=provider,
        probe_at=now + probe_delay(provider, probes),
        probes=probes,
    )
    if was_raised:
        raise_alert(code, message, key=provider, severity=Severity.CRITICAL)


def probe_keys(*, now: datetime) -> int:
    """Ask each provider whose key was wrong whether it is right now; counts the lifted.

    The question costs nothing. A provider that knows the key but keeps its list of
    models from it has answered it all the same.
    """
    lifted = 0
    for hold in Hold.objects.active().filter(code=WRONG_KEY, probe_at__lte=now):
        if not _count_probe(hold, now):
            continue  # another process asks
        try:
            get_provider(hold.key).check()
        except BatchError as err:
            status = err.status if isinstance(err, ProviderError) else None
            if status not in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
                log.warning("[Batch Worker] Still on hold: %s", err)
                continue
        lifted += lift_hold(hold, by=ENGINE)
    return lifted


def note_accepted(job: BatchJob) -> None:
    """A job passed validation: what was sent after a hold was raised ends that hold."""
    if job.create_sent_at is None:
        return
    passed = Hold.objects.active().filter(
        scope=HoldScope.PROVIDER,
        key=job.provider,
        code=ACCOUNT_TROUBLE,
        raised_at__lt=job.create_sent_at,
    )
    for hold in passed:
        lift_hold(hold, by=ENGINE)


def _count_probe(hold: Hold, now: datetime) -> bool:
    """Take this turn of a hold's probes and set the next; False where it is taken."""
    return bool(
        Hold.objects.filter(
            pk=hold.pk, probe_at=hold.probe_at, lifted_at__isnull=True
        ).update(
            probe_at=now + probe_delay(hold.key, hold.probes + 1),
            probes=F("probes") + 1,
        )
    )
