"""Prompts are data: versions that never change, and which of them is in use."""

import hashlib
from typing import Any, NoReturn

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from batches.errors import PromptIsFixed
from batches.querysets import PromptVersionQuerySet

# What a version is. Answers name the version that they were asked with, so none of it
# changes, used or not; the other columns say what it is used for.
FIXED = (
    *("workload", "number", "text", "digest", "origin"),
    *("note", "written_by", "created_at"),
)


class PromptVersion(models.Model):
    """One wording of a workload's instructions to the model.

    Each subject of a workload has one of 100 slots (`services/arms.py`). A version on
    trial has the subjects of its `slots`; the one in production has all others.
    """

    class Origin(models.TextChoices):
        CODE = "code", _("Shipped")
        PERSON = "person", _("Written here")

    class Label(models.TextChoices):
        PRODUCTION = "production", _("In production")
        TRIAL = "trial", _("On trial")
        CANDIDATE = "candidate", _("Candidate")
        EARLIER = "earlier", _("In production before")

    workload = models.CharField(_("workload"), max_length=64)
    number = models.PositiveIntegerField(_("number"))
    text = models.TextField(
        _("text"), help_text=_("Variables are written $name; the workload lists them.")
    )
    digest = models.CharField(
        max_length=64, editable=False, help_text="SHA-256 of the text."
    )
    origin = models.CharField(_("origin"), max_length=16, choices=Origin)
    note = models.TextField(
        _("note"), blank=True, help_text=_("What is different in it, and why.")
    )
    written_by = models.CharField(
        _("written by"), max_length=150, blank=True, default="", editable=False
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now)

    is_production = models.BooleanField(_("in production"), default=False)
    slots = models.JSONField(
        _("slots"),
        default=list,
        editable=False,
        help_text=_("Of the 100 slots of subjects, those that it is tried on."),
    )
    promoted_at = models.DateTimeField(
        _("last put into production"), null=True, editable=False
    )
    promoted_by = models.CharField(
        _("put there by"),
        max_length=150,
        blank=True,
        default="",
        editable=False,
        help_text=_("Blank where it came with an installation or an upgrade."),
    )
    replaced = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        editable=False,
        verbose_name=_("in the place of"),
        help_text=_("What rolling back puts into production again."),
    )

    fixed = FIXED
    objects = PromptVersionQuerySet.as_manager()

    class Meta:
        verbose_name = _("prompt version")
        verbose_name_plural = _("prompt versions")
        permissions = [
            ("promote_promptversion", _("Can put prompt versions into production")),
            ("weigh_promptversion", _("Can give prompt versions subjects to try")),
            ("try_promptversion", _("Can run prompt versions on the golden set")),
        ]
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
            models.CheckConstraint(
                name="promptversion_production_is_not_tried",
                condition=Q(is_production=False) | Q(slots=[]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workload} prompt {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Raises PromptIsFixed where the wording, or what is told of it, is another."""
        if self._state.adding:
            self.digest = digest_of(self.text)
        else:
            stored = type(self).objects.filter(pk=self.pk).values(*FIXED).get()
            changed = [name for name in FIXED if stored[name] != getattr(self, name)]
            if changed:
                raise PromptIsFixed(str(self), changed)
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise PromptIsFixed(str(self), ["its being there"])

    @property
    def label(self) -> "PromptVersion.Label":
        if self.is_production:
            return self.Label.PRODUCTION
        if self.slots:
            return self.Label.TRIAL
        return self.Label.EARLIER if self.promoted_at else self.Label.CANDIDATE

    @property
    def weight(self) -> int:
        """The percentage of subjects that it is tried on."""
        return len(self.slots)


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
