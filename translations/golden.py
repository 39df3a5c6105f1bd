"""Approved translations as golden cases: what people stand by, for prompts to meet."""

from collections import Counter
from collections.abc import Iterable

import orjson

from batches.errors import NotPossible
from batches.models import BatchItem, ItemRequest
from batches.services.golden import NewCase, case_of_item
from translations.models import ReviewStatus, Translation, TranslationVersion

REVIEWED = (ReviewStatus.APPROVED, ReviewStatus.PUBLISHED)


def cases_of(units: Iterable[Translation]) -> tuple[list[NewCase], Counter[str]]:
    """A case for each unit that can be one, and the others counted by reason.

    The reference is the text that a person approved; what is asked is the request that
    a model translated it for.
    """
    cases: list[NewCase] = []
    refused: Counter[str] = Counter()
    for unit in units:
        try:
            cases.append(_case(unit))
        except NotPossible as err:
            refused[str(err)] += 1
    return cases, refused


def _case(unit: Translation) -> NewCase:
    version = unit.latest
    if version is None or unit.status not in REVIEWED or not unit.is_kept:
        raise NotPossible("Nobody has approved or edited it; review it first.")
    item = _asked(version)
    if item is None:
        raise NotPossible("No request of a model stands behind it.")
    kept = ItemRequest.objects.filter(item=item).values_list("context", flat=True)
    context = orjson.loads(kept.first() or "{}")
    if context.get("parts") != 1 or context.get("path") or context.get("is_repair"):
        raise NotPossible("Its text went out in several requests.")
    if context["source_hash"] != version.source_hash:
        raise NotPossible("Its source has changed since it was asked for.")
    return case_of_item(item, name=str(unit), reference=version.text)


def _asked(version: TranslationVersion) -> BatchItem | None:
    """The item that a version answers, or that what it was made from answers."""
    seen: TranslationVersion | None = version
    while seen is not None and seen.item_id is None:
        seen = seen.parent
    if seen is None or seen.item_id is None:
        return None
    items = BatchItem.objects.select_related("prompt_version")
    return items.filter(pk=seen.item_id).first()
