"""How entries were received: by the automatic checks, and by reviewers."""

from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from batches.workloads import Reception
from translations.dictionary.models import Entry
from translations.models import ReviewStatus

KEPT = (ReviewStatus.APPROVED, ReviewStatus.PUBLISHED)


def receptions(items: QuerySet[Any]) -> dict[int | None, Reception]:
    """By prompt version, of the entries that these items' answers became."""
    rows = (
        Entry.objects.filter(item__in=items.values("pk"))
        .values("prompt_version")
        .annotate(
            results=Count("pk"),
            score_sum=Sum("score"),
            approved=Count("pk", filter=Q(status__in=KEPT)),
            rejected=Count("pk", filter=Q(status=ReviewStatus.REJECTED)),
        )
        .order_by()
        .values_list("prompt_version", "results", "score_sum", "approved", "rejected")
    )
    return {
        version: Reception(results, scores, approved, rejected=rejected)
        for version, results, scores, approved, rejected in rows
    }
