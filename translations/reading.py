"""What a site shows: published text, and the source where there is none."""

from django.contrib.contenttypes.models import ContentType
from django.db import models

from batches.providers.registry import active_provider, is_sandbox
from translations.models import Translation, TranslationVersion


def published_version(
    row: models.Model, field: str, language: str
) -> TranslationVersion | None:
    """The published version of a field in a language, if it may be shown.

    Pretended text (of the sandbox) is shown while the sandbox is what this installation
    works with, and counts as missing once a real provider is.
    """
    unit = (
        Translation.objects.filter(
            content_type=ContentType.objects.get_for_model(row),
            object_id=str(row.pk),
            field=field,
            language=language,
        )
        .select_related("published")
        .first()
    )
    version = unit.published if unit else None
    if version and version.is_sandbox and not is_sandbox(active_provider()):
        return None
    return version


def translated(row: models.Model, field: str, language: str) -> str:
    """The published text of a field in a language, else the source's own.

    `translated(lesson, "title", "ar")`
    """
    version = published_version(row, field, language)
    return version.text if version else getattr(row, field) or ""


def showable() -> models.QuerySet[Translation]:
    """Units with published text that may be shown; see `published_version`."""
    units = Translation.objects.filter(published__isnull=False)
    if not is_sandbox(active_provider()):
        units = units.filter(published__is_sandbox=False)
    return units.select_related("published")
