"""What other programs are told of texts that readers see from now on."""

from collections import defaultdict
from collections.abc import Sequence

from django.contrib.contenttypes.models import ContentType

from batches.services.outbox import tell, wanted_by
from batches.states import WebhookKind
from translations.models import Translation
from translations.registry import all_registered

MOST_TEXTS = 500  # in one webhook


def tell_published(units: Sequence[int]) -> None:
    """Put published texts into the outbox, by the ids that sites know them by."""
    endpoints = wanted_by(WebhookKind.PUBLISHED)
    if not endpoints:
        return
    for start in range(0, len(units), MOST_TEXTS):
        found = Translation.objects.filter(pk__in=units[start : start + MOST_TEXTS])
        texts = _texts(list(found.order_by("pk")))
        tell(WebhookKind.PUBLISHED, {"texts": texts}, endpoints=endpoints)


def _texts(units: Sequence[Translation]) -> list[dict[str, str]]:
    by_kind: defaultdict[int, list[Translation]] = defaultdict(list)
    for unit in units:
        by_kind[unit.content_type_id].append(unit)
    texts = []
    for content_type_id, of_kind in by_kind.items():
        model = ContentType.objects.get_for_id(content_type_id).model_class()
        entry = all_registered().get(model._meta.label_lower) if model else None
        if model is None or entry is None:
            continue  # an app that is installed no more: nobody can ask for it
        names = entry.external_ids({unit.object_id for unit in of_kind})
        texts += [
            {
                "kind": entry.kind,
                "id": names[unit.object_id],
                "field": unit.field,
                "language": unit.language,
            }
            for unit in of_kind
            if unit.object_id in names
        ]
    return texts
