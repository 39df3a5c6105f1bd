"""What OpenAI sends by itself when a batch ends: signed, perhaps twice, in no order.

An event says which batch ended and nothing of how, so it only leads to a poll.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from batches.errors import BatchError


class BadWebhook(BatchError):
    """Not signed with our secret, too old, or no event at all."""

    code = "bad_webhook"


@dataclass(frozen=True)
class WebhookEvent:
    """`id` is that of the delivery, equal when it is repeated; `batch_id` is blank for
    events that are not about a batch."""

    id: str
    kind: str
    batch_id: str


# PostgreSQL takes no NUL in a text.
_Text = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00]*\Z")]


class _Data(msgspec.Struct, frozen=True):
    id: _Text = ""


class _Event(msgspec.Struct):
    type: _Text
    data: _Data = _Data()


def read_webhook(body: bytes, headers: Mapping[str, str], secret: str) -> WebhookEvent:
    """Verify a delivery and read it. Raises BadWebhook.

    Of the client only the verification is used: it parses kinds of events that it does
    not know as some other kind.
    """
    import openai  # takes a second: only who gets a webhook waits for it

    client = openai.OpenAI(api_key="not used: nothing is sent")
    try:
        client.webhooks.verify_signature(body, dict(headers), secret=secret)
        event = msgspec.json.decode(body, type=_Event)
    except ValueError as err:
        # A wrong signature and a missing header are both plain ValueErrors.
        raise BadWebhook(
            f"Not a webhook that OPENAI_WEBHOOK_SECRET signed: {err}."
        ) from err
    finally:
        client.close()
    batch_id = event.data.id if event.type.startswith("batch.") else ""
    return WebhookEvent(headers["webhook-id"], event.type, batch_id)
