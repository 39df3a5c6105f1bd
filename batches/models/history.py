"""What happened to runs and jobs, and what people did; append-only, both."""

from typing import Any, NoReturn

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from batches.errors import AuditIsFixed
from batches.models.job import BatchJob
from batches.models.run import Run
from batches.querysets import AuditEntryQuerySet, EventQuerySet
from batches.states import AuditKind, AuditOutcome, EventKind


class Event(models.Model):
    """One thing that happened, written in the transaction that made it happen."""

    run = models.ForeignKey(
        Run,
        on_delete=models.CASCADE,
        null=True,
        related_name="events",
        verbose_name=_("run"),
    )
    job = models.ForeignKey(
        BatchJob,
        on_delete=models.CASCADE,
        null=True,
        related_name="events",
        verbose_name=_("job"),
    )
    kind = models.CharField(_("what"), max_length=32, choices=EventKind)
    message = models.CharField(_("message"), max_length=500, blank=True)
    data = models.JSONField(_("data"), default=dict)
    created_at = models.DateTimeField(_("at"), default=timezone.now)

    objects = EventQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = [
            models.CheckConstraint(
                name="event_is_of_a_run_or_a_job",
                condition=Q(run__isnull=False) | Q(job__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return self.kind


class ReceivedWebhook(models.Model):
    """A delivery of a provider's webhook, remembered for as long as it is repeated."""

    webhook_id = models.CharField(primary_key=True, max_length=200)
    kind = models.CharField(_("what"), max_length=64)
    received_at = models.DateTimeField(_("at"), default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("received webhook")
        verbose_name_plural = _("received webhooks")

    def __str__(self) -> str:
        return f"{self.kind} {self.webhook_id}"


class AuditEntry(models.Model):
    """One act of a person or a program with rights; never changed, never deleted.

    What may come in floods (refusals, looks) is one row a minute for each who and what,
    and `count` says how often; `counted_as` is what makes that row the only one.
    """

    kind = models.CharField(
        _("kind"), max_length=16, choices=AuditKind, default=AuditKind.ACT
    )
    actor = models.CharField(_("actor"), max_length=150)
    address = models.CharField(_("address"), max_length=64, blank=True)
    action = models.CharField(_("action"), max_length=64)
    target = models.CharField(_("target"), max_length=200, blank=True)
    outcome = models.CharField(_("outcome"), max_length=16, choices=AuditOutcome)
    message = models.CharField(_("message"), max_length=500, blank=True)
    before = models.JSONField(_("before"), null=True, blank=True)
    after = models.JSONField(_("after"), null=True, blank=True)
    count = models.PositiveIntegerField(_("times"), default=1)
    # Null, since many entries are not counted, and what is unique may be null often.
    counted_as = models.CharField(  # noqa: DJ001
        max_length=64, null=True, unique=True, editable=False
    )
    created_at = models.DateTimeField(_("at"), default=timezone.now)

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit log")
        # Each is read newest first by `monitoring.audit.entries`.
        indexes = [
            models.Index(name="auditentry_newest", fields=["-created_at"]),
            models.Index(name="auditentry_actor", fields=["actor", "id"]),
            models.Index(name="auditentry_address", fields=["address", "id"]),
            models.Index(name="auditentry_action", fields=["action", "id"]),
            models.Index(name="auditentry_outcome", fields=["outcome", "id"]),
        ]

    def __str__(self) -> str:
        return f"{self.actor}: {self.action} {self.target}".rstrip()

    def save(self, *args: Any, **options: Any) -> None:
        """Raises AuditIsFixed for an entry that is there already."""
        if not self._state.adding:
            raise AuditIsFixed
        super().save(*args, **options)

    def delete(self, *args: Any, **options: Any) -> NoReturn:
        raise AuditIsFixed
