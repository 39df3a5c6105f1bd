"""Keys with which programs use the API, and what each may do."""

from collections.abc import Iterable

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Scope(models.TextChoices):
    """What a key may do; every scope includes `read`, and `admin` all the others."""

    READ = "read", _("Read figures")
    READ_CONTENT = "read:content", _("Read requests and answers")
    SUBMIT = "submit", _("Create work")
    OPERATE = "operate", _("Check, process and cancel")
    ADMIN = "admin", _("Everything")


def granted(scopes: Iterable[str]) -> frozenset[Scope]:
    """All that these scopes come to; a word that is no scope grants nothing."""
    named = {Scope(scope) for scope in scopes if scope in Scope.values}
    if Scope.ADMIN in named:
        return frozenset(Scope)
    return frozenset(named | {Scope.READ}) if named else frozenset()


class ApiKey(models.Model):
    """A program's key, `PREFIX.SECRET`; only the secret's SHA-256 is kept here."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    prefix = models.CharField(
        _("prefix"),
        max_length=20,
        unique=True,
        editable=False,
        help_text=_("The part before the dot, by which a key is known."),
    )
    digest = models.CharField(
        max_length=64, editable=False, help_text="SHA-256 of the secret."
    )
    scopes = models.JSONField(_("scopes"), default=list)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("owner"),
        help_text=_("In whose name it acts; a key ends with its owner."),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    last_used_at = models.DateTimeField(
        _("last used"), null=True, blank=True, help_text=_("To the minute.")
    )

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")

    def __str__(self) -> str:
        return self.name
