"""Courses, modules, lessons and quizzes of a parenting academy.

The shape follows the academy whose content this app was first written for. Texts are in
the source language of their lesson; translations stand in the `translations` app.
"""

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class CourseCategory(models.TextChoices):
    SPECIAL = "special", _("Special")
    GENERAL = "general", _("General")


class TextFormat(models.TextChoices):
    TEXT = "text", _("Plain text")
    HTML = "html", _("HTML")
    MARKDOWN = "markdown", _("Markdown")


class LessonType(models.TextChoices):
    VIDEO = "video", _("Video")
    TEXT = "text", _("Text")
    QUIZ = "quiz", _("Quiz")
    ASSIGNMENT = "assignment", _("Assignment")
    LIVE = "live", _("Live")


class UnlockType(models.TextChoices):
    IMMEDIATE = "immediate", _("At once")
    DATE = "date", _("On a date")
    AFTER_ENROLLMENT = "days_after_enrollment", _("Days after enrolment")
    AFTER_PREVIOUS = "days_after_previous", _("Days after the previous lesson")


class Voice(models.TextChoices):
    UBAX = "ubax", "Ubax"
    MUUSE = "muuse", "Muuse"


class QuestionType(models.TextChoices):
    MULTIPLE_CHOICE = "multiple_choice", _("Multiple choice")
    OPEN_ENDED = "open_ended", _("Open-ended")


class Difficulty(models.TextChoices):
    EASY = "easy", _("Easy")
    MEDIUM = "medium", _("Medium")
    HARD = "hard", _("Hard")


class Course(models.Model):
    """A course; `external_id` is its slug where the content came from."""

    external_id = models.SlugField(_("external id"), max_length=100, unique=True)
    title = models.CharField(_("title"), max_length=300)
    description = models.TextField(_("description"), blank=True)
    category = models.CharField(
        _("category"),
        max_length=16,
        choices=CourseCategory,
        default=CourseCategory.GENERAL,
    )
    age_range = models.CharField(_("age range"), max_length=50, blank=True)
    is_live = models.BooleanField(_("live"), default=False)
    is_free = models.BooleanField(_("free"), default=False)
    content_ready = models.BooleanField(_("content ready"), default=True)
    coming_soon_message = models.TextField(_("coming soon message"), blank=True)
    price_monthly_usd = models.PositiveIntegerField(
        _("price per month (whole US dollars)"), null=True, blank=True
    )
    price_yearly_usd = models.PositiveIntegerField(
        _("price per year (whole US dollars)"), null=True, blank=True
    )
    price_once_usd = models.PositiveIntegerField(
        _("price once (whole US dollars)"), null=True, blank=True
    )
    position = models.PositiveIntegerField(_("position"), default=0)

    class Meta:
        ordering = ["position", "pk"]
        verbose_name = _("course")
        verbose_name_plural = _("courses")

    def __str__(self) -> str:
        return self.title


class Module(models.Model):
    course = models.ForeignKey(
        Course,
        verbose_name=_("course"),
        on_delete=models.CASCADE,
        related_name="modules",
    )
    title = models.CharField(_("title"), max_length=300)
    position = models.PositiveIntegerField(_("position"), default=0)

    class Meta:
        ordering = ["course", "position", "pk"]
        verbose_name = _("module")
        verbose_name_plural = _("modules")
        constraints = [
            models.UniqueConstraint(
                fields=["course", "title"], name="module_title_once_per_course"
            )
        ]

    def __str__(self) -> str:
        return self.title


