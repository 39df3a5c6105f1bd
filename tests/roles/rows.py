"""A row of every model that the admin shows, and the addresses of pages about it."""

import uuid
from collections.abc import Callable
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils import timezone
from django_q.models import Failure, Success

from batches.models import Cap, Event, Run
from tests.factories import make_entry
from translations.chats.judging import without_model
from translations.chats.models import Analysis, ChatSession, Source
from translations.chats.storing import store_analyses
from translations.chats.taxonomies import ACADEMY
from translations.dictionary.models import Entry
from translations.lessons.models import Lesson, Proposal, ProposalKind
from translations.models import Translation

# Where the first choice and the shortest text are not a row that may be.
SPECIAL: dict[type[models.Model], dict[str, Any]] = {
    Cap: {"most_items": 1},
    Failure: {"id": "f" * 32, "success": False},
    Success: {"id": "e" * 32, "success": True},
}


def make_analysis() -> Analysis:
    """Of a chat that needed no model."""
    session = ChatSession.objects.create(external_id="x", source=Source.API)
    judged = without_model(ACADEMY, source_hash="", language="und")
    store_analyses([(session.pk, judged)])
    return Analysis.objects.get()


def make_proposal() -> Proposal:
    return Proposal.objects.create(
        kind=ProposalKind.SUMMARY,
        lesson=Rows().of(Lesson),
        language="ar",
        number=1,
        score=100,
        content={
            "language": "ar",
            "summary_short": "اخفض صوتك.",
            "summary": "درس قصير.",
            "key_points": ["نقطة"],
            "objectives": [],
        },
        checks_version=1,
    )


# Rows whose texts are read by their pages.
MAKERS: dict[type[models.Model], Callable[[], models.Model]] = {
    Analysis: make_analysis,
    Entry: make_entry,
    Proposal: make_proposal,
}


class Rows:
    """Makes rows as they are asked for, with the rows that they refer to."""

    def __init__(self) -> None:
        self.made: dict[type[models.Model], models.Model] = {}

    def of(self, model: type[models.Model]) -> Any:
        if model not in self.made:
            there = model._default_manager.first()
            self.made[model] = there or self._make(model)
        return self.made[model]

    def _make(self, model: type[models.Model]) -> models.Model:
        if model in MAKERS:
            return MAKERS[model]()
        values = {**SPECIAL.get(model, {}), **self._relations(model)}
        for field in model._meta.concrete_fields:
            if field.name in values or field.null or field.has_default():
                continue
            if isinstance(field, models.AutoField):
                continue
            values[field.name] = (
                self.of(field.related_model) if field.is_relation else _shortest(field)
            )
        # Past save(), which asks more of a row than the database does.
        model._base_manager.bulk_create([model(**values)])
        row = model._default_manager.first()
        assert row is not None
        return row

    def _relations(self, model: type[models.Model]) -> dict[str, Any]:
        if model is Translation:
            return {"content_type": ContentType.objects.get_for_model(Lesson)}
        if model is Event:
            return {"run": self.of(Run)}
        return {}


def _shortest(field: models.Field) -> Any:
    """A value that the column takes."""
    if field.choices:
        return field.flatchoices[0][0]
    match field:
        case models.UUIDField():
            return uuid.uuid4()
        case models.DateTimeField():
            return timezone.now()
        case models.DateField():
            return timezone.localdate()
        case models.BinaryField():
            return b"f" * 32
        case models.JSONField():
            return {}
        case models.BooleanField():
            return False
        case models.IntegerField() | models.DecimalField() | models.FloatField():
            return 1
        case _:
            return "" if field.blank else "x"
