"""Sending what is in the outbox: at least once, with growing pauses, for three days."""

import logging
import time
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from batches.errors import NotPossible
from batches.models import WebhookDelivery, WebhookEndpoint
from batches.services.alerts import close_alerts, raise_alert
from batches.services.events import audit
from batches.services.leases import is_slice_over
from batches.services.outbox import tell
from batches.services.webhook_calls import (
    TIMEOUT_SECONDS,
    NotReached,
    new_secret,
    post,
    signed_headers,
)
from batches.signals import announce
from batches.states import WebhookKind

log = logging.getLogger(__name__)

# Pauses before the second try and the following ones.
PAUSES = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
# Longer than a call may take: who sends it has died, if it is still to be sent then.
TAKEN = timedelta(seconds=3 * TIMEOUT_SECONDS)
KEPT = timedelta(days=30)
AT_ONCE = 200
FAILING = "webhook_failing"


def send_webhooks(*, now: datetime) -> int:
    """Send what is due; returns how many deliveries were answered well."""
    delivered = 0
    due = WebhookDelivery.objects.filter(next_at__lte=now).order_by("next_at", "pk")
    for delivery in list(due.select_related("endpoint")[:AT_ONCE]):
        if is_slice_over():
            break
        if _take(delivery):
            delivered += _send(delivery)
    WebhookDelivery.objects.filter(
        created_at__lt=now - KEPT, next_at__isnull=True
    ).delete()
    return delivered


def _take(delivery: WebhookDelivery) -> bool:
    """Whether it is ours to send: of several workers one gets it."""
    taken = WebhookDelivery.objects.filter(
        pk=delivery.pk, next_at=delivery.next_at
    ).update(next_at=timezone.now() + TAKEN, tries=F("tries") + 1)
    delivery.tries += taken
    return bool(taken)


def _send(delivery: WebhookDelivery) -> bool:
    endpoint, body = delivery.endpoint, delivery.body.encode()
    headers = signed_headers(
        endpoint.secret, delivery.message_id, int(time.time()), body
    )
    status, trouble = None, ""
    try:
        status = post(endpoint.url, body, headers)
    except NotReached as err:
        trouble = str(err)
    if status is not None and not 200 <= status < 300:
        trouble = f"answered with {status}"
    now = timezone.now()
    changes: dict[str, Any] = {
        "last_status": status,
        "last_error": trouble[:300],
        "next_at": None,
    }
    if not trouble:
        changes["delivered_at"] = now
        close_alerts(FAILING, key=str(endpoint.pk), by="delivered")
    elif delivery.tries <= len(PAUSES) and endpoint.is_active:
        changes["next_at"] = now + PAUSES[delivery.tries - 1]
    with transaction.atomic():
        WebhookDelivery.objects.filter(pk=delivery.pk).update(**changes)
        if trouble and changes["next_at"] is None:
            _give_up(delivery, trouble)
    if trouble:
        log.warning("[Batch Worker] Webhook %s: %s", endpoint, trouble)
    return not trouble


def _give_up(delivery: WebhookDelivery, trouble: str) -> None:
    endpoint = delivery.endpoint
    raise_alert(
        FAILING,
        f"Webhook {endpoint} was not told of {delivery.kind}, after {delivery.tries} "
        f"tries: {trouble}. Mend or switch off the webhook, and send it again from "
        "Webhook deliveries.",
        key=str(endpoint.pk),
    )


# --- what people do -------------------------------------------------------------------


def create_endpoint(endpoint: WebhookEndpoint, *, by: str) -> str:
    """Save a new endpoint; returns its secret, which is not shown again."""
    endpoint.secret = new_secret()
    with transaction.atomic():
        endpoint.save()
        audit("webhook.create", actor=by, target=str(endpoint), after=_told(endpoint))
    return endpoint.secret


def change_endpoint(endpoint: WebhookEndpoint, *, by: str) -> None:
    with transaction.atomic():
        before = WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)
        endpoint.save(update_fields=["name", "url", "kinds", "is_active"])
        audit(
            "webhook.change",
            actor=by,
            target=str(endpoint),
            before=_told(before),
            after=_told(endpoint),
        )


def new_secret_for(endpoint: WebhookEndpoint, *, by: str) -> str:
    """Put another secret in the place of the old one, which counts no more."""
    endpoint.secret = new_secret()
    with transaction.atomic():
        endpoint.save(update_fields=["secret"])
        audit("webhook.secret", actor=by, target=str(endpoint))
    return endpoint.secret


def send_test(endpoint: WebhookEndpoint, *, by: str) -> WebhookDelivery:
    """Tell an endpoint that this is a test; raises NotPossible where it is off."""
    if not endpoint.is_active:
        raise NotPossible(f"Webhook {endpoint} is switched off; switch it on first.")
    with transaction.atomic():
        (delivery,) = tell(WebhookKind.TEST, {"by": by}, endpoints=[endpoint])
        audit("webhook.test", actor=by, target=str(endpoint))
    return delivery


def send_again(delivery: WebhookDelivery, *, by: str) -> None:
    """Send it once more now, with the same id. Raises NotPossible while it is tried."""
    with transaction.atomic():
        again = WebhookDelivery.objects.filter(
            pk=delivery.pk, next_at__isnull=True
        ).update(next_at=timezone.now(), delivered_at=None, tries=0)
        if not again:
            raise NotPossible(f"{delivery} is on its way already.")
        audit("webhook.again", actor=by, target=str(delivery))
        announce("tell")


def _told(endpoint: WebhookEndpoint) -> dict[str, object]:
    return {name: getattr(endpoint, name) for name in ("url", "kinds", "is_active")}
