"""Rows of the glossary, as people write them."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from translations.glossary import rules


class GlossaryRule(models.TextChoices):
    REQUIRED = "required", _("Required")
    PREFERRED = "preferred", _("Preferred")
    KEEP = "keep", _("Kept as it is")


class GlossaryTerm(models.Model):
    """A term with all its forms, and what it is called in one language.

    Forms are separated by bars. A row without a source or target language is for every
    one; without a scope it is for all content.
    """

    source_language = models.CharField(
        _("source language"),
        max_length=35,
        blank=True,
        help_text=_("A tag such as so or en; empty for every language."),
    )
    target_language = models.CharField(
        _("target language"),
        max_length=35,
        blank=True,
        help_text=_("A tag such as ar or pt-BR; empty for every language."),
    )
    scope = models.CharField(
        _("for"),
        max_length=100,
        blank=True,
        help_text=_(
            "One kind of content, such as translations_lessons.lesson; empty for all."
        ),
    )
    source_term = models.CharField(_("term"), max_length=200)
    source_forms = models.TextField(
        _("all its forms"),
        blank=True,
        help_text=_("With bars between them: ilme|ilmaha|ilmihiisa."),
    )
    preferred = models.TextField(
        _("to be used"),
        blank=True,
        help_text=_("Any of these will do, with bars between them: child|children."),
    )
    forbidden = models.TextField(
        _("not to be used"), blank=True, help_text=_("With bars between them.")
    )
    rule = models.CharField(
        _("rule"), max_length=16, choices=GlossaryRule, default=GlossaryRule.REQUIRED
    )
    note = models.TextField(
        _("note"), blank=True, help_text=_("Goes to the translator.")
    )
    owner = models.CharField(_("owner"), max_length=150, blank=True)
    version = models.PositiveIntegerField(_("version"), default=1)
    updated_at = models.DateTimeField(_("changed"), default=timezone.now)

    class Meta:
        verbose_name = _("glossary term")
        verbose_name_plural = _("glossary")
        constraints = [
            models.UniqueConstraint(
                name="glossaryterm_once",
                fields=["source_term", "source_language", "target_language", "scope"],
            )
        ]

    def __str__(self) -> str:
        source = self.source_language or "*"
        told = f"{self.source_term} ({source} → {self.target_language or '*'})"
        return f"{told} for {self.scope}" if self.scope else told

    def clean(self) -> None:
        """The row alone, and beside all the others."""
        for name in rules.FORM_COLUMNS:
            setattr(self, name, rules.tidied(getattr(self, name)))
        if self.rule not in GlossaryRule.values:
            return  # the field says so
        if found := rules.problems(self):
            raise ValidationError(found)
        others = GlossaryTerm.objects.exclude(pk=self.pk)
        if conflict := rules.conflict(self, others.order_by("pk").iterator()):
            raise ValidationError(conflict)

    def columns(self) -> dict[str, Any]:
        """As the glossary's CSV has them."""
        return {name: getattr(self, name) for name in rules.COLUMNS}
