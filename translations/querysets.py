"""What is asked of translations in more than one place."""

from typing import Any, Self

from django.db import models
from django.db.models import F, Q

CHANGED_SLIGHTLY = Q(is_stale=True, minor_from=F("source_hash"))
OUT_OF_DATE = (Q(is_stale=True) & ~Q(minor_from=F("source_hash"))) | Q(
    breach=F("latest_id")
)


class TranslationQuerySet(models.QuerySet[Any]):
    def out_of_date(self) -> Self:
        """Units worth asking for again; see `Translation.is_out_of_date`."""
        return self.filter(OUT_OF_DATE, latest__isnull=False)

    def up_to_date(self) -> Self:
        """Units with a version that says what the source and the glossary say now."""
        # Not `exclude`: a breach that is NULL is neither equal nor different.
        is_current = Q(is_stale=False) | Q(minor_from=F("source_hash"))
        keeps_terms = Q(breach__isnull=True) | ~Q(breach=F("latest_id"))
        return self.filter(is_current, keeps_terms, latest__isnull=False)
