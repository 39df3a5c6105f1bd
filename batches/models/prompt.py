"""Prompts are data: versions that never change once they are used."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class PromptVersion(models.Model):
    """One wording of a workload's instructions to the model."""

    class Origin(models.TextChoices):
        CODE = "code", _("Shipped")
        PERSON = "person", _("Written here")

    workload = models.CharField(_("workload"), max_length=64)
    number = models.PositiveIntegerField(_("number"))
    text = models.TextField(
        _("text"), help_text=_("Variables are written $name; the workload lists them.")
    )
    digest = models.CharField(
        max_length=64, editable=False, help_text="SHA-256 of the text."
    )
    origin = models.CharField(_("origin"), max_length=16, choices=Origin)
    is_production = models.BooleanField(_("in production"), default=False)
    note = models.TextField(_("note"), blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)

    class Meta:
        verbose_name = _("prompt version")
        verbose_name_plural = _("prompt versions")
        constraints = [
            models.UniqueConstraint(
                name="promptversion_number", fields=["workload", "number"]
            ),
            models.UniqueConstraint(
                name="promptversion_text", fields=["workload", "digest"]
            ),
            models.UniqueConstraint(
                name="promptversion_one_in_production",
                fields=["workload"],
                condition=Q(is_production=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workload} prompt {self.number}"
