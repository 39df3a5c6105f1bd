"""What waits for a person, what of it first, and what follows what."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.db.models import (
    BooleanField,
    Exists,
    ExpressionWrapper,
    F,
    Model,
    OuterRef,
    Q,
    QuerySet,
    TextField,
)
from django.db.models.functions import Cast, Coalesce
from django.utils.translation import gettext_lazy as _

from batches import config
from batches.providers.registry import active_provider, is_sandbox
from batches.states import Priority
from translations.models import ReviewEntry, ReviewStatus, Translation
from translations.registry import all_registered
from translations.review.comments import open_questions

M = TypeVar("M", bound=Model)
MOST_GROUPS = 200
# Of more, the first of these that came are put in order: to sort a hundred
# thousand takes seconds, and nobody gets so far.
MOST_IN_ORDER = 2_001
KEPT_SECONDS = 600

TO_REVIEW, ASKED, TO_PUBLISH = "review", "asked", "publish"
LOOK_AGAIN, OUT_OF_DATE, REJECTED = "again", "stale", "rejected"
SHELVES = {
    TO_REVIEW: _("To review"),
    ASKED: _("Waiting for an answer"),
    TO_PUBLISH: _("Approved, to publish"),
    LOOK_AGAIN: _("To be looked at again"),
    OUT_OF_DATE: _("Published, out of date"),
    REJECTED: _("Rejected"),
}


@dataclass(frozen=True)
class Filters:
    """What part of the queue somebody works on; a blank means all."""

    shelf: str = TO_REVIEW
    pair: str = ""  # so>ar
    kind: str = ""  # app.model, or app.model:group for a course
    code: str = ""  # of a finding
    languages: str = ""  # tags with commas, that a translation may be in

    @classmethod
    def read(cls, given: Any) -> "Filters":
        """From an address; what is no filter counts as none."""
        shelf = given.get("shelf", "")
        return cls(
            shelf=shelf if shelf in SHELVES else TO_REVIEW,
            pair=given.get("pair", ""),
            kind=given.get("kind", ""),
            code=given.get("code", ""),
            languages=given.get("languages", ""),
        )

    @property
    def as_query(self) -> dict[str, str]:
        default = Filters()
        return {
            name: value
            for name in ("shelf", "pair", "kind", "code", "languages")
            if (value := getattr(self, name)) != getattr(default, name)
        }

    def on(self, shelf: str) -> "Filters":
        return replace(self, shelf=shelf)


def waiting(filters: Filters, *, reader: AbstractBaseUser) -> QuerySet[Translation]:
    """The units of a part of the queue, the riskiest first.

    Errors before warnings, then the lowest score, what readers see out of date, what
    was asked for with priority, and the oldest; of the MOST_IN_ORDER that came first.
    """
    return came_first(units_of(filters, reader=reader)).order_by(
        ExpressionWrapper(Q(latest__errors__gt=0), output_field=BooleanField()).desc(),
        "latest__score",
        "-is_stale",
        Coalesce(F("latest__item__run__priority"), Priority.NORMAL.value).desc(),
        "updated_at",
        "pk",
    )


def came_first(rows: QuerySet[M]) -> QuerySet[M]:
    """The MOST_IN_ORDER of these with the lowest keys, to be put in an order."""
    keys = rows.order_by("pk").values("pk")[:MOST_IN_ORDER]
    return rows.model._default_manager.filter(pk__in=keys)


def units_of(filters: Filters, *, reader: AbstractBaseUser) -> QuerySet[Translation]:
    """All units of a part of the queue, in no order."""
    units = _on_shelf(filters.shelf, reader)
    if filters.pair:
        source_language, _sign, language = filters.pair.partition(">")
        units = units.filter(source_language=source_language, language=language)
    if filters.languages:
        units = units.filter(language__in=filters.languages.split(","))
    if filters.kind:
        units = _of_kind(units, filters.kind)
    if filters.code:
        # Each database writes JSON in its own way, and so do we.
        found = Cast("latest__findings", TextField())
        marks = [f'"code": "{filters.code}"', f'"code":"{filters.code}"']
        either = Q(found__contains=marks[0]) | Q(found__contains=marks[1])
        units = units.annotate(found=found).filter(either)
    return units


def to_review() -> QuerySet[Translation]:
    """All that waits for a reviewer, in no order: no questions are open about it."""
    units = Translation.objects.filter(status=ReviewStatus.PENDING_REVIEW)
    if not is_sandbox(active_provider()):
        units = units.filter(is_sandbox=False)  # it counts as missing
    return units.exclude(_is_asked_about())


def _on_shelf(shelf: str, reader: AbstractBaseUser) -> QuerySet[Translation]:
    if shelf == ASKED:
        return Translation.objects.filter(_is_asked_about(), latest__isnull=False)
    if shelf == TO_PUBLISH:
        return Translation.objects.filter(status=ReviewStatus.APPROVED)
    if shelf == LOOK_AGAIN:
        entries = ReviewEntry.objects.filter(
            translation=OuterRef("pk"), needs_second_look=True
        )
        return Translation.objects.filter(Exists(entries))
    if shelf == OUT_OF_DATE:
        return Translation.objects.out_of_date().filter(status=ReviewStatus.PUBLISHED)
    if shelf == REJECTED:
        return Translation.objects.filter(status=ReviewStatus.REJECTED)
    units = to_review()
    if config.get("REVIEW_TWO_PEOPLE"):
        units = units.exclude(latest__author_id=reader.pk)
    return units


def _is_asked_about() -> Exists:
    return Exists(open_questions().filter(translation=OuterRef("pk")))


def _of_kind(units: QuerySet[Translation], kind: str) -> QuerySet[Translation]:
    label, _sign, group = kind.partition(":")
    entry = all_registered().get(label)
    if entry is None:
        return units.none()
    units = units.filter(content_type=ContentType.objects.get_for_model(entry.model))
    if not group:
        return units
    if not entry.group or not group.isdecimal() or len(group) > 18:
        return units.none()
    rows = entry.model._default_manager.filter(**{entry.group: int(group)})
    keys = [str(key) for key in rows.values_list("pk", flat=True)]
    return units.filter(object_id__in=keys)


def pairs_of(units: QuerySet[Translation], name: str) -> list[str]:
    """The language pairs in a queue, as `so>ar`; `name` stands for the queue."""
    rows = kept_distinct(units, ("source_language", "language"), name)
    return sorted(f"{source}>{target}" for source, target in rows)


def languages_there() -> list[str]:
    """The languages that there are units in, for a menu."""
    rows = kept_distinct(Translation.objects.all(), ("language",), "all")
    return sorted(language for (language,) in rows)


def kept_distinct(
    units: QuerySet[Translation], columns: tuple[str, ...], name: str
) -> list[tuple[str, ...]]:
    """The values of these columns together, each once, in no order.

    Of more units than MOST_IN_ORDER as they were in the last minutes: every unit is
    looked at to find them.
    """
    key = f"distinct:{hashlib.sha256(repr((columns, name)).encode()).hexdigest()}"
    found: list[tuple[str, ...]] | None = cache.get(key)
    if found is None:
        found = list(units.order_by().values_list(*columns).distinct())
        if units.order_by().values("pk")[:MOST_IN_ORDER].count() == MOST_IN_ORDER:
            cache.set(key, found, KEPT_SECONDS)
    return found


def kinds() -> list[tuple[str, str]]:
    """(filter value, name) of the kinds of content, and of their groups (courses)."""
    found = []
    for label, entry in all_registered().items():
        name = str(entry.model._meta.verbose_name_plural)
        found.append((label, name))
        if not entry.group:
            continue
        model = entry.model._meta.get_field(entry.group).related_model
        groups = model._default_manager.order_by("pk")[:MOST_GROUPS]  # type: ignore[union-attr]
        found += [(f"{label}:{row.pk}", f"{name}: {row}") for row in groups]
    return found


def next_after(
    units: QuerySet[Translation], *, skipped: Iterable[int] = ()
) -> Translation | None:
    """The first of a queue that is not among those that were skipped."""
    return units.exclude(pk__in=list(skipped)).first()