class Lesson(models.Model):
    """One lesson. For `lesson_type` quiz, `body` holds JSON, not prose.

    A description or body of null was never written; an empty one was left empty. Both
    stay as they came.
    """

    course = models.ForeignKey(
        Course,
        verbose_name=_("course"),
        on_delete=models.CASCADE,
        related_name="lessons",
    )
    module = models.ForeignKey(
        Module,
        verbose_name=_("module"),
        on_delete=models.SET_NULL,
        related_name="lessons",
        null=True,
        blank=True,
    )
    external_id = models.CharField(_("external id"), max_length=100, unique=True)
    lesson_type = models.CharField(
        _("type"), max_length=16, choices=LessonType, default=LessonType.TEXT
    )
    position = models.PositiveIntegerField(_("position"), default=0)

    source_language = models.CharField(
        _("source language"), max_length=35, default="so"
    )
    title = models.CharField(_("title"), max_length=300)
    description = models.TextField(_("description"), null=True, blank=True)  # noqa: DJ001
    body = models.TextField(_("body"), null=True, blank=True)  # noqa: DJ001
    body_format = models.CharField(
        _("format of the body"),
        max_length=16,
        choices=TextFormat,
        default=TextFormat.TEXT,
    )
    assignment_requirements = models.TextField(_("assignment requirements"), blank=True)

    duration = models.CharField(_("duration"), max_length=50, blank=True)  # "12 min"
    video_url = models.URLField(_("video address"), max_length=500, blank=True)
    audio_url = models.URLField(_("audio address"), max_length=500, blank=True)
    voice_name = models.CharField(_("voice"), max_length=16, choices=Voice, blank=True)

    unlock_type = models.CharField(
        _("unlocks"), max_length=32, choices=UnlockType, default=UnlockType.IMMEDIATE
    )
    unlock_date = models.DateTimeField(_("unlocks on"), null=True, blank=True)
    unlock_days_after = models.PositiveIntegerField(
        _("unlocks after (days)"), null=True, blank=True
    )

    is_live = models.BooleanField(_("live"), default=False)
    live_url = models.URLField(_("live address"), max_length=500, blank=True)
    live_date = models.DateTimeField(_("live on"), null=True, blank=True)
    live_timezone = models.CharField(
        _("time zone of the live lesson"), max_length=64, default="Africa/Mogadishu"
    )
    is_free = models.BooleanField(_("free"), default=False)
    # save() sets it; so does the import, which writes in bulk.
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["course", "position", "pk"]
        verbose_name = _("lesson")
        verbose_name_plural = _("lessons")
        constraints = [
            models.CheckConstraint(
                name="lesson_title_not_empty", condition=~Q(title="")
            )
        ]

    def __str__(self) -> str:
        return self.title


class Quiz(models.Model):
    lesson = models.ForeignKey(
        Lesson,
        verbose_name=_("lesson"),
        on_delete=models.CASCADE,
        related_name="quizzes",
    )
    external_id = models.CharField(_("external id"), max_length=100, unique=True)
    title = models.CharField(_("title"), max_length=300)
    description = models.TextField(_("description"), blank=True)
    passing_score = models.PositiveSmallIntegerField(
        _("passing score (%)"), default=70, validators=[MaxValueValidator(100)]
    )
    position = models.PositiveIntegerField(_("position"), default=0)

    class Meta:
        ordering = ["lesson", "position", "pk"]
        verbose_name = _("quiz")
        verbose_name_plural = _("quizzes")
        constraints = [
            models.CheckConstraint(
                name="quiz_passing_score_is_a_percentage",
                condition=Q(passing_score__gte=0, passing_score__lte=100),
            )
        ]

    def __str__(self) -> str:
        return self.title


class QuizQuestion(models.Model):
    """A question; `options` is a list of texts and `correct_answer` an index into it.

    Both are null for an open-ended question.
    """

    quiz = models.ForeignKey(
        Quiz, verbose_name=_("quiz"), on_delete=models.CASCADE, related_name="questions"
    )
    external_id = models.CharField(_("external id"), max_length=100, unique=True)
    question = models.TextField(_("question"))
    question_type = models.CharField(
        _("type"),
        max_length=16,
        choices=QuestionType,
        default=QuestionType.MULTIPLE_CHOICE,
    )
    options = models.JSONField(_("options"), null=True, blank=True)
    correct_answer = models.PositiveSmallIntegerField(
        _("right answer (0 is the first option)"), null=True, blank=True
    )
    explanation = models.TextField(_("explanation"), blank=True)
    difficulty = models.CharField(
        _("difficulty"), max_length=16, choices=Difficulty, blank=True
    )
    position = models.PositiveIntegerField(_("position"), default=0)
    source_language = models.CharField(
        _("source language"), max_length=35, default="so"
    )

    class Meta:
        ordering = ["quiz", "position", "pk"]
        verbose_name = _("quiz question")
        verbose_name_plural = _("quiz questions")
        constraints = [
            models.CheckConstraint(
                name="open_question_has_no_right_answer",
                condition=~Q(question_type=QuestionType.OPEN_ENDED)
                | Q(correct_answer__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return self.question[:80]


# The app's models are found here; these have a room of their own.
from translations.lessons.proposals.models import (  # noqa: E402
    LessonSummary,
    Proposal,
    ProposalKind,
    ProposalStatus,
)

__all__ = [
    "Course",
    "CourseCategory",
    "Difficulty",
    "Lesson",
    "LessonSummary",
    "LessonType",
    "Module",
    "Proposal",
    "ProposalKind",
    "ProposalStatus",
    "QuestionType",
    "Quiz",
    "QuizQuestion",
    "TextFormat",
    "UnlockType",
    "Voice",
]
