"""The golden set: requests that stay the same, to try prompts on, and their answers."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from batches.models.item import BatchItem


class GoldenCase(models.Model):
    """One request of a workload, kept as it was; only its prompt is another each time.

    `body` is the request's body without the model, `context` what its answer needs to
    be judged. `reference` is what a right answer says, where there is one.
    """

    class Origin(models.TextChoices):
        SHIPPED = "shipped", _("From a file of references")
        PICKED = "picked", _("Picked from reviewed work")

    workload = models.CharField(_("workload"), max_length=64)
    name = models.CharField(_("name"), max_length=200)
    target = models.CharField(_("target"), max_length=255)
    body = models.TextField(_("request"))
    context = models.TextField(_("context"), blank=True)
    reference = models.TextField(_("reference"), blank=True)
    origin = models.CharField(_("origin"), max_length=16, choices=Origin)
    digest = models.CharField(
        max_length=64, help_text="SHA-256 of the target and what is asked about."
    )
    added_by = models.CharField(_("added by"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("added"), default=timezone.now)

    class Meta:
        verbose_name = _("golden case")
        verbose_name_plural = _("golden set")
        constraints = [
            models.UniqueConstraint(
                name="goldencase_once", fields=["workload", "digest"]
            )
        ]

    def __str__(self) -> str:
        return self.name


class GoldenResult(models.Model):
    """An answer to a golden case under one prompt version, as it was judged."""

    case = models.ForeignKey(
        GoldenCase,
        on_delete=models.CASCADE,
        related_name="results",
        verbose_name=_("case"),
    )
    item = models.OneToOneField(
        BatchItem,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        verbose_name=_("item"),
    )
    text = models.TextField(_("answer"))
    score = models.PositiveSmallIntegerField(
        _("automatic checks (0–100)"), null=True, blank=True
    )
    errors = models.TextField(
        _("errors"), blank=True, help_text=_("Error-level checks, by code.")
    )
    chrf = models.FloatField(
        _("chrF"),
        null=True,
        blank=True,
        help_text=_("Likeness to the reference, 0 to 100; none without a reference."),
    )
    created_at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("golden result")
        verbose_name_plural = _("golden results")

    def __str__(self) -> str:
        return f"result {self.pk} of {self.case_id}"
