"""What the engine tells to whoever listens.

All of it is told after the commit that it is about, and nothing depends on it being
heard: a receiver that raises is logged and keeps nobody else from hearing, and a
process that dies between commit and telling tells nothing. So what must happen is done
in the workload's `store`, which is part of the commit.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.db import transaction
from django.dispatch import Signal

# There is work for a stage (`stage`: collect, bundle, submit, poll, ingest or clean),
# sent after the commit that made it. Nothing depends on it being heard: schedules catch
# up.
work_waiting = Signal()

# A run came to its end (`run`: the row). The sender is `batches.models.Run`. A run may
# end more than once: failed items that are sent again open it anew.
run_finished = Signal()

# An answer was stored (`item_id`, and what it is about: `content_type_id`, `object_id`,
# `target`). The sender is the workload's class, so that `connect(…, sender=Taglines)`
# hears of one kind of work alone.
item_applied = Signal()

# Somebody was not let try to sign in, as too many tries failed before (`request`,
# `username` as it was typed, `seconds` until the next try). The sender is None.
login_throttled = Signal()


def announce(stage: str) -> None:
    """Tell, once the current transaction is committed, that a stage has work."""
    # Robust: a queue that cannot take it is logged, and spoils nothing.
    send = partial(work_waiting.send, sender=None, stage=stage)
    transaction.on_commit(send, robust=True)


def tell_run_finished(run: Any) -> None:
    """Send `run_finished` once the current transaction is committed."""
    send = partial(run_finished.send_robust, sender=type(run), run=run)
    transaction.on_commit(send, robust=True)


def tell_items_applied(sender: type, items: Iterable[dict[str, Any]]) -> None:
    """Send `item_applied` for each of `items`, what the signal is to carry, once the
    current transaction is committed."""
    if not item_applied.has_listeners(sender):
        return  # nearly always: the list is not even made
    told = list(items)

    def send() -> None:
        for item in told:
            item_applied.send_robust(sender=sender, **item)

    transaction.on_commit(send, robust=True)
