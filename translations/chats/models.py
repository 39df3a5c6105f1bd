"""Chat sessions with their messages, what was made of them, and the questions asked."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from batches.models import BatchItem, PromptVersion
from translations.chats.masking import Names
from translations.languages import direction

LONGEST_ID = 100


class Source(models.TextChoices):
    LEGACY = "legacy", _("Legacy (CSV)")
    FILE = "file", _("File")
    API = "api", _("API")


class Role(models.TextChoices):
    CUSTOMER = "customer", _("Customer")
    AGENT = "agent", _("Staff")
    SYSTEM = "system", _("System")


class Attention(models.IntegerChoices):
    """How soon a person should look; the queue is in this order."""

    NONE = 0, _("none")
    LOOK = 1, _("look")
    HIGH = 2, _("high")
    URGENT = 3, _("urgent")


class ChatSession(models.Model):
    """One chat. `analysis` is the latest; `told` is what the file said of it beside.

    Personal data stays in this row and its messages: what leaves is masked.
    """

    account = models.CharField(_("account"), max_length=100, blank=True)
    external_id = models.CharField(_("id"), max_length=LONGEST_ID)
    source = models.CharField(_("from"), max_length=8, choices=Source)
    channel = models.CharField(_("channel"), max_length=40, blank=True)
    country = models.CharField(_("country"), max_length=3, blank=True)
    language = models.CharField(
        _("language as given"),
        max_length=60,
        blank=True,
        help_text=_("In the words of whoever gave it; not what the analysis found."),
    )
    started_at = models.DateTimeField(_("began"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    told = models.JSONField(_("as given"), default=dict, blank=True)
    customer_names = models.JSONField(_("customer's names"), default=list, blank=True)
    agent_names = models.JSONField(_("names of staff"), default=list, blank=True)
    has_transcript = models.BooleanField(_("transcript is here"), default=False)
    messages_count = models.PositiveIntegerField(_("messages"), default=0)
    source_hash = models.CharField(max_length=64, blank=True)
    risks = models.JSONField(_("words of risk"), default=dict, blank=True)
    attention = models.PositiveSmallIntegerField(
        _("attention"), choices=Attention, default=Attention.NONE
    )
    analysis = models.ForeignKey(
        "Analysis",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        verbose_name=_("analysis"),
    )
    analysis_source_hash = models.CharField(max_length=64, blank=True)
    analysis_is_sandbox = models.BooleanField(_("from the sandbox"), default=False)
    analyses_made = models.PositiveIntegerField(_("analyses"), default=0)
    updated_at = models.DateTimeField(_("changed"), default=timezone.now)

    class Meta:
        verbose_name = _("chat session")
        verbose_name_plural = _("chat sessions")
        permissions = [
            ("import_chatsession", "Can import chat sessions"),
            ("see_masked_chatsession", "Can see what was masked in chat sessions"),
        ]
        constraints = [
            models.UniqueConstraint(
                name="chatsession_external_id", fields=["account", "external_id"]
            )
        ]
        indexes = [
            # Read by the list: what needs a person comes first.
            models.Index(name="chatsession_queue", fields=["-attention", "-id"]),
        ]

    def __str__(self) -> str:
        return self.external_id

    @property
    def names(self) -> Names:
        return Names(tuple(self.customer_names), tuple(self.agent_names))

    @property
    def is_stale(self) -> bool:
        """Whether messages changed since its analysis was asked for."""
        return bool(self.analysis_id) and self.analysis_source_hash != self.source_hash


class Message(models.Model):
    session = models.ForeignKey(
        ChatSession,
        on_delete=models.CASCADE,
        db_index=False,  # the unique constraint begins with it
        related_name="messages",
        verbose_name=_("chat session"),
    )
    index = models.PositiveIntegerField(_("index"))
    role = models.CharField(_("role"), max_length=8, choices=Role)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    text = models.TextField(_("text"), blank=True)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [
            models.UniqueConstraint(name="message_index", fields=["session", "index"])
        ]

    def __str__(self) -> str:
        return f"{self.session_id}, message {self.index}"


class Analysis(models.Model):
    """One answer for a chat, as it came; never changed.

    Without an item where no model was asked: the chat has next to no words of a
    customer. `left_out` messages were not sent, as the chat is long.
    """

    session = models.ForeignKey(
        ChatSession,
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,
        related_name="analyses",
        verbose_name=_("chat session"),
    )
    number = models.PositiveIntegerField(_("number"))
    content = models.JSONField(_("content"))
    category = models.CharField(_("category"), max_length=40)
    sentiment = models.CharField(_("sentiment"), max_length=16)
    escalation = models.CharField(_("escalation"), max_length=8)
    resolution = models.CharField(_("resolution"), max_length=12)
    language = models.CharField(_("language"), max_length=35, blank=True)
    taxonomy = models.CharField(_("list of categories"), max_length=60)
    left_out = models.PositiveIntegerField(_("messages left out"), default=0)
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
        verbose_name=_("prompt"),
    )
    is_sandbox = models.BooleanField(_("from the sandbox"), default=False)
    created_at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("analysis")
        verbose_name_plural = _("analyses")
        constraints = [
            models.UniqueConstraint(
                name="analysis_number", fields=["session", "number"]
            )
        ]

    def __str__(self) -> str:
        return f"Analysis {self.number} of session {self.session_id}"


class Question(models.Model):
    """A question that customers ask, once for all sessions that ask it.

    Internal: nothing here is shown to the public. `key` is the digest of its words in
    one order.
    """

    account = models.CharField(_("account"), max_length=100, blank=True)
    language = models.CharField(_("language"), max_length=35)
    text = models.TextField(_("question"))
    key = models.CharField(max_length=64)
    times_asked = models.PositiveIntegerField(_("asked"), default=0)

    class Meta:
        verbose_name = _("question of customers")
        verbose_name_plural = _("questions of customers")
        constraints = [
            models.UniqueConstraint(
                name="question_key", fields=["account", "language", "key"]
            )
        ]
        indexes = [
            # Read by the list: what is asked most comes first.
            models.Index(name="question_asked", fields=["-times_asked", "-id"])
        ]

    def __str__(self) -> str:
        return self.text[:80]

    @property
    def direction(self) -> str:
        return direction(self.language)


class QuestionWord(models.Model):
    """By these rows a question is found that is nearly the same (questions.py)."""

    question = models.ForeignKey(
        Question, on_delete=models.CASCADE, related_name="words"
    )
    word = models.CharField(max_length=64)

    class Meta:
        indexes = [models.Index(name="questionword_word", fields=["word", "question"])]

    def __str__(self) -> str:
        return self.word


class SessionQuestion(models.Model):
    """That a session asks a question: where, and whether it was answered."""

    session = models.ForeignKey(
        ChatSession,
        on_delete=models.CASCADE,
        related_name="questions",
        verbose_name=_("chat session"),
    )
    question = models.ForeignKey(
        Question,
        on_delete=models.CASCADE,
        related_name="sessions",
        verbose_name=_("question"),
    )
    position = models.PositiveSmallIntegerField(_("position"))
    message_index = models.PositiveIntegerField(_("message"))
    is_answered = models.BooleanField(_("answered"))

    class Meta:
        verbose_name = _("question of a session")
        verbose_name_plural = _("questions of sessions")
        constraints = [
            models.UniqueConstraint(
                name="sessionquestion_once", fields=["session", "question"]
            )
        ]

    def __str__(self) -> str:
        return f"{self.session_id} asks {self.question_id}"
