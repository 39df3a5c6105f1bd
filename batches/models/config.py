"""This installation's identity, and settings changed while it runs."""

import uuid

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Installation(models.Model):
    """Who we are at the provider: one row.

    `database_hash` says where this database was when it last acted (empty before); a
    copy of it somewhere else is told by it, and must not act in our name.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    database_hash = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    reconciled_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When every batch of ours was last compared with the rows here.",
    )

    class Meta:
        verbose_name = _("installation")
        verbose_name_plural = _("installation")
        permissions = [
            ("platform_admin", _("Can see and requeue everybody's requests"))
        ]
        constraints = [
            models.CheckConstraint(name="installation_is_one", condition=models.Q(id=1))
        ]

    def __str__(self) -> str:
        return str(self.public_id)


class InstallationDisk(models.Model):
    """A disk with our mark on it: a file in DATA_DIR that holds this row's key.

    `inode` is the file's: a mark that was copied to another disk has another one. A
    disk that is not admitted may not act.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    installation = models.ForeignKey(
        Installation, on_delete=models.CASCADE, related_name="disks"
    )
    inode = models.BigIntegerField()
    host = models.CharField(_("host"), max_length=100)
    created_at = models.DateTimeField(_("first seen"), default=timezone.now)
    admitted_at = models.DateTimeField(_("admitted"), null=True, blank=True)
    seen_at = models.DateTimeField(_("last seen"), default=timezone.now)

    class Meta:
        verbose_name = _("disk")
        verbose_name_plural = _("disks")

    def __str__(self) -> str:
        return f"disk {self.id} on {self.host}"


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
