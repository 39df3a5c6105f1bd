"""What people do to translations: acts, drafts of edits, questions and notes."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class ReviewAct(models.TextChoices):
    EDITED = "edited", _("Edited")
    APPROVED = "approved", _("Approved")
    PUBLISHED = "published", _("Published")
    UNPUBLISHED = "unpublished", _("Taken back")
    REJECTED = "rejected", _("Rejected")
    RESTORED = "restored", _("Restored")
    LOOKED_AT = "looked_at", _("Looked at again")


class Reason(models.TextChoices):
    """Why a text is rejected; the next request for it tells the model."""

    MEANING = "wrong_meaning", _("Wrong meaning")
    TERM = "wrong_term", _("Wrong term")
    STYLE = "style", _("Style")
    FORMAT = "format", _("Format")
    UNSAFE = "unsafe", _("Unsafe")
    OTHER = "other", _("Other")


# In requests; it says in itself what it is, to a prompt of any version.
REJECTED_BECAUSE = "an_editor_rejected_the_last_answer_because"


def why_rejected(reason: str, explanation: str) -> str:
    """What the next request says of it; blank without a reason."""
    return ": ".join(filter(None, (reason.replace("_", " "), explanation.strip())))


class ReviewEntry(models.Model):
    """One thing a person did to a version: who, when, which version, and why.

    Written once; only `needs_second_look` is cleared, by whoever looked.
    """

    translation = models.ForeignKey(
        "translations.Translation",
        on_delete=models.CASCADE,
        related_name="review_entries",
        verbose_name=_("translation"),
    )
    version = models.ForeignKey(
        "translations.TranslationVersion",
        on_delete=models.CASCADE,
        db_index=False,
        related_name="+",
        verbose_name=_("version"),
    )
    act = models.CharField(_("act"), max_length=16, choices=ReviewAct)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("by"),
    )
    # Kept when the account is gone.
    actor_name = models.CharField(_("name"), max_length=150)
    reason = models.CharField(_("reason"), max_length=16, choices=Reason, blank=True)
    text = models.TextField(_("in words"), blank=True)
    is_bulk = models.BooleanField(_("with many others"), default=False)
    needs_second_look = models.BooleanField(_("to be looked at again"), default=False)
    created_at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("review")
        verbose_name_plural = _("reviews")
        indexes = [
            # read by queue.with_second_look
            models.Index(
                name="reviewentry_second_look",
                fields=["translation"],
                condition=Q(needs_second_look=True),
            )
        ]
        constraints = [
            models.CheckConstraint(
                name="reviewentry_rejected_has_reason",
                condition=~Q(act=ReviewAct.REJECTED) | ~Q(reason=""),
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_act_display()}: {self.translation_id}"


class ReviewDraft(models.Model):
    """What somebody is typing, saved every few seconds; and that they are there.

    `texts` is {segment id: text} of what differs from `base`, the version that was open
    when it was typed. Once the unit has another latest version, what was typed is
    `set_aside`: shown beside the new text, never written over it.
    """

    translation = models.ForeignKey(
        "translations.Translation",
        on_delete=models.CASCADE,
        related_name="review_drafts",
    )
    editor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    base = models.ForeignKey(
        "translations.TranslationVersion",
        on_delete=models.CASCADE,
        db_index=False,
        related_name="+",
    )
    texts = models.JSONField(default=dict)
    set_aside = models.JSONField(default=dict)
    opened_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)
    saved_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("draft of an edit")
        verbose_name_plural = _("drafts of edits")
        constraints = [
            models.UniqueConstraint(
                name="reviewdraft_once", fields=["translation", "editor"]
            )
        ]

    def __str__(self) -> str:
        return f"draft of {self.translation_id} by {self.editor_id}"


class ReviewComment(models.Model):
    """A question about a text, or a note for its translator.

    A note goes out with the next request for the text. A question waits for an answer;
    until then the text is not in the queue.
    """

    translation = models.ForeignKey(
        "translations.Translation",
        on_delete=models.CASCADE,
        related_name="review_comments",
        verbose_name=_("translation"),
    )
    is_note = models.BooleanField(_("for the translator"), default=False)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("by"),
    )
    author_name = models.CharField(_("name"), max_length=150)
    text = models.TextField(_("text"))
    created_at = models.DateTimeField(_("at"), default=timezone.now)
    answer = models.TextField(_("answer"), blank=True)
    answered_by = models.CharField(_("answered by"), max_length=150, blank=True)
    answered_at = models.DateTimeField(_("answered"), null=True, blank=True)

    class Meta:
        verbose_name = _("question or note")
        verbose_name_plural = _("questions and notes")
        indexes = [
            # read by queue.open_questions
            models.Index(
                name="reviewcomment_open",
                fields=["translation"],
                condition=Q(is_note=False, answered_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return self.text[:60]


class DigestChoice(models.Model):
    """What an editor wants of the mail about what waits for review, and when it went.

    An editor without a row gets it, for all languages; `languages` are tags with blanks
    between them, none of them for all.
    """

    editor = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="+",
        verbose_name=_("editor"),
    )
    is_on = models.BooleanField(_("Send me the mail"), default=True)
    languages = models.CharField(
        _("Only these languages"),
        max_length=200,
        blank=True,
        help_text=_("Tags such as ar or pt-BR, with blanks between; empty for all."),
    )
    mail_language = models.CharField(
        _("The mail is in"),
        max_length=8,
        blank=True,
        help_text=_("Empty for the language of the site."),
    )
    sent_on = models.DateField(_("last sent"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("mail to an editor")
        verbose_name_plural = _("mails to editors")

    def __str__(self) -> str:
        return f"mail to {self.editor_id}"
