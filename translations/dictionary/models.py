"""Words, the entries written for them, and answers about a word in its context."""

import hashlib

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from batches.models import BatchItem, PromptVersion
from translations.dictionary.normalising import REASONS
from translations.languages import direction
from translations.models import ReviewStatus
from translations.review.models import Reason

LONGEST_KEY_TEXT = 80


class WordStatus(models.TextChoices):
    KEPT = "kept", _("Kept")
    REJECTED = "rejected", _("Rejected")


def word_key(language: str, text: str) -> str:
    """`en:patience`: known before there is a row, so that anybody can ask for a word.

    What cannot stand in an address, as some rejected words, goes by its hash.
    """
    if len(text) <= LONGEST_KEY_TEXT and text.isprintable():
        return f"{language}:{text}"
    return f"{language}:#{hashlib.sha256(text.encode()).hexdigest()[:40]}"


class Word(models.Model):
    """A headword, or a word that was not taken, with the reason.

    A rejected word stays: with another preset it may be kept. `entry` is the latest.
    """

    key = models.CharField(_("key"), primary_key=True, max_length=130)
    language = models.CharField(_("language"), max_length=35)
    text = models.CharField(_("word"), max_length=255)
    status = models.CharField(
        _("status"), max_length=8, choices=WordStatus, default=WordStatus.KEPT
    )
    reason = models.CharField(_("reason"), max_length=20, blank=True)
    headword = models.CharField(
        _("a form of"), max_length=255, blank=True, help_text=_("If it was folded.")
    )
    zipf = models.FloatField(
        _("zipf"),
        null=True,
        blank=True,
        help_text=_("How common it is: 7 for “the”, 3 once in a million words."),
    )
    # Hundredths of zipf; where there are no frequencies, occurrences in the text.
    commonness = models.PositiveIntegerField(default=0, editable=False)
    forms = models.JSONField(
        _("words as found"), default=dict, help_text=_("With how often each came.")
    )
    preset = models.CharField(_("preset"), max_length=16, blank=True)
    source = models.CharField(_("list"), max_length=100, blank=True)
    source_hash = models.CharField(max_length=64, blank=True)
    entry = models.ForeignKey(
        "Entry",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        verbose_name=_("entry"),
    )
    entry_source_hash = models.CharField(max_length=64, blank=True)
    entry_is_sandbox = models.BooleanField(_("from the sandbox"), default=False)
    entries_made = models.PositiveIntegerField(_("entries"), default=0)
    updated_at = models.DateTimeField(_("changed"), default=timezone.now)

    rejection = ""  # of its latest entry, why; set by who selects words for a run

    class Meta:
        verbose_name = _("word")
        verbose_name_plural = _("words")
        indexes = [
            # Read by words_in_need: the commonest first.
            models.Index(
                name="word_wanted",
                fields=["language", "-commonness", "key"],
                condition=models.Q(status=WordStatus.KEPT),
            )
        ]

    def __str__(self) -> str:
        return self.text

    @property
    def direction(self) -> str:
        return direction(self.language)

    @property
    def reason_in_words(self) -> str:
        return REASONS.get(self.reason, self.reason)

    @property
    def is_stale(self) -> bool:
        """Whether the words it stands for have changed since its entry was written."""
        return bool(self.entry_id) and self.entry_source_hash != self.source_hash


class Entry(models.Model):
    """One answer for a headword, as it came; never changed but for its review."""

    word = models.ForeignKey(
        Word,
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,
        related_name="entries",
        verbose_name=_("word"),
    )
    number = models.PositiveIntegerField(_("number"))
    status = models.CharField(
        _("status"),
        max_length=16,
        choices=ReviewStatus,
        default=ReviewStatus.PENDING_REVIEW,
    )
    content = models.JSONField(_("content"))
    source_hash = models.CharField(max_length=64)
    findings = models.JSONField(_("findings"), default=list)
    errors = models.PositiveIntegerField(_("errors"), default=0)
    warnings = models.PositiveIntegerField(_("warnings"), default=0)
    score = models.PositiveSmallIntegerField(_("automatic checks (0–100)"))
    checks_version = models.PositiveSmallIntegerField(_("version of the checks"))
    item = models.ForeignKey(
        BatchItem,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        verbose_name=_("item"),
    )
    provider = models.CharField(_("provider"), max_length=32)
    model = models.CharField(_("model"), max_length=100)
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
    created_at = models.DateTimeField(_("at"), default=timezone.now)
    decided_by = models.CharField(_("decided by"), max_length=150, blank=True)
    decided_at = models.DateTimeField(_("decided at"), null=True)
    reason = models.CharField(_("reason"), max_length=16, choices=Reason, blank=True)
    explanation = models.TextField(_("in words"), blank=True)

    class Meta:
        verbose_name = _("entry")
        verbose_name_plural = _("entries")
        permissions = [
            ("review_entry", _("Can approve and reject entries")),
            ("publish_entry", _("Can publish entries")),
        ]
        constraints = [
            models.UniqueConstraint(name="entry_number", fields=["word", "number"]),
            models.UniqueConstraint(
                name="entry_published_once",
                fields=["word"],
                condition=models.Q(status=ReviewStatus.PUBLISHED),
            ),
            models.CheckConstraint(
                name="entry_rejected_has_reason",
                condition=~models.Q(status=ReviewStatus.REJECTED)
                | ~models.Q(reason=""),
            ),
        ]
        indexes = [
            models.Index(
                name="entry_to_review",
                fields=["score", "id"],
                condition=models.Q(status=ReviewStatus.PENDING_REVIEW),
            )
        ]

    def __str__(self) -> str:
        return f"{self.word_id}, entry {self.number}"


class FeatureAnswer(models.Model):
    """What a run was told of a word: one of seven features, for that run alone."""

    word = models.ForeignKey(
        Word,
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="feature_answers",
        verbose_name=_("word"),
    )
    feature = models.CharField(_("feature"), max_length=32)
    content = models.JSONField(_("content"))
    item = models.OneToOneField(
        BatchItem,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        verbose_name=_("item"),
    )
    provider = models.CharField(_("provider"), max_length=32)
    model = models.CharField(_("model"), max_length=100)
    is_sandbox = models.BooleanField(_("from the sandbox"), default=False)
    created_at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("answer about a word")
        verbose_name_plural = _("answers about words")

    def __str__(self) -> str:
        return f"{self.feature} of {self.word_id}"
