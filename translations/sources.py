"""What a text said before: read back from the requests that it was sent in.

A version keeps the hashes of its sources and not their words. The words are in the
requests, with the template that they stood in, and the hash of the whole says whether
what is put together from them is right.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any

import orjson

from batches.models import BatchItem, ItemRequest
from translations.judging import all_sources
from translations.prompt import sent_segments
from translations.segments import Piece, from_json, join_pieces, source_hash
from translations.targets import split_target

ROWS_AT_ONCE = 50
REQUESTS_AT_ONCE = 100

# (object id, field, source hash)
SourceKey = tuple[str, str, str]


def sources_before(
    content_type_id: int, wanted: Collection[SourceKey]
) -> dict[SourceKey, str]:
    """The texts with these hashes, of those that were ever asked for.

    What came in a file, or was put together from memory alone, was never sent and is
    not found; nor is a text one of whose parts is gone.
    """
    found: dict[SourceKey, str] = {}
    object_ids = sorted({key[0] for key in wanted})
    for start in range(0, len(object_ids), ROWS_AT_ONCE):
        few = object_ids[start : start + ROWS_AT_ONCE]
        found |= _sources_of(content_type_id, few, set(wanted))
    return found


def _sources_of(
    content_type_id: int, object_ids: list[str], wanted: set[SourceKey]
) -> dict[SourceKey, str]:
    found: dict[SourceKey, str] = {}
    # Parts of one cut, by their number: {(key, cut, how many): {number: pieces}}
    waiting: defaultdict[tuple[SourceKey, str, int], dict[int, list[Piece]]]
    waiting = defaultdict(dict)
    for object_id, request in _requests(content_type_id, object_ids, wanted):
        kept: dict[str, Any] = orjson.loads(request.context)
        key = (object_id, kept["field"], kept["source_hash"])
        if key not in wanted or key in found or kept.get("path"):
            continue
        parts = waiting[key, kept.get("cut", ""), kept["parts"]]
        parts.setdefault(kept["part"], _pieces(request, kept))
        if len(parts) == kept["parts"]:
            pieces = [piece for number in sorted(parts) for piece in parts[number]]
            text = join_pieces(pieces, {})
            if source_hash(text, kept["format"]) == key[2]:
                found[key] = text
    return found


def _requests(
    content_type_id: int, object_ids: list[str], wanted: set[SourceKey]
) -> Iterator[tuple[str, ItemRequest]]:
    """(object id, request), the newest first, of what asked for one of these fields."""
    fields = {(object_id, field) for object_id, field, _ in wanted}
    hashes = {hash_ for _, _, hash_ in wanted}
    rows = BatchItem.objects.filter(
        workload="translation",
        content_type=content_type_id,
        object_id__in=object_ids,
    ).order_by("-pk")
    named = {
        pk: object_id
        for pk, object_id, target in rows.values_list("pk", "object_id", "target")
        if (object_id, split_target(target)[0]) in fields
    }
    keys = list(named)
    for start in range(0, len(keys), REQUESTS_AT_ONCE):
        few = ItemRequest.objects.filter(pk__in=keys[start : start + REQUESTS_AT_ONCE])
        for request in few.order_by("-pk"):
            if any(hash_ in request.context for hash_ in hashes):
                yield named[request.pk], request


def _pieces(request: ItemRequest, kept: dict[str, Any]) -> list[Piece]:
    asked = sent_segments(request.body)
    sources = all_sources(kept["pieces"], asked, kept.get("known", {}))
    return from_json(kept["pieces"], sources)
