"""What translations tell to whoever listens."""

from collections.abc import Sequence
from functools import partial

from django.db import transaction
from django.dispatch import Signal

from translations.webhooks import tell_published

# Texts that readers see from now on: `units`, the keys of their `Translation` rows.
# Sent after the commit that published them, once for all that it published.
translations_published = Signal()


def announce_published(units: Sequence[int]) -> None:
    """Tell of texts that readers see from now on, once this transaction is committed.

    Whoever publishes writes it into the audit log.
    """
    tell_published(units)
    # Robust: a listener that fails is logged, and spoils nothing.
    send = partial(translations_published.send, sender=None, units=list(units))
    transaction.on_commit(send, robust=True)
