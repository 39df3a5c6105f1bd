"""Whom we tell of what happens, and what was sent: an outbox with its log."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from batches.states import WebhookKind


class WebhookEndpoint(models.Model):
    """An address of somebody's that is sent events, signed with its own secret."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    url = models.CharField(
        _("address"), max_length=500, help_text=_("Such as https://example.org/hook.")
    )
    kinds = models.JSONField(
        _("events"), default=list, help_text=_("What is told there.")
    )
    secret = models.CharField(max_length=100, editable=False)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")

    def __str__(self) -> str:
        return self.name

    @property
    def kinds_in_words(self) -> str:
        known = dict(WebhookKind.choices)
        return ", ".join(str(known.get(kind, kind)) for kind in self.kinds)


class WebhookDelivery(models.Model):
    """One event for one endpoint, written in the transaction that made it happen.

    It is to be sent as long as `next_at` is set; then it was delivered, or given up.
    """

    endpoint = models.ForeignKey(
        WebhookEndpoint,
        on_delete=models.CASCADE,
        related_name="deliveries",
        verbose_name=_("webhook"),
    )
    message_id = models.CharField(
        _("id"), max_length=40, help_text=_("Equal when it is sent again.")
    )
    kind = models.CharField(_("event"), max_length=32, choices=WebhookKind)
    body = models.TextField(_("body"))
    created_at = models.DateTimeField(_("at"), default=timezone.now)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    next_at = models.DateTimeField(_("next try"), null=True)
    delivered_at = models.DateTimeField(_("delivered"), null=True)
    last_status = models.PositiveSmallIntegerField(_("last answer"), null=True)
    last_error = models.CharField(_("last trouble"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        constraints = [
            models.CheckConstraint(
                name="webhookdelivery_delivered_is_over",
                condition=models.Q(delivered_at__isnull=True)
                | models.Q(next_at__isnull=True),
            )
        ]
        indexes = [
            models.Index(
                name="webhookdelivery_due",
                fields=["next_at"],
                condition=models.Q(next_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.message_id}"

    @property
    def is_given_up(self) -> bool:
        return self.next_at is None and self.delivered_at is None
