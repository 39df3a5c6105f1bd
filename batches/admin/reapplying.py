"""Applying stored answers again, by hand: one act for items, jobs and runs."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin.acts import Act
from batches.admin.display import number
from batches.models import BatchItem
from batches.services.reapply import (
    failed_only,
    in_words,
    prospect,
    reapply_some,
    skipped_in_words,
)


def prospect_in_words(found):
    """How many items are judged again, and why others cannot be."""
    able = ngettext(
        "%(count)s item is judged again; it costs nothing.",
        "%(count)s items are judged again; it costs nothing.",
        found.items,
    ) % {"count": number(found.items)}
    if not found.skipped:
        return able
    reasons = "; ".join(skipped_in_words(found.skipped))
    return _("%(able)s Left as they are: %(reasons)s.") % {
        "able": able,
        "reasons": reasons,
    }


def reapply_act(says, items_of, **given):
    """The act for a kind of rows; `items_of` gives the items of any number of them."""
    return Act(
        name="reapply",
        label=gettext_lazy("Apply stored answers again"),
        says=says,
        done=gettext_lazy("Applied again"),
        permission="batches.process_job",
        do=lambda row, by: reapply_some(items_of(row), by=by),
        effect=lambda *rows: prospect(items_of(*rows)),
        in_words=prospect_in_words,
        tells=in_words,
        **given,
    )


REAPPLY_ITEMS = reapply_act(
    gettext_lazy(
        "What was answered is judged and stored again, and nothing is sent. A failed "
        "item whose answer can be used now is done; a person's work stays."
    ),
    lambda *items: BatchItem.objects.filter(pk__in=[item.pk for item in items]),
    kind="reapply",
)

# What can be retried has failed, and may have been answered.
REAPPLY_FAILED = {
    "says": gettext_lazy(
        "What was answered about failed items is judged and stored again, and nothing "
        "is sent. An item whose answer can be used now is done; a person's work stays."
    ),
    "kind": "retry",
}
REAPPLY_JOBS = reapply_act(
    items_of=lambda *jobs: failed_only(BatchItem.objects.filter(job__in=jobs)),
    **REAPPLY_FAILED,
)
REAPPLY_RUNS = reapply_act(
    items_of=lambda *runs: failed_only(BatchItem.objects.filter(run__in=runs)),
    **REAPPLY_FAILED,
)
