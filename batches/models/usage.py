"""What was used, by the hour: the figures that reports read."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class HourlyUsage(models.Model):
    """Attempts that ended in one hour, alike in all that a report groups by.

    Added to once per job, by the transaction that ends it, in key order. Money of the
    sandbox and of real providers stands in rows of its own (`provider`) and is never
    summed together.
    """

    hour = models.DateTimeField(_("hour"))
    provider = models.CharField(_("provider"), max_length=32)
    workload = models.CharField(_("workload"), max_length=64)
    model = models.CharField(_("model"), max_length=100)
    owner_key = models.BigIntegerField(
        _("owner"), default=0, help_text="The owner's id; 0 where there is none."
    )
    account = models.CharField(_("account"), max_length=64, blank=True)
    outcome = models.CharField(_("outcome"), max_length=16)
    error_code = models.CharField(_("error"), max_length=64, blank=True)
    attempts = models.BigIntegerField(_("attempts"), default=0)
    input_tokens = models.BigIntegerField(_("input tokens"), default=0)
    cached_tokens = models.BigIntegerField(_("cached tokens"), default=0)
    output_tokens = models.BigIntegerField(_("output tokens"), default=0)
    cost_nanos = models.BigIntegerField(_("cost (nano-dollars)"), default=0)

    class Meta:
        verbose_name = _("hourly usage")
        verbose_name_plural = _("hourly usage")
        constraints = [
            models.UniqueConstraint(
                name="hourlyusage_once",
                fields=[
                    "hour",
                    "provider",
                    "workload",
                    "model",
                    "owner_key",
                    "account",
                    "outcome",
                    "error_code",
                ],
            )
        ]

    def __str__(self) -> str:
        return f"{self.workload} on {self.model}, {self.hour:%Y-%m-%d %H:00}"
