"""What keeps work from going out, and what a person should look at."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from batches.models.job import BatchJob
from batches.models.run import Run
from batches.querysets import AlertQuerySet, HoldQuerySet
from batches.states import HoldScope, Severity


class Hold(models.Model):
    """Nothing new goes out under it; what is at the provider is read all the same.

    `key` names the provider, workload or account that is held; empty for everything.
    At most one is active for each scope, key and reason.
    """

    scope = models.CharField(_("holds"), max_length=16, choices=HoldScope)
    key = models.CharField(_("which"), max_length=100, blank=True)
    code = models.CharField(_("reason"), max_length=64)
    message = models.CharField(_("message"), max_length=500)
    raised_by = models.CharField(_("raised by"), max_length=150)
    raised_at = models.DateTimeField(_("since"), default=timezone.now)
    probe_at = models.DateTimeField(
        _("next probe"),
        null=True,
        blank=True,
        help_text=_("When to ask the provider whether the trouble is over."),
    )
    probes = models.PositiveIntegerField(_("probes"), default=0)
    lifted_by = models.CharField(_("lifted by"), max_length=150, blank=True)
    lifted_at = models.DateTimeField(_("lifted"), null=True, blank=True)

    objects = HoldQuerySet.as_manager()

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        constraints = [
            models.UniqueConstraint(
                name="hold_once_while_active",
                fields=["scope", "key", "code"],
                condition=Q(lifted_at__isnull=True),
            ),
            models.CheckConstraint(
                name="hold_of_all_has_no_key",
                condition=Q(scope=HoldScope.ALL) ^ ~Q(key=""),
            ),
        ]

    def __str__(self) -> str:
        return f"hold on {self.what()}"

    def what(self) -> str:
        """What is held, in words: `everything`, `the provider openai`."""
        if self.scope == HoldScope.ALL:
            return "everything"
        return f"the {self.scope} {self.key}"

    def covers(self, *, provider: str, workload: str, account: str) -> bool:
        """Whether it is about such work."""
        named = {
            HoldScope.ALL: "",
            HoldScope.PROVIDER: provider,
            HoldScope.WORKLOAD: workload,
            HoldScope.ACCOUNT: account,
        }
        return named[HoldScope(self.scope)] == self.key


class Alert(models.Model):
    """Something that a person should know of; told once, however often it is seen.

    `key` tells two things with the same code apart: a batch id, a job's number.
    """

    code = models.CharField(_("what"), max_length=64)
    key = models.CharField(max_length=200, blank=True)
    severity = models.CharField(
        _("severity"), max_length=16, choices=Severity, default=Severity.MEDIUM
    )
    message = models.CharField(_("message"), max_length=1_000)
    job = models.ForeignKey(
        BatchJob,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="alerts",
        verbose_name=_("job"),
    )
    run = models.ForeignKey(
        Run,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="alerts",
        verbose_name=_("run"),
    )
    times = models.PositiveIntegerField(_("times"), default=1)
    raised_at = models.DateTimeField(_("since"), default=timezone.now)
    seen_at = models.DateTimeField(_("last seen"), default=timezone.now)
    acknowledged_by = models.CharField(_("acknowledged by"), max_length=150, blank=True)
    acknowledged_at = models.DateTimeField(_("acknowledged"), null=True, blank=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.UniqueConstraint(
                name="alert_once_while_open",
                fields=["code", "key"],
                condition=Q(acknowledged_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.key}".rstrip()
