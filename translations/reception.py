"""How translations were received: by the automatic checks, and by reviewers."""

from typing import Any

from django.db.models import (
    Case,
    Count,
    Exists,
    OuterRef,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)

from batches.workloads import Reception
from translations.models import Origin, TranslationVersion
from translations.review.models import ReviewAct, ReviewEntry

REJECTED, EDITED, APPROVED, UNDECIDED = "rejected", "edited", "approved", ""


def receptions(items: QuerySet[Any]) -> dict[int | None, Reception]:
    """By prompt version, of the versions that these items' answers became.

    One that was rejected counts as that, whatever else was done to it; one that a
    person wrote another version of is edited.
    """
    said = ReviewEntry.objects.filter(
        translation=OuterRef("translation"), version=OuterRef("pk")
    )
    rewritten = TranslationVersion.objects.filter(
        translation=OuterRef("translation"),
        parent=OuterRef("pk"),
        origin=Origin.PERSON,
    )
    rows = (
        TranslationVersion.objects.filter(item__in=items.values("pk"))
        .annotate(
            verdict=Case(
                When(Exists(said.filter(act=ReviewAct.REJECTED)), then=Value(REJECTED)),
                When(Exists(rewritten), then=Value(EDITED)),
                When(Exists(said.filter(act=ReviewAct.APPROVED)), then=Value(APPROVED)),
                default=Value(UNDECIDED),
            )
        )
        .values("prompt_version")
        .annotate(
            results=Count("pk"),
            score_sum=Sum("score"),
            approved=Count("pk", filter=Q(verdict=APPROVED)),
            edited=Count("pk", filter=Q(verdict=EDITED)),
            rejected=Count("pk", filter=Q(verdict=REJECTED)),
        )
        .order_by()
        .values_list(
            *("prompt_version", "results", "score_sum"),
            *("approved", "edited", "rejected"),
        )
    )
    return {version: Reception(*figures) for version, *figures in rows}
