"""How proposals were received: by the automatic checks, and by people."""

from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from batches.workloads import Reception
from translations.lessons.models import Proposal, ProposalStatus

REFUSED = (ProposalStatus.REJECTED, ProposalStatus.REVERTED)


def receptions(items: QuerySet[Any]) -> dict[int | None, Reception]:
    """By prompt version, of the proposals that these items' answers became.

    What was taken back after it was applied counts as rejected.
    """
    rows = (
        Proposal.objects.filter(item__in=items.values("pk"))
        .values("prompt_version")
        .annotate(
            results=Count("pk"),
            score_sum=Sum("score"),
            approved=Count("pk", filter=Q(status=ProposalStatus.APPLIED)),
            rejected=Count("pk", filter=Q(status__in=REFUSED)),
        )
        .order_by()
        .values_list("prompt_version", "results", "score_sum", "approved", "rejected")
    )
    return {
        version: Reception(results, scores, approved, rejected=rejected)
        for version, results, scores, approved, rejected in rows
    }
