"""What may be spent or sent at most, and what was told of how near it is."""

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from batches.models.money import to_usd
from batches.states import CapPeriod, CapScope


class Cap(models.Model):
    """A limit in dollars or in items to what goes out within a time.

    Without a key it holds for each workload, owner, account or run by itself. Real
    money and the sandbox's are counted apart, each against the whole of the limit.
    """

    scope = models.CharField(
        _("of"), max_length=16, choices=CapScope, default=CapScope.ALL
    )
    key = models.CharField(
        _("which one"),
        max_length=150,
        blank=True,
        help_text=_(
            "The workload's key, the account or the owner's user name. Empty: for each "
            "one by itself."
        ),
    )
    period = models.CharField(
        _("within"), max_length=16, choices=CapPeriod, default=CapPeriod.MONTH
    )
    most_nanos = models.BigIntegerField(
        _("at most (nano-dollars)"), null=True, blank=True
    )
    most_items = models.PositiveIntegerField(
        _("at most (items)"), null=True, blank=True
    )
    changed_by = models.CharField(_("changed by"), max_length=150, blank=True)
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("cap")
        verbose_name_plural = _("caps")
        constraints = [
            models.CheckConstraint(
                name="cap_is_of_dollars_or_of_items",
                condition=Q(most_nanos__isnull=True) ^ Q(most_items__isnull=True),
            ),
            models.CheckConstraint(
                name="cap_is_not_negative",
                condition=Q(most_nanos__isnull=True) | Q(most_nanos__gte=0),
            ),
            models.UniqueConstraint(
                name="cap_in_dollars_once",
                fields=["scope", "key", "period"],
                condition=Q(most_nanos__isnull=False),
            ),
            models.UniqueConstraint(
                name="cap_in_items_once",
                fields=["scope", "key", "period"],
                condition=Q(most_items__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        amount = (
            f"{self.most_items:,} items"
            if self.most_items is not None
            else f"${self.most_usd.normalize():f}"
        )
        of = CapScope(self.scope).label
        which = f" {self.key}" if self.key else ""
        return f"{amount} {CapPeriod(self.period).label}, {of}{which}"

    @property
    def most_usd(self) -> Decimal:
        return to_usd(self.most_nanos or 0)


class CapNotice(models.Model):
    """That a cap was seen to be used up so far within one period; told once."""

    cap = models.CharField(max_length=200, help_text="Which cap, of whom, of what.")
    period_start = models.DateTimeField()
    percent = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("notice of a cap")
        verbose_name_plural = _("notices of caps")
        constraints = [
            models.UniqueConstraint(
                name="capnotice_once", fields=["cap", "period_start", "percent"]
            )
        ]

    def __str__(self) -> str:
        return f"{self.cap}: {self.percent} %"
