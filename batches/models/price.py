"""What tokens cost by our own word, and how many tokens answers turned out to be."""

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


def _dollars(label: Any, **given: Any) -> models.DecimalField:
    """Dollars for a million tokens."""
    return models.DecimalField(label, max_digits=12, decimal_places=6, **given)


def _factor(label: Any, help_text: Any) -> models.DecimalField:
    return models.DecimalField(
        label, max_digits=7, decimal_places=3, default=Decimal(1), help_text=help_text
    )


class Price(models.Model):
    """What a model costs on some days, where the shipped prices lack it or are wrong.

    Rates are dollars for a million tokens. `revision` counts changes, which the audit
    log keeps: each attempt names the price and the revision that it was priced by.
    """

    provider = models.CharField(
        _("provider"),
        max_length=32,
        blank=True,
        help_text=_("Its key, such as openai; empty for any."),
    )
    model = models.CharField(
        _("model"),
        max_length=100,
        help_text=_(
            "A name, which stands for its dated snapshots too; or the beginning of "
            "names with a * after it."
        ),
    )
    valid_from = models.DateField(_("from"), help_text=_("First day, UTC."))
    valid_until = models.DateField(
        _("until"),
        null=True,
        blank=True,
        help_text=_("Last day, UTC, included; empty for no end."),
    )
    batch_input = _dollars(_("input, batch"))
    batch_cached = _dollars(
        _("cached input, batch"),
        null=True,
        blank=True,
        help_text=_("Empty where it costs what input does."),
    )
    batch_output = _dollars(
        _("output, batch"),
        null=True,
        blank=True,
        help_text=_("Empty for embeddings alone, which have none."),
    )
    real_time_input = _dollars(_("input, real time"))
    real_time_cached = _dollars(_("cached input, real time"), null=True, blank=True)
    real_time_output = _dollars(_("output, real time"), null=True, blank=True)
    written_factor = _factor(
        _("cache writes, times input"),
        _("What input costs that is put into the cache: 1.25 from gpt-5.6 on, else 1."),
    )
    long_from = models.PositiveIntegerField(
        _("long prompts above"),
        null=True,
        blank=True,
        help_text=_(
            "Input tokens of one request above which all of it costs more, such as "
            "272000; empty where length does not matter."
        ),
    )
    long_input_factor = _factor(
        _("long prompts, input times"), _("Of a long prompt, cached input included.")
    )
    long_output_factor = _factor(
        _("long prompts, output times"), _("Of the answer to a long prompt.")
    )
    note = models.CharField(
        _("note"), max_length=500, blank=True, help_text=_("Where it is published.")
    )
    revision = models.PositiveIntegerField(_("revision"), default=1, editable=False)
    changed_by = models.CharField(_("changed by"), max_length=150, editable=False)
    changed_at = models.DateTimeField(
        _("changed"), default=timezone.now, editable=False
    )

    class Meta:
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        ordering = ["model", "provider", "valid_from"]
        constraints = [
            models.UniqueConstraint(
                name="price_once_a_day", fields=["provider", "model", "valid_from"]
            ),
            models.CheckConstraint(
                name="price_is_more_than_nothing",
                condition=Q(batch_input__gt=0, real_time_input__gt=0),
            ),
            models.CheckConstraint(
                name="price_ends_after_it_begins",
                condition=Q(valid_until__isnull=True)
                | Q(valid_until__gte=models.F("valid_from")),
            ),
        ]

    def __str__(self) -> str:
        until = f"to {self.valid_until}" if self.valid_until else "on"
        whose = f" of {self.provider}" if self.provider else ""
        return (
            f"price {self.pk or '(new)'} for {self.model}{whose}, "
            f"{self.valid_from} {until}"
        )


class AnswerLength(models.Model):
    """How many answers to requests of a size were so long; a row for each step.

    Added to once per job, by the transaction that ends it, in key order, from some
    of the answers that were applied; what was there before fades, so `answers` is no
    whole number. `trait` is the workload's own word, such as the
    target language. A request is of size n from 2ⁿ input tokens on; the answer had
    2 to the power of `step` / 8 output tokens for each input token.
    """

    provider = models.CharField(_("provider"), max_length=32)
    workload = models.CharField(_("workload"), max_length=64)
    model = models.CharField(_("model"), max_length=100)
    trait = models.CharField(_("trait"), max_length=100, blank=True)
    size = models.SmallIntegerField(_("size"))
    step = models.SmallIntegerField(_("step"))
    answers = models.FloatField(_("answers"), default=0)

    class Meta:
        verbose_name = _("answer length")
        verbose_name_plural = _("answer lengths")
        constraints = [
            models.UniqueConstraint(
                name="answerlength_once",
                fields=["provider", "workload", "model", "trait", "size", "step"],
            )
        ]

    def __str__(self) -> str:
        return f"{self.answers:.0f} answers of {self.workload} on {self.model}"
