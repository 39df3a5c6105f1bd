"""This installation's identity, and settings changed while it runs."""

import uuid

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Installation(models.Model):
    """Who we are at the provider: one row.

    `database_hash` is that of the database's host and name when the row was made: a
    copy of this database somewhere else is told by it, and must not act in our name.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    database_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("installation")
        verbose_name_plural = _("installation")
        constraints = [
            models.CheckConstraint(name="installation_is_one", condition=models.Q(id=1))
        ]

    def __str__(self) -> str:
        return str(self.public_id)


class SyncedSchedule(models.Model):
    """What `sync_schedules` last wrote of a schedule.

    A schedule that differs from it was edited by a person, and is left alone.
    """

    name = models.CharField(max_length=100, primary_key=True)
    cron = models.CharField(max_length=100)

    class Meta:
        verbose_name = _("synced schedule")
        verbose_name_plural = _("synced schedules")

    def __str__(self) -> str:
        return self.name


class ConfigOverride(models.Model):
    """A setting's value that wins over the environment's and the default."""

    name = models.CharField(_("setting"), max_length=64, primary_key=True)
    value = models.JSONField(_("value"))
    changed_by = models.CharField(_("changed by"), max_length=150, blank=True)
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("setting override")
        verbose_name_plural = _("setting overrides")

    def __str__(self) -> str:
        return self.name
