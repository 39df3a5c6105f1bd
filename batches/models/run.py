"""What somebody asked for once, followed, paused and cancelled as one."""

import uuid
from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from batches.models.money import to_usd
from batches.querysets import RunQuerySet
from batches.states import RUN_FINAL, CanaryState, Priority, RunStatus, Trigger


class Run(models.Model):
    """One request for work: a workload with options.

    A run's figures are the sums over its shares (`JobShare`) plus the `unsent_*`
    counters here, which only the collector, the bundler and a cancellation write.
    """

    public_id = models.UUIDField(
        _("id"), default=uuid.uuid4, unique=True, editable=False
    )
    workload = models.CharField(_("workload"), max_length=64)
    options = models.JSONField(_("options"), default=dict)
    trigger = models.CharField(_("asked by"), max_length=16, choices=Trigger)
    schedule = models.CharField(_("schedule"), max_length=100, blank=True)
    due_at = models.DateTimeField(_("due"), null=True, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("owner"),
    )
    account = models.CharField(_("account"), max_length=64, blank=True)
    priority = models.SmallIntegerField(
        _("priority"), choices=Priority, default=Priority.NORMAL
    )
    max_attempts = models.PositiveSmallIntegerField(
        _("attempts at most"),
        null=True,
        blank=True,
        help_text=_("The first included; BATCH_MAX_ATTEMPTS where it is empty."),
    )
    may_wait = models.BooleanField(
        _("may wait for a fuller job"),
        default=False,
        help_text=_("Its items wait until BATCH_MIN_SIZE are there, but not for ever."),
    )
    force_refresh = models.BooleanField(
        _("ask again"),
        default=False,
        help_text=_("Asks also what an equal request was answered before."),
    )
    limit = models.PositiveIntegerField(_("limit (subjects)"), null=True, blank=True)
    budget_nanos = models.BigIntegerField(
        _("budget (nano-dollars)"), null=True, blank=True
    )
    idempotency_key = models.CharField(_("idempotency key"), max_length=128, blank=True)
    status = models.CharField(
        _("status"), max_length=16, choices=RunStatus, default=RunStatus.COLLECTING
    )

    cursor = models.CharField(
        max_length=200,
        blank=True,
        help_text="Where collection stands; the workload's own words.",
    )
    subjects_collected = models.PositiveIntegerField(_("subjects"), default=0)
    items_collected = models.PositiveIntegerField(_("first requests"), default=0)
    skipped = models.JSONField(
        _("skipped"), default=dict, help_text='{"reason": count}, of what made no item.'
    )
    waiting_reason = models.CharField(_("waits for"), max_length=500, blank=True)
    waiting_until = models.DateTimeField(
        _("waits until"),
        null=True,
        blank=True,
        help_text="When that passes by itself, where it can be known.",
    )
    estimate_nanos = models.BigIntegerField(_("estimate (nano-dollars)"), default=0)
    expected_nanos = models.BigIntegerField(
        _("expected cost (nano-dollars)"),
        default=0,
        help_text="With answers of median length, at collection.",
    )
    high_nanos = models.BigIntegerField(
        _("high cost (nano-dollars)"),
        default=0,
        help_text="With answers that nine of ten stay below, at collection.",
    )
    counted_tokens = models.BigIntegerField(_("input tokens, counted"), default=0)
    unsent_complete = models.PositiveIntegerField(default=0)
    unsent_failed = models.PositiveIntegerField(default=0)
    unsent_cancelled = models.PositiveIntegerField(default=0)
    unsent_follow_ups = models.PositiveIntegerField(
        default=0, help_text="New items that answers without a job asked for."
    )
    reused = models.PositiveIntegerField(
        _("reused"), default=0, help_text="Items answered from an equal one."
    )
    saved_nanos = models.BigIntegerField(
        _("saved (nano-dollars)"),
        default=0,
        help_text="What the answers that it reused had cost.",
    )

    canary_state = models.CharField(
        _("sample"), max_length=16, choices=CanaryState, default=CanaryState.OFF
    )
    canary_sample = models.JSONField(
        default=list, help_text="Keys of the items that go out before the others."
    )
    brake = models.JSONField(
        _("brake"),
        null=True,
        blank=True,
        help_text="Why it was paused by itself, as services/canary.py wrote it.",
    )

    created_at = models.DateTimeField(_("created"), default=timezone.now)
    collected_at = models.DateTimeField(_("collected"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    paused_at = models.DateTimeField(_("paused"), null=True, blank=True)
    cancelled_at = models.DateTimeField(_("cancelled"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        permissions = [
            ("pause_run", _("Can pause runs")),
            ("recall_run", _("Can recall runs")),
            ("resume_run", _("Can resume runs")),
            ("cancel_run", _("Can cancel runs")),
            ("prioritise_run", _("Can change the priority of runs")),
            ("retry_run", _("Can retry failed items of runs")),
        ]
        constraints = [
            models.UniqueConstraint(
                name="run_one_per_schedule_tick",
                fields=["schedule", "due_at"],
                condition=~Q(schedule=""),
            ),
            models.UniqueConstraint(
                name="run_idempotency_key_per_owner",
                fields=["owner", "idempotency_key"],
                condition=~Q(idempotency_key=""),
            ),
            models.UniqueConstraint(
                name="run_idempotency_key_without_owner",
                fields=["idempotency_key"],
                condition=~Q(idempotency_key="") & Q(owner__isnull=True),
            ),
            models.CheckConstraint(
                name="run_finished_at_iff_final",
                condition=Q(status__in=RUN_FINAL) ^ Q(finished_at__isnull=True),
            ),
            models.CheckConstraint(
                name="run_limit_is_positive",
                condition=Q(limit__isnull=True) | Q(limit__gt=0),
            ),
        ]
        indexes = [
            # RunQuerySet.to_collect
            models.Index(
                name="run_to_collect",
                fields=["id"],
                condition=Q(collected_at__isnull=True, cancelled_at__isnull=True),
            ),
            models.Index(name="run_account_status", fields=["account", "status"]),
        ]

    def __str__(self) -> str:
        return f"run {self.pk} ({self.workload})"

    @property
    def expected_usd(self) -> Decimal:
        """What it will probably cost, with answers as long as they usually are."""
        return to_usd(self.expected_nanos)

    @property
    def high_usd(self) -> Decimal:
        """What it stays below nine times of ten."""
        return to_usd(self.high_nanos)

    @property
    def is_braked(self) -> bool:
        """Whether it was paused for its answers' sake, and nobody let it go on."""
        return self.brake is not None and "resumed_by" not in self.brake

    @property
    def saved_usd(self) -> Decimal:
        return to_usd(self.saved_nanos)

    @property
    def estimate_usd(self) -> Decimal:
        """The worst case at collection: counted input × 1.1 and every output limit."""
        return to_usd(self.estimate_nanos)
