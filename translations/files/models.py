"""Files of requests that somebody brought, line by line, with their answers."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class RequestFile(models.Model):
    """One file: requests as the Batch API takes them, or rows with a prompt."""

    class Form(models.TextChoices):
        JSONL = "jsonl", _("Batch requests (JSON Lines)")
        CSV = "csv", _("Table (CSV) with a prompt")

    name = models.CharField(_("name"), max_length=200)
    form = models.CharField(_("form"), max_length=8, choices=Form)
    model = models.CharField(_("model"), max_length=100)
    lines_total = models.PositiveIntegerField(_("requests"), default=0)
    digest = models.CharField(
        max_length=64, editable=False, help_text="SHA-256 of the file as it came."
    )
    output_limit = models.PositiveIntegerField(
        _("output limit (tokens)"),
        null=True,
        blank=True,
        help_text=_("Of each request that says none itself."),
    )
    prompt = models.TextField(_("prompt"), blank=True)
    schema = models.JSONField(_("schema of answers"), null=True, blank=True)
    columns = models.JSONField(_("columns"), default=list, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("owner"),
    )
    created_at = models.DateTimeField(_("imported"), default=timezone.now)

    class Meta:
        verbose_name = _("file of requests")
        verbose_name_plural = _("files of requests")
        permissions = [("start_requestfile", _("Can send files of requests"))]

    def __str__(self) -> str:
        return f"file {self.pk} ({self.name})"


class FileLine(models.Model):
    """One request of a file, and its answer once there is one."""

    file = models.ForeignKey(
        RequestFile,
        on_delete=models.CASCADE,
        db_index=False,
        related_name="lines",
        verbose_name=_("file"),
    )
    number = models.PositiveIntegerField(_("line"), help_text=_("1-based."))
    custom_id = models.CharField(_("custom_id"), max_length=255)
    content = models.TextField(
        _("content"),
        help_text="JSON: a request's body without its model, or a row by column.",
    )
    answer = models.TextField(_("answer"), blank=True)
    item_id = models.BigIntegerField(
        _("item"), null=True, help_text="The item that was answered; null until then."
    )
    is_sandbox = models.BooleanField(_("made up by the sandbox"), default=False)
    answered_at = models.DateTimeField(_("answered"), null=True)

    class Meta:
        verbose_name = _("request of a file")
        verbose_name_plural = _("requests of files")
        constraints = [
            # Also the order in which lines are asked and answers handed out.
            models.UniqueConstraint(
                name="fileline_once_per_file", fields=["file", "number"]
            ),
            models.UniqueConstraint(
                name="fileline_custom_id", fields=["file", "custom_id"]
            ),
            models.CheckConstraint(
                name="fileline_answered_iff_item",
                condition=Q(item_id__isnull=True) ^ Q(answered_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.custom_id} (line {self.number})"
