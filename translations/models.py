"""Translations of any field of any registered model, in any language.

A unit (`Translation`) is one field of one row in one language; what was ever said for
it stands in its versions, whose wording never changes. A long text comes in parts,
which wait in a draft until none is missing.
"""

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from batches.models import BatchItem, PromptVersion
from translations.languages import direction


class ReviewStatus(models.TextChoices):
    DRAFT = (
        "draft",
        _("Incomplete"),
    )  # some parts are missing, and nothing else is there
    PENDING_REVIEW = "pending_review", _("To review")
    APPROVED = "approved", _("Approved")
    PUBLISHED = "published", _("Published")
    REJECTED = "rejected", _("Rejected")


class Origin(models.TextChoices):
    MACHINE = "machine", _("Machine")
    PERSON = "person", _("Person")


class Translation(models.Model):
    """One field of one content row in one language.

    `status` is that of the latest version; the published one may be an earlier one.
    `source_hash` is that of the source which the latest version translates: the unit is
    stale when the source has another by now.
    """

    content_type = models.ForeignKey(
        ContentType,
        on_delete=models.CASCADE,
        related_name="+",
        verbose_name=_("kind of content"),
    )
    object_id = models.CharField(_("content"), max_length=255)
    field = models.CharField(_("field"), max_length=64)
    language = models.CharField(_("language"), max_length=35)
    source_language = models.CharField(_("source language"), max_length=35)
    format = models.CharField(_("format"), max_length=16)
    status = models.CharField(
        _("status"),
        max_length=16,
        choices=ReviewStatus,
        default=ReviewStatus.DRAFT,
    )
    latest = models.ForeignKey(
        "TranslationVersion",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        verbose_name=_("latest version"),
    )
    published = models.ForeignKey(
        "TranslationVersion",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        verbose_name=_("published version"),
    )
    versions_made = models.PositiveIntegerField(_("versions"), default=0)
    source_hash = models.CharField(max_length=64, blank=True)
    is_stale = models.BooleanField(_("out of date"), default=False)
    is_sandbox = models.BooleanField(
        _("from the sandbox"),
        default=False,
        help_text=_("The latest version is a pretended answer."),
    )
    is_kept = models.BooleanField(
        _("kept by a person"),
        default=False,
        help_text=_(
            "A person edited or approved it: a machine only proposes beside it."
        ),
    )
    parts_total = models.PositiveIntegerField(_("parts"), default=0)
    parts_done = models.PositiveIntegerField(_("parts there"), default=0)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    updated_at = models.DateTimeField(_("changed"), default=timezone.now)

    class Meta:
        verbose_name = _("translation")
        verbose_name_plural = _("translations")
        permissions = [
            ("translate_content", _("Can have content translated")),
        ]
        constraints = [
            models.UniqueConstraint(
                name="translation_unit",
                fields=["content_type", "object_id", "field", "language"],
            ),
            models.CheckConstraint(
                name="translation_draft_has_no_version",
                condition=Q(status=ReviewStatus.DRAFT) ^ Q(latest__isnull=False),
            ),
        ]
        indexes = [models.Index(name="translation_status", fields=["status", "id"])]

    def __str__(self) -> str:
        return f"{self.field} of {self.object_id} in {self.language}"

    @property
    def direction(self) -> str:
        return direction(self.language)


class TranslationVersion(models.Model):
    """One wording of a unit, by a machine or a person; the wording never changes.

    `segments` is `[{"id", "source_hash", "text"}, …]` in order: what a change of the
    source is compared with, segment by segment. `findings` is what the automatic checks
    said: `[{"code", "severity", "message", "segment", …}, …]`; newer checks may say
    something else of it.
    """

    translation = models.ForeignKey(
        Translation,
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,
        related_name="versions",
        verbose_name=_("translation"),
    )
    number = models.PositiveIntegerField(_("version"))
    text = models.TextField(_("text"))
    segments = models.JSONField(_("segments"), default=list)
    source_hash = models.CharField(max_length=64)
    origin = models.CharField(_("by"), max_length=16, choices=Origin)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        db_index=False,
        null=True,
        related_name="+",
        verbose_name=_("author"),
    )
    item = models.ForeignKey(
        BatchItem,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        verbose_name=_("item"),
        help_text=_("The request that it answers; the last one of a text in parts."),
    )
    provider = models.CharField(_("provider"), max_length=32, blank=True)
    model = models.CharField(_("model"), max_length=100, blank=True)
    prompt_version = models.ForeignKey(
        PromptVersion,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        verbose_name=_("prompt"),
    )
    is_sandbox = models.BooleanField(_("from the sandbox"), default=False)
    findings = models.JSONField(_("findings"), default=list)
    errors = models.PositiveIntegerField(_("errors"), default=0)
    warnings = models.PositiveIntegerField(_("warnings"), default=0)
    score = models.PositiveSmallIntegerField(_("automatic checks (0–100)"))
    checks_version = models.PositiveSmallIntegerField(_("version of the checks"))
    created_at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("translation version")
        verbose_name_plural = _("translation versions")
        constraints = [
            models.UniqueConstraint(
                name="translationversion_number", fields=["translation", "number"]
            )
        ]

    def __str__(self) -> str:
        return f"version {self.number}"


def place(number: int, path: str) -> str:
    """Where a part stands in its text: `2`; its first half `2.1`, that one's `2.11`."""
    return f"{number}.{path}" if path else str(number)


class DraftPart(models.Model):
    """One answered part of a long text, until all parts of that source are there.

    `segments` is `[{"id", "source", "text"}, …]`; `text` is the part put together, so
    that the parts in order are the whole. A part whose answers were cut off comes in
    halves: `path` "1" and "2", the halves of the first "11" and "12". Nothing is there
    twice: beside a whole part there is no half of it.
    """

    translation = models.ForeignKey(
        Translation, on_delete=models.CASCADE, related_name="draft_parts"
    )
    source_hash = models.CharField(max_length=64)
    number = models.PositiveIntegerField(help_text="1-based.")
    # Each digit halves at most 25 segments, so there are never more than 24.
    path = models.CharField(
        max_length=32, blank=True, default="", help_text="Blank for a whole part."
    )
    total = models.PositiveIntegerField()
    text = models.TextField()
    segments = models.JSONField()
    is_pretended = models.BooleanField(default=False)
    item = models.ForeignKey(
        BatchItem,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )

    class Meta:
        verbose_name = _("draft part")
        verbose_name_plural = _("draft parts")
        constraints = [
            models.UniqueConstraint(
                name="draftpart_once",
                fields=["translation", "source_hash", "number", "path"],
            )
        ]

    def __str__(self) -> str:
        return f"part {self.place} of {self.total}"

    @property
    def place(self) -> str:
        return place(self.number, self.path)
