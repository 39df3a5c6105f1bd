"""What most workloads need of their own rows: pages of them, and those answered for."""

from collections.abc import Sequence
from typing import TypeVar

from django.contrib.contenttypes.models import ContentType
from django.db import models

from batches.errors import SubjectGone
from batches.workloads import Page, Subject, Verdict

M = TypeVar("M", bound=models.Model)


def page_of_rows(rows: models.QuerySet[M], after: str, limit: int) -> Page:
    """The next rows in the order of their keys, each as the source of a subject.

    Keys may be numbers, UUIDs or texts. `after` is the key of the last page's last row,
    as text; '' begins.
    """
    if after:
        rows = rows.filter(pk__gt=after)
    page = list(rows.order_by("pk")[:limit])
    kind = ContentType.objects.get_for_model(rows.model).pk
    return Page(
        [Subject(kind, str(row.pk), row) for row in page],
        cursor=str(page[-1].pk) if len(page) == limit else None,
    )


def answered_rows(model: type[M], verdicts: Sequence[Verdict]) -> dict[str, M]:
    """{key as text: row} of what answers are for, locked in the order of keys.

    For `Workload.store`. Raises SubjectGone naming those that were deleted while their
    answers were on the way, so that only these fail.
    """
    keys = {verdict.answer.object_id for verdict in verdicts}
    found = model._base_manager.filter(pk__in=keys).select_for_update()
    rows = {str(row.pk): row for row in found.order_by("pk")}
    if len(rows) < len(keys):
        name = str(model._meta.verbose_name).capitalize()
        raise SubjectGone(
            {
                verdict.answer.item_id: f"{name} {verdict.answer.object_id}"
                for verdict in verdicts
                if verdict.answer.object_id not in rows
            }
        )
    return rows
