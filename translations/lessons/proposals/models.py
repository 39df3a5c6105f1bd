"""What a model proposes for a lesson or a question, and the summaries in use."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from batches.models import BatchItem, PromptVersion
from translations.review.models import Reason


class ProposalKind(models.TextChoices):
    """The workload that a proposal comes of."""

    SUMMARY = "summary", _("Summary")
    QUIZ = "quiz_improvement", _("Quiz question")


class ProposalStatus(models.TextChoices):
    PENDING = "pending_review", _("To review")
    APPLIED = "applied", _("Applied")
    REJECTED = "rejected", _("Rejected")
    REVERTED = "reverted", _("Taken back")
    SUPERSEDED = "superseded", _("Replaced by a newer one")


DECIDED = (
    ProposalStatus.APPLIED,
    ProposalStatus.REJECTED,
    ProposalStatus.REVERTED,
)


class Proposal(models.Model):
    """One answer, beside what it would replace; its wording never changes.

    `content` is the answer; `before` is what stood there when it was asked for, and
    `replaced` what stood there when it was applied: to take it back is to write that
    again. `source_hash` is that of what was asked about, `applied_hash` that of what
    the applied proposal made of it.
    """

    kind = models.CharField(_("kind"), max_length=20, choices=ProposalKind)
    lesson = models.ForeignKey(
        "translations_lessons.Lesson",
        on_delete=models.CASCADE,
        null=True,
        related_name="proposals",
        verbose_name=_("lesson"),
    )
    question = models.ForeignKey(
        "translations_lessons.QuizQuestion",
        on_delete=models.CASCADE,
        null=True,
        related_name="proposals",
        verbose_name=_("quiz question"),
    )
    language = models.CharField(_("language"), max_length=35)
    number = models.PositiveIntegerField(_("version"))
    status = models.CharField(
        _("status"),
        max_length=16,
        choices=ProposalStatus,
        default=ProposalStatus.PENDING,
        db_index=True,
    )
    content = models.JSONField(_("proposed"))
    before = models.JSONField(_("as it was"), null=True)
    replaced = models.JSONField(_("what it replaced"), null=True)
    source_hash = models.CharField(max_length=64)
    applied_hash = models.CharField(max_length=64, blank=True)
    key_disputed = models.BooleanField(_("key disputed"), default=False)
    findings = models.JSONField(_("findings"), default=list)
    errors = models.PositiveIntegerField(_("errors"), default=0)
    warnings = models.PositiveIntegerField(_("warnings"), default=0)
    score = models.PositiveSmallIntegerField(_("automatic checks (0–100)"))
    checks_version = models.PositiveSmallIntegerField(_("version of the checks"))
    is_sandbox = models.BooleanField(_("from the sandbox"), default=False)
    item = models.ForeignKey(
        BatchItem,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        related_name="+",
        verbose_name=_("item"),
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
        verbose_name=_("prompt version"),
    )
    created_at = models.DateTimeField(_("at"), default=timezone.now)
    decided_by = models.CharField(_("decided by"), max_length=150, blank=True)
    decided_at = models.DateTimeField(_("decided at"), null=True)
    reason = models.CharField(_("reason"), max_length=16, choices=Reason, blank=True)
    explanation = models.TextField(_("in words"), blank=True)

    class Meta:
        verbose_name = _("proposal")
        verbose_name_plural = _("proposals")
        permissions = [
            ("apply_proposal", _("Can apply proposals")),
            ("reject_proposal", _("Can reject proposals")),
            ("revert_proposal", _("Can take applied proposals back")),
        ]
        constraints = [
            models.UniqueConstraint(
                name="proposal_number_of_lesson",
                fields=["lesson", "language", "number"],
                condition=Q(lesson__isnull=False),
            ),
            models.UniqueConstraint(
                name="proposal_number_of_question",
                fields=["question", "number"],
                condition=Q(question__isnull=False),
            ),
            models.CheckConstraint(
                name="proposal_is_of_its_kind",
                condition=Q(
                    kind=ProposalKind.SUMMARY,
                    lesson__isnull=False,
                    question__isnull=True,
                )
                | Q(
                    kind=ProposalKind.QUIZ,
                    lesson__isnull=True,
                    question__isnull=False,
                ),
            ),
            models.CheckConstraint(
                name="proposal_decided_at_iff_decided",
                condition=Q(status__in=DECIDED) ^ Q(decided_at__isnull=True),
            ),
            models.CheckConstraint(
                name="proposal_rejected_has_reason",
                condition=~Q(status=ProposalStatus.REJECTED) | ~Q(reason=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"


class LessonSummary(models.Model):
    """The summary of a lesson that is in use, in one language."""

    lesson = models.ForeignKey(
        "translations_lessons.Lesson",
        on_delete=models.CASCADE,
        related_name="summaries",
        verbose_name=_("lesson"),
    )
    language = models.CharField(_("language"), max_length=35)
    summary_short = models.TextField(_("in one sentence"))
    summary = models.TextField(_("summary"))
    key_points = models.JSONField(_("key points"))
    objectives = models.JSONField(
        _("objectives"), help_text='[{"text", "bloom_level", "verb", "evidence_quote"}]'
    )
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("lesson summary")
        verbose_name_plural = _("lesson summaries")
        constraints = [
            models.UniqueConstraint(
                name="lessonsummary_once", fields=["lesson", "language"]
            )
        ]

    def __str__(self) -> str:
        return f"{self.lesson_id} ({self.language})"
