"""Segments as people approved them."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class ApprovedSegment(models.Model):
    """A segment with the translation that a person approved last, by kind of field.

    `source_hash` is that of the source as texts are compared: composed letters, single
    blanks, none at the ends. `is_sandbox` marks what serves the sandbox alone.
    """

    source_hash = models.CharField(max_length=16)
    source_language = models.CharField(_("source language"), max_length=35)
    language = models.CharField(_("language"), max_length=35)
    format = models.CharField(_("format"), max_length=16)
    field = models.CharField(_("field"), max_length=64)
    source = models.TextField(_("source"))
    text = models.TextField(_("text"))
    version = models.ForeignKey(
        "translations.TranslationVersion",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        verbose_name=_("version"),
    )
    is_sandbox = models.BooleanField(default=False)
    approved_at = models.DateTimeField(_("approved"), default=timezone.now)

    class Meta:
        verbose_name = _("approved segment")
        verbose_name_plural = _("memory")
        constraints = [
            models.UniqueConstraint(
                name="approvedsegment_once",
                fields=[
                    "source_hash",
                    "language",
                    "source_language",
                    "format",
                    "field",
                    "is_sandbox",
                ],
            )
        ]
        # Memory.similar reads the newest of a pair of languages.
        indexes = [
            models.Index(
                name="approvedsegment_newest",
                fields=["language", "source_language", "-id"],
            )
        ]

    def __str__(self) -> str:
        return f"{self.source[:60]} → {self.text[:60]}"
