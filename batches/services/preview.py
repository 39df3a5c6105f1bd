"""The exact requests for one chosen subject, as a run would send them now."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from batches.errors import BadOptions
from batches.models import PromptVersion
from batches.services.collection import PAGE_SUBJECTS, Order, draft_items, read_order
from batches.services.estimates import Costs
from batches.services.items import NewItem
from batches.workloads import Subject, Workload, get_workload

MOST_PAGES = 50


@dataclass(frozen=True)
class Shown:
    """One request: its body as it would be sent, or why there is none; and its cost."""

    target: str
    body: str
    trouble: str
    costs: Costs


@dataclass(frozen=True)
class Preview:
    """What one subject comes to, under the prompt version that it has.

    `skipped` counts what makes no request, by reason.
    """

    workload: Workload
    subject: Subject
    version: PromptVersion
    provider: str
    model: str
    requests: list[Shown]
    skipped: dict[str, int] = field(default_factory=dict)


def preview(workload_key: str, options: dict[str, Any], key: str = "") -> Preview:
    """The requests for the subject with a key, current or not; without a key for the
    first that needs work. Writes nothing.

    Raises as `read_order` does, and BadOptions where there is no such subject.
    """
    workload = get_workload(workload_key)
    named = workload.naming(key, options) if key else options
    order = read_order(workload_key, named, now=timezone.now())
    skipped: Counter[str] = Counter()
    subject = _find(order, "" if named != options else key, skipped)
    if subject is None:
        one, _ = workload.nouns(order.options)
        why = f" ({', '.join(skipped)})" if skipped else ""
        raise BadOptions(
            f"{workload_key}: there is no {one} {key!r} to ask about{why}."
            if key
            else f"{workload_key}: nothing needs work now{why}; name a {one}."
        )
    skipped.clear()
    items = list(draft_items(order, subject, skipped, []))
    return Preview(
        workload=workload,
        subject=subject,
        version=order.arms.of(subject),
        provider=order.destination.provider,
        model=order.destination.model,
        requests=[_shown(order, item) for item in items],
        skipped=dict(skipped),
    )


def _find(order: Order, key: str, skipped: Counter[str]) -> Subject | None:
    """The subject with this key among those that need work; without one the first.

    What was passed over on the way is counted in `skipped`, by reason.
    """
    cursor: str | None = ""
    for _ in range(MOST_PAGES):
        if cursor is None:
            break
        page = order.workload.subjects(order.options, cursor, PAGE_SUBJECTS)
        skipped.update(page.skipped)
        for subject in page.subjects:
            if not key or subject.object_id == key:
                return subject
        cursor = page.cursor
    return None


def _shown(order: Order, item: NewItem) -> Shown:
    return Shown(
        target=item.target.key,
        body=item.rendered.body if item.rendered else "",
        trouble=item.target.error_message,
        costs=order.cost([item]),
    )
