"""What to do about a provider's webhook: ask for its batch now, not at its turn.

Polling stays the truth: an event that is lost, late or doubled changes nothing but when
we look.
"""

import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from batches.models import BatchJob, ReceivedWebhook
from batches.providers.openai_webhooks import WebhookEvent
from batches.signals import announce
from batches.states import AT_PROVIDER

log = logging.getLogger(__name__)

# A delivery is repeated for 72 hours.
REMEMBERED = timedelta(days=4)


def take_webhook(event: WebhookEvent) -> bool:
    """Have the batch of an event polled at once; False where it was told before."""
    now = timezone.now()
    with transaction.atomic():
        ReceivedWebhook.objects.filter(received_at__lt=now - REMEMBERED).delete()
        _, is_new = ReceivedWebhook.objects.get_or_create(
            webhook_id=event.id[:200],
            defaults={"kind": event.kind[:64], "received_at": now},
        )
        if not is_new or not event.batch_id:
            return is_new
        due = BatchJob.objects.filter(
            provider_batch_id=event.batch_id, status__in=AT_PROVIDER
        ).update(next_poll_at=now)
        if due:
            announce("poll")
    log.info("[Batch API] Webhook %s of %s", event.kind, event.batch_id)
    return True
