"""What came of a run's items: the answer of each, or why there is none."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.db.models import QuerySet

from batches.models import BatchItem, ItemAttempt, Run
from batches.monitoring.findings import may_pass
from batches.states import ItemStatus

ROWS_AT_ONCE = 500
WITHOUT_ANSWER = (ItemStatus.FAILED, ItemStatus.CANCELLED)
ENDED = (ItemStatus.COMPLETE, *WITHOUT_ANSWER)


@dataclass(frozen=True)
class Came:
    """How one item ended: `data` is its answer, `code` and `message` why it has none.

    An answer that is JSON is read; any other is the text that it is.
    """

    item: BatchItem
    data: Any = None
    code: str = ""
    message: str = ""

    @property
    def is_complete(self) -> bool:
        return self.item.status == ItemStatus.COMPLETE

    @property
    def may_pass(self) -> bool:
        """Whether sending it again may help."""
        return may_pass(self.code)


def items_in_order(run: Run) -> QuerySet[BatchItem]:
    """A run's items in the order in which they were asked, without their requests."""
    fields = ("object_id", "target", "status", "error_code", "provider")
    return BatchItem.objects.filter(run=run).only(*fields).order_by("pk")


def read_answers(
    items: Sequence[BatchItem], *, with_content: bool = True
) -> list[Came]:
    """What came of those that have ended, in their order: two queries at most."""
    done = [item.pk for item in items if item.status == ItemStatus.COMPLETE]
    failed = [item.pk for item in items if item.status in WITHOUT_ANSWER]
    answers = _last("answer", done) if done and with_content else {}
    messages = _last("error_message", failed) if failed else {}
    return [
        Came(item, data=_read(answers.get(item.pk, "")) if with_content else None)
        if item.status == ItemStatus.COMPLETE
        else Came(item, code=item.error_code, message=messages.get(item.pk, ""))
        for item in items
        if item.status in ENDED
    ]


def all_answers(run: Run) -> Iterator[Came]:
    """What came of every item that has ended, a few hundred in memory at a time."""
    after = 0
    while page := list(items_in_order(run).filter(pk__gt=after)[:ROWS_AT_ONCE]):
        yield from read_answers(page)
        after = page[-1].pk


def _last(field: str, items: Sequence[int]) -> dict[int, str]:
    """{item: what the last of its attempts that says anything says}."""
    said = ItemAttempt.objects.filter(item__in=items).exclude(**{field: ""})
    return dict(said.order_by("pk").values_list("item_id", field))


def _read(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
