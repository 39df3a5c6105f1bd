"""What other programs are told: written with what happened, sent after its commit."""

import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any

import orjson
from django.utils import timezone

from batches.models import WebhookDelivery, WebhookEndpoint
from batches.signals import announce
from batches.states import WebhookKind


def wanted_by(kind: WebhookKind) -> list[WebhookEndpoint]:
    """The endpoints that are told of events of a kind: there are few."""
    endpoints = WebhookEndpoint.objects.filter(is_active=True).order_by("pk")
    return [endpoint for endpoint in endpoints if kind in endpoint.kinds]


def tell(
    kind: WebhookKind,
    data: dict[str, Any],
    *,
    endpoints: Collection[WebhookEndpoint] | None = None,
) -> list[WebhookDelivery]:
    """Put an event into the outbox of all who want it, or of these endpoints.

    Call it in the transaction that makes it happen: what is rolled back is not told.
    """
    if endpoints is None:
        endpoints = wanted_by(kind)
    if not endpoints:
        return []
    now = timezone.now()
    body = orjson.dumps({"type": kind, "timestamp": _utc(now), "data": data}).decode()
    rows = WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            endpoint=endpoint,
            message_id=f"msg_{secrets.token_hex(12)}",
            kind=kind,
            body=body,
            created_at=now,
            next_at=now,
        )
        for endpoint in endpoints
    )
    announce("tell")
    return rows


def _utc(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
