"""What the engine tells to whoever listens."""

from functools import partial

from django.db import transaction
from django.dispatch import Signal

# There is work for a stage (`stage`: collect, bundle, submit, poll, ingest or clean),
# sent after the commit that made it. Nothing depends on it being heard: schedules catch
# up.
work_waiting = Signal()


def announce(stage: str) -> None:
    """Tell, once the current transaction is committed, that a stage has work."""
    # Robust: a queue that cannot take it is logged, and spoils nothing.
    send = partial(work_waiting.send, sender=None, stage=stage)
    transaction.on_commit(send, robust=True)
