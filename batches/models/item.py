"""One request to a model, what is open of it, what was sent, and what came of it.

These four tables are hot: rows come by the ten thousand and change while results are
read. So they are narrow, indexed only on what ingestion does not change, and their
references carry no database constraint (as dear again as storing the bytes);
`services/recount.py` finds what a constraint would have refused.
"""

from decimal import Decimal

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from batches.models.job import BatchJob
from batches.models.money import to_usd
from batches.models.prompt import PromptVersion
from batches.models.run import Run
from batches.querysets import OpenItemQuerySet
from batches.states import ITEM_FINAL, AttemptOutcome, FileKind, ItemStatus, Priority


class BatchItem(models.Model):
    """One request to a model; its key as decimal text is the provider's `custom_id`."""

    run = models.ForeignKey(
        Run,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="items",
        verbose_name=_("run"),
    )
    job = models.ForeignKey(
        BatchJob,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="items",
        verbose_name=_("job"),
    )
    parent = models.ForeignKey(
        "self",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="follow_ups",
        verbose_name=_("follows"),
    )
    provider = models.CharField(_("provider"), max_length=32)
    workload = models.CharField(_("workload"), max_length=64)
    model = models.CharField(_("model"), max_length=100)
    endpoint = models.CharField(_("endpoint"), max_length=64)
    content_type = models.ForeignKey(
        ContentType,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        verbose_name=_("kind of subject"),
    )
    object_id = models.CharField(_("subject"), max_length=255)
    target = models.CharField(_("target"), max_length=255)
    fingerprint = models.BinaryField(
        max_length=32, help_text="SHA-256 of provider, endpoint and canonical body."
    )
    prompt_version = models.ForeignKey(
        PromptVersion,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        verbose_name=_("prompt"),
    )
    status = models.CharField(
        _("status"), max_length=24, choices=ItemStatus, default=ItemStatus.PENDING
    )
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    input_tokens = models.PositiveIntegerField(_("input tokens"), default=0)
    cached_tokens = models.PositiveIntegerField(_("cached tokens"), default=0)
    output_tokens = models.PositiveIntegerField(_("output tokens"), default=0)
    cost_nanos = models.BigIntegerField(_("cost (nano-dollars)"), default=0)
    error_code = models.CharField(_("error"), max_length=64, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("item")
        verbose_name_plural = _("items")
        constraints = [
            models.CheckConstraint(
                name="batchitem_finished_at_iff_final",
                condition=Q(status__in=ITEM_FINAL) ^ Q(finished_at__isnull=True),
            )
        ]
        indexes = [
            models.Index(name="batchitem_run", fields=["run", "id"]),
            models.Index(name="batchitem_job", fields=["job", "id"]),
            models.Index(
                name="batchitem_subject", fields=["object_id", "content_type"]
            ),
            models.Index(name="batchitem_fingerprint", fields=["fingerprint"]),
            models.Index(
                name="batchitem_parent",
                fields=["parent"],
                condition=Q(parent__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"item {self.pk} ({self.target})"

    @property
    def cost_usd(self) -> Decimal:
        return to_usd(self.cost_nanos)


class OpenItem(models.Model):
    """What an unfinished item still needs; deleted in the transaction that ends it.

    At once the waiting pool, the guard that applies an answer once, and the guard
    against the same work under way twice: `scope` is empty for content that is kept
    current, and the run's id for requests that owe their caller an answer of their own.
    """

    item = models.OneToOneField(
        BatchItem,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name="open",
    )
    run = models.ForeignKey(
        Run,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    job = models.ForeignKey(
        BatchJob,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="open_items",
    )
    provider = models.CharField(max_length=32)
    endpoint = models.CharField(max_length=64)
    model = models.CharField(max_length=100)
    workload = models.CharField(max_length=64)
    account = models.CharField(max_length=64, blank=True)
    priority = models.SmallIntegerField(choices=Priority, default=Priority.NORMAL)
    content_type = models.ForeignKey(
        ContentType,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    object_id = models.CharField(max_length=255)
    target = models.CharField(max_length=255)
    scope = models.CharField(max_length=20, blank=True)
    fingerprint = models.BinaryField(max_length=32)
    input_tokens = models.PositiveIntegerField(default=0)
    output_limit = models.PositiveIntegerField(
        default=0, help_text="The request's own bound on output, in tokens."
    )
    body_bytes = models.PositiveIntegerField(default=0)
    ready_at = models.DateTimeField(default=timezone.now)
    prompt_version = models.ForeignKey(
        PromptVersion,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
    )
    tries = models.PositiveSmallIntegerField(
        default=0, help_text="Attempts used up; one that was returned uses none."
    )
    returns = models.PositiveSmallIntegerField(default=0)
    raised_limit = models.PositiveIntegerField(
        null=True,
        help_text="Sent in place of the request's own bound on output, after an "
        "answer that was cut off.",
    )
    may_reuse = models.BooleanField(
        default=True,
        help_text="Whether the answer to an equal request will do for it.",
    )

    objects = OpenItemQuerySet.as_manager()

    class Meta:
        verbose_name = _("open item")
        verbose_name_plural = _("open items")
        constraints = [
            models.UniqueConstraint(
                name="openitem_work_under_way_once",
                fields=["object_id", "target", "workload", "content_type", "scope"],
            )
        ]
        indexes = [
            # OpenItemQuerySet.waiting (job is null) and ingestion's guard
            models.Index(name="openitem_job", fields=["job", "item"]),
        ]

    def __str__(self) -> str:
        return f"open item {self.pk}"


class ItemRequest(models.Model):
    """The rendered request body of an item, written once, and what its answer needs.

    `context` is JSON of the workload's own, kept beside the request and never sent: for
    a translation the template that its segments go back into.
    """

    item = models.OneToOneField(
        BatchItem,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name="request",
    )
    body = models.TextField(_("body"))
    context = models.TextField(_("context"), blank=True)

    class Meta:
        verbose_name = _("request")
        verbose_name_plural = _("requests")

    def __str__(self) -> str:
        return f"request of item {self.pk}"


class ItemAttempt(models.Model):
    """One answer line, or its absence, for an item in a job; insert-only.

    The raw line is kept only where the answer failed or could not be read.
    """

    item = models.ForeignKey(
        BatchItem,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="tries",
        verbose_name=_("item"),
    )
    job = models.ForeignKey(
        BatchJob,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        verbose_name=_("job"),
    )
    outcome = models.CharField(_("outcome"), max_length=16, choices=AttemptOutcome)
    error_code = models.CharField(_("error"), max_length=64, blank=True)
    error_message = models.TextField(_("message"), blank=True)
    http_status = models.PositiveSmallIntegerField(_("HTTP status"), null=True)
    finish_reason = models.CharField(_("finish reason"), max_length=32, blank=True)
    input_tokens = models.PositiveIntegerField(_("input tokens"), default=0)
    cached_tokens = models.PositiveIntegerField(_("cached tokens"), default=0)
    output_tokens = models.PositiveIntegerField(_("output tokens"), default=0)
    cost_nanos = models.BigIntegerField(_("cost (nano-dollars)"), default=0)
    price_version = models.CharField(_("price version"), max_length=64, blank=True)
    prompt_version = models.ForeignKey(
        PromptVersion,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        verbose_name=_("prompt"),
    )
    model_snapshot = models.CharField(_("model snapshot"), max_length=100, blank=True)
    system_fingerprint = models.CharField(
        _("system fingerprint"), max_length=100, blank=True
    )
    raised_limit = models.PositiveIntegerField(
        _("raised output limit"),
        null=True,
        help_text=_("What it was sent with in place of the request's own limit."),
    )
    file_kind = models.SmallIntegerField(_("file"), choices=FileKind, null=True)
    line = models.PositiveIntegerField(_("line"), null=True, help_text=_("1-based."))
    answer = models.TextField(_("answer"), blank=True)
    raw_line = models.TextField(_("raw line"), blank=True)
    checks_failed = models.TextField(
        _("checks failed"),
        blank=True,
        help_text=_("Error-level checks that its answer did not pass, by code."),
    )
    reused_from = models.ForeignKey(
        "self",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        verbose_name=_("reused from"),
        help_text=_("The attempt that its answer was taken from; nothing was sent."),
    )
    created_at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        constraints = [
            models.UniqueConstraint(
                name="itemattempt_once_per_job", fields=["item", "job"]
            )
        ]
        indexes = [
            # what did not go well, per job: recount and the screens' failure lists
            models.Index(
                name="itemattempt_not_applied",
                fields=["job", "item"],
                condition=~Q(outcome=AttemptOutcome.APPLIED),
            ),
            # answers whose cost is not known: services/actuals.py, when a job ends
            models.Index(
                name="itemattempt_without_usage",
                fields=["job"],
                condition=Q(http_status=200, input_tokens=0),
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.pk} of item {self.item_id}"

    @property
    def cost_usd(self) -> Decimal:
        return to_usd(self.cost_nanos)
