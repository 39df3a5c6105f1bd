"""What is known of providers' limits, and how large a workload's jobs are to be."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class ProviderState(models.Model):
    """Whether a provider answers, and the rate limits that it last told.

    After failures in a row calls rest until `open_until`; then one goes through, whose
    turn lasts until `probe_until`, and what comes of it decides.
    """

    provider = models.CharField(_("provider"), max_length=32, primary_key=True)
    failures = models.PositiveSmallIntegerField(_("failures in a row"), default=0)
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True)
    times_opened = models.PositiveSmallIntegerField(_("rests in a row"), default=0)
    open_until = models.DateTimeField(_("rests until"), null=True, blank=True)
    probe_until = models.DateTimeField(_("probed until"), null=True, blank=True)
    last_error = models.CharField(_("last error"), max_length=500, blank=True)
    rate_limits = models.JSONField(
        _("rate limits"),
        default=dict,
        blank=True,
        help_text="The headers x-ratelimit-* of its last answer that had any.",
    )
    rate_limits_at = models.DateTimeField(_("rate limits seen"), null=True, blank=True)

    class Meta:
        verbose_name = _("provider's limits")
        verbose_name_plural = _("provider limits")

    def __str__(self) -> str:
        return self.provider


class TokenQueue(models.Model):
    """How many input tokens of a model may be queued at a provider, as far as is known.

    No provider tells it before it refuses. `allowance` is what we keep to; None until
    something was refused. All figures are in tokens as the provider counts them: what
    it billed for finished jobs, beside what we had counted, converts ours.
    """

    provider = models.CharField(_("provider"), max_length=32)
    model = models.CharField(_("model"), max_length=100)
    allowance = models.BigIntegerField(_("kept to"), null=True, blank=True)
    told_limit = models.BigIntegerField(_("limit told"), null=True, blank=True)
    told_at = models.DateTimeField(_("told"), null=True, blank=True)
    refused_tokens = models.BigIntegerField(
        _("too much"),
        null=True,
        blank=True,
        help_text=_("What was queued, with the job that was refused."),
    )
    held_tokens = models.BigIntegerField(
        _("fitted"),
        null=True,
        blank=True,
        help_text=_("The most that was queued at once since less was refused."),
    )
    refused_at = models.DateTimeField(_("last refusal"), null=True, blank=True)
    came_early_at = models.DateTimeField(
        _("last sent too early"),
        null=True,
        blank=True,
        help_text=_("Then a job was refused that went out as a batch was finishing."),
    )
    refusals = models.PositiveIntegerField(_("refusals"), default=0)
    counted_tokens = models.BigIntegerField(_("tokens we counted"), default=0)
    billed_tokens = models.BigIntegerField(_("and the provider billed"), default=0)
    changed_at = models.DateTimeField(_("changed"), default=timezone.now)

    class Meta:
        verbose_name = _("token queue")
        verbose_name_plural = _("token queues")
        constraints = [
            models.UniqueConstraint(
                name="tokenqueue_once", fields=["provider", "model"]
            )
        ]

    def __str__(self) -> str:
        return f"queue of {self.model} at {self.provider}"


class JobSize(models.Model):
    """How many items the next jobs of a workload are to have, learned from the last."""

    workload = models.CharField(_("workload"), max_length=64, primary_key=True)
    size = models.PositiveIntegerField(_("items in a job"))
    items_complete = models.PositiveIntegerField(_("done in the last job"), default=0)
    items_failed = models.PositiveIntegerField(_("failed in the last job"), default=0)
    changed_at = models.DateTimeField(_("changed"), default=timezone.now)

    class Meta:
        verbose_name = _("job size")
        verbose_name_plural = _("job sizes")

    def __str__(self) -> str:
        return f"{self.size} items in a job of {self.workload}"
