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
from translations.glossary.models import GlossaryTerm
from translations.languages import direction
from translations.memory.models import ApprovedSegment
from translations.querysets import TranslationQuerySet
from translations.review.models import (
    DigestChoice,
    ReviewComment,
    ReviewDraft,
    ReviewEntry,
)
from translations.spans import JSONText, VersionSegment, segments_in

__all__ = [
    "BY_MACHINE",
    "ApprovedSegment",
    "CoverageCount",
    "DigestChoice",
    "DraftPart",
    "GlossaryTerm",
    "Origin",
    "ReviewComment",
    "ReviewDraft",
    "ReviewEntry",
    "ReviewStatus",
    "Translation",
    "TranslationVersion",
    "place",
]


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
    FILE = "file", _("File")  # somebody's proposal, that came in a file
    MEMORY = "memory", _("Memory")  # put together from what was there, without a call


# Nobody read these before they came; what a person keeps is not replaced by them.
BY_MACHINE = (Origin.MACHINE, Origin.MEMORY)


class Translation(models.Model):
    """One field of one content row in one language.

    `status` is that of the latest version; the published one may be an earlier one.
    `source_hash` is that of the source which the latest version translates: the unit is
    stale when the source has another by now. `minor_from` and `breach` say of which
    source and of which version they were found; of another they say nothing, so storing
    a version need not clear them.
    """

    content_type = models.ForeignKey(
        ContentType,
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,
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
    minor_from = models.CharField(
        max_length=64,
        blank=True,
        db_default="",
        help_text=_("The source hash since which only the source's form has changed."),
    )
    breach = models.BigIntegerField(
        null=True,
        help_text=_("The version that a term is against which was changed after it."),
    )
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

    objects = TranslationQuerySet.as_manager()

    class Meta:
        verbose_name = _("translation")
        verbose_name_plural = _("translations")
        permissions = [
            ("translate_content", _("Can have content translated")),
            ("edit_translation", _("Can edit translations and ask about them")),
            ("review_translation", _("Can approve and reject translations")),
            ("publish_translation", _("Can publish translations and take them back")),
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
        indexes = [
            models.Index(name="translation_status", fields=["status", "id"]),
            # reading.showable, page by page
            models.Index(
                name="translation_published",
                fields=["content_type", "language", "updated_at", "id"],
                condition=Q(published__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.field} of {self.object_id} in {self.language}"

    @property
    def direction(self) -> str:
        return direction(self.language)

    @property
    def is_changed_slightly(self) -> bool:
        """Whether the source has changed in blanks, punctuation or case alone."""
        return self.is_stale and self.minor_from == self.source_hash

    @property
    def breaks_glossary(self) -> bool:
        """Whether the latest version is against a term that was changed after it."""
        return self.breach is not None and self.breach == self.latest_id

    @property
    def is_out_of_date(self) -> bool:
        """Whether the latest version is worth asking for again."""
        is_changed = self.is_stale and not self.is_changed_slightly
        return is_changed or self.breaks_glossary


class TranslationVersion(models.Model):
    """One wording of a unit, by a machine or a person; the wording never changes.

    `segments` is what a change of the source is compared with, segment by segment; it
    is read from `text` and `spans`. `findings` is what the automatic checks said:
    `[{"code", "severity", "message", "segment", …}, …]`; newer checks may say something
    else of it.
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
    parent = models.ForeignKey(
        "self",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        verbose_name=_("made from"),
        help_text=_("The version that a person edited or restored."),
    )
    text = models.TextField(_("text"))
    spans = models.TextField(blank=True, default="")
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
    glossary_version = models.CharField(
        _("glossary"),
        max_length=12,
        blank=True,
        default="",
        help_text=_("Stands for the terms that went out with it, as they were."),
    )
    is_sandbox = models.BooleanField(_("from the sandbox"), default=False)
    findings = JSONText(_("findings"), default=list)
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

    @property
    def segments(self) -> list[VersionSegment]:
        return segments_in(self.text, self.spans)


def place(number: int, path: str) -> str:
    """Where a part stands in its text: `2`; its first half `2.1`, that one's `2.11`."""
    return f"{number}.{path}" if path else str(number)


class DraftPart(models.Model):
    """One answered part of a long text, until all parts of that source are there.

    `segments` is `[{"id", "source", "text"}, …]`; `text` is the part put together, so
    that the parts in order are the whole. A part whose answers were cut off comes in
    halves: `path` "1" and "2", the halves of the first "11" and "12". Nothing is there
    twice: beside a whole part there is no half of it. `cut` tells which segments were
    known when the text was cut into parts: parts of different cuts do not fit together.
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
    cut = models.CharField(max_length=12, blank=True, default="")
    total = models.PositiveIntegerField()
    text = models.TextField()
    segments = models.JSONField()
    glossary = models.JSONField(default=list)
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
                fields=["translation", "source_hash", "cut", "number", "path"],
            )
        ]

    def __str__(self) -> str:
        return f"part {self.place} of {self.total}"

    @property
    def place(self) -> str:
        return place(self.number, self.path)


class CoverageCount(models.Model):
    """How far a kind of content is translated, as the worker counted it in pieces.

    Until the count is finished, `cursor` is the key of the last row that was looked at.
    `lines` is `[[group key, language, [texts in each state, in the order of `State`]],
    …]`.
    """

    content_type = models.ForeignKey(
        ContentType, on_delete=models.CASCADE, related_name="+"
    )
    counts_pretended = models.BooleanField(
        help_text="Whether the sandbox's texts count, as they do while it is in use."
    )
    languages = JSONText(default=list)
    cursor = models.CharField(max_length=255, blank=True, default="")
    lines = JSONText(default=list)
    begun_at = models.DateTimeField()
    counted_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("count of coverage")
        verbose_name_plural = _("counts of coverage")

    def __str__(self) -> str:
        return f"coverage of {self.content_type_id} at {self.begun_at:%Y-%m-%d %H:%M}"
