"""What happened to runs and jobs, and what people did; append-only, both."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from batches.models.job import BatchJob
from batches.models.run import Run
from batches.querysets import EventQuerySet
from batches.states import AuditOutcome, EventKind


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


class AuditEntry(models.Model):
    """One act of a person or a program with rights; never changed, never deleted."""

    actor = models.CharField(_("actor"), max_length=150)
    address = models.CharField(_("address"), max_length=64, blank=True)
    action = models.CharField(_("action"), max_length=64)
    target = models.CharField(_("target"), max_length=200, blank=True)
    outcome = models.CharField(_("outcome"), max_length=16, choices=AuditOutcome)
    message = models.CharField(_("message"), max_length=500, blank=True)
    before = models.JSONField(_("before"), null=True, blank=True)
    after = models.JSONField(_("after"), null=True, blank=True)
    created_at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit log")
        indexes = [models.Index(name="auditentry_newest", fields=["-created_at"])]

    def __str__(self) -> str:
        return f"{self.actor}: {self.action} {self.target}".rstrip()
