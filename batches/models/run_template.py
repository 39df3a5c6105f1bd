"""What is asked for again and again, under a name."""

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from batches.models.money import to_usd
from batches.states import Priority


class RunTemplate(models.Model):
    """A run's options under a name, to be started by hand or by a schedule."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    workload = models.CharField(_("workload"), max_length=64)
    options = models.JSONField(_("options"), default=dict, blank=True)
    limit = models.PositiveIntegerField(_("limit (subjects)"), null=True, blank=True)
    budget_nanos = models.BigIntegerField(
        _("budget (nano-dollars)"), null=True, blank=True
    )
    account = models.CharField(_("account"), max_length=64, blank=True)
    priority = models.SmallIntegerField(
        _("priority"), choices=Priority, default=Priority.NORMAL
    )
    may_wait = models.BooleanField(_("may wait for a fuller job"), default=False)
    force_refresh = models.BooleanField(
        _("ask again"),
        default=False,
        help_text=_("Asks also what an equal request was answered before."),
    )
    canary = models.BooleanField(
        _("begin with a sample"),
        default=True,
        help_text=_("Large runs stop and ask where too few answers pass the checks."),
    )
    cron = models.CharField(
        _("schedule"),
        max_length=100,
        blank=True,
        help_text=_(
            "Five fields, as 0 3 * * 1 for Mondays at three, in SCHEDULE_TIME_ZONE. "
            "Empty: it is started by hand."
        ),
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("owner"),
        help_text=_("Who made it: the scheduled runs are theirs, and their caps hold."),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    changed_by = models.CharField(_("changed by"), max_length=150, blank=True)
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("run template")
        verbose_name_plural = _("run templates")
        permissions = [("start_runtemplate", _("Can start runs of templates"))]
        constraints = [
            models.CheckConstraint(
                name="runtemplate_limit_is_positive",
                condition=Q(limit__isnull=True) | Q(limit__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def budget_usd(self) -> Decimal | None:
        return None if self.budget_nanos is None else to_usd(self.budget_nanos)

    @property
    def schedule_key(self) -> str:
        """What runs of it carry as their `schedule`."""
        return f"template:{self.pk}"
