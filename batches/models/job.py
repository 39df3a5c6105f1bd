"""One provider batch, what each run has in it, and the lines that fit nowhere."""

import uuid
from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from batches.models.money import to_usd
from batches.models.run import Run
from batches.querysets import BatchJobQuerySet
from batches.states import (
    AT_PROVIDER,
    JOB_FINAL,
    AttemptOutcome,
    Intent,
    JobStatus,
    StrayKind,
)


def new_token() -> str:
    """A job's random name at the provider, in file names and metadata."""
    return uuid.uuid4().hex


class BatchJob(models.Model):
    """One provider batch: many items of one workload, sent and settled together.

    `provider_*` counts mirror the provider's and are shown as progress; `items_*` come
    from ingestion alone. Every write of a holder is conditional on `lease_epoch`.
    """

    public_id = models.UUIDField(
        _("id"), default=uuid.uuid4, unique=True, editable=False
    )
    parent = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("continues"),
    )
    workload = models.CharField(_("workload"), max_length=64)
    account = models.CharField(_("account"), max_length=64, blank=True)
    provider = models.CharField(_("provider"), max_length=32)
    model = models.CharField(_("model"), max_length=100)
    endpoint = models.CharField(_("endpoint"), max_length=64)
    status = models.CharField(
        _("status"), max_length=16, choices=JobStatus, default=JobStatus.PENDING
    )
    provider_status = models.CharField(
        _("provider's status"), max_length=32, blank=True
    )
    provider_answer = models.TextField(_("provider's last answer"), blank=True)
    waiting_reason = models.CharField(_("waits for"), max_length=500, blank=True)
    intent = models.CharField(
        _("wanted"), max_length=16, choices=Intent, default=Intent.NONE, blank=True
    )
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)

    # Submission: what makes it certain that a job is created once.
    token = models.CharField(max_length=32, default=new_token, unique=True)
    submission_number = models.PositiveIntegerField(_("submission"), default=1)
    create_sent_at = models.DateTimeField(null=True, blank=True)
    file_doomed_at = models.DateTimeField(null=True, blank=True)
    file_deleted_at = models.DateTimeField(null=True, blank=True)
    provider_batch_id = models.CharField(
        _("provider batch id"), max_length=200, null=True, blank=True, unique=True
    )
    input_file_id = models.CharField(max_length=200, blank=True)
    output_file_id = models.CharField(max_length=200, blank=True)
    error_file_id = models.CharField(max_length=200, blank=True)

    # Who works on it.
    lease_owner = models.CharField(max_length=100, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_epoch = models.PositiveIntegerField(default=0)
    next_poll_at = models.DateTimeField(null=True, blank=True)

    # How far its results are read.
    checkpoint_file_id = models.CharField(max_length=200, blank=True)
    checkpoint_bytes = models.BigIntegerField(
        null=True, blank=True, help_text="Length of that file at the provider."
    )
    checkpoint_line = models.PositiveIntegerField(
        default=0, help_text="How many of its lines, in the items' order, are applied."
    )
    lines_read = models.PositiveIntegerField(default=0)
    times_reread = models.PositiveSmallIntegerField(
        default=0, help_text="How often its files were read anew for lacking lines."
    )

    provider_files_deleted_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When its files at the provider were seen to be gone, or were left "
        "to the installation that they belong to.",
    )
    abandoned_at = models.DateTimeField(
        _("abandoned"),
        null=True,
        blank=True,
        help_text="A person gave up waiting for it; what it cost is not known.",
    )

    provider_total = models.PositiveIntegerField(default=0)
    provider_completed = models.PositiveIntegerField(default=0)
    provider_failed = models.PositiveIntegerField(default=0)
    items_total = models.PositiveIntegerField(_("items"), default=0)
    items_complete = models.PositiveIntegerField(_("done"), default=0)
    items_failed = models.PositiveIntegerField(_("failed"), default=0)
    items_cancelled = models.PositiveIntegerField(_("cancelled"), default=0)
    items_returned = models.PositiveIntegerField(_("returned"), default=0)
    file_bytes = models.BigIntegerField(default=0)
    queued_tokens = models.BigIntegerField(
        default=0, help_text="Counted input tokens, as the provider's queue sees them."
    )
    input_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cost_nanos = models.BigIntegerField(default=0)

    created_at = models.DateTimeField(_("created"), default=timezone.now)
    uploading_at = models.DateTimeField(null=True, blank=True)
    validating_at = models.DateTimeField(null=True, blank=True)
    in_progress_at = models.DateTimeField(null=True, blank=True)
    finalizing_at = models.DateTimeField(null=True, blank=True)
    cancelling_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    processed_at = models.DateTimeField(null=True, blank=True)
    expired_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    objects = BatchJobQuerySet.as_manager()

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        permissions = [
            ("submit_job", _("Can send jobs")),
            ("check_job", _("Can ask the provider for the status of jobs")),
            ("process_job", _("Can have results of jobs processed")),
            ("pause_job", _("Can pause jobs")),
            ("recall_job", _("Can recall jobs")),
            ("resume_job", _("Can resume jobs")),
            ("cancel_job", _("Can cancel jobs")),
            ("abandon_job", _("Can abandon late jobs")),
            ("retry_job", _("Can retry failed items of jobs")),
        ]
        constraints = [
            models.CheckConstraint(
                name="batchjob_finished_at_iff_final",
                condition=Q(status__in=JOB_FINAL) ^ Q(finished_at__isnull=True),
            ),
            models.CheckConstraint(
                name="batchjob_at_provider_has_batch_id",
                condition=~Q(status__in=AT_PROVIDER)
                | Q(provider_batch_id__isnull=False),
            ),
            models.CheckConstraint(
                name="batchjob_batch_id_was_created",
                condition=Q(provider_batch_id__isnull=True)
                | Q(create_sent_at__isnull=False),
            ),
            models.CheckConstraint(
                name="batchjob_doomed_has_a_file",
                condition=Q(file_doomed_at__isnull=True) | ~Q(input_file_id=""),
            ),
        ]
        indexes = [
            # ready_to_submit, due_for_poll, ready_to_ingest: few rows, whatever is done
            models.Index(
                name="batchjob_unfinished",
                fields=["status", "next_poll_at", "id"],
                condition=Q(finished_at__isnull=True),
            ),
            models.Index(
                name="batchjob_files_left",
                fields=["id"],
                condition=Q(
                    finished_at__isnull=False, provider_files_deleted_at__isnull=True
                ),
            ),
            models.Index(name="batchjob_account_status", fields=["account", "status"]),
            # BatchJobQuerySet.within: what ended in the last hours
            models.Index(name="batchjob_finished", fields=["finished_at"]),
        ]

    def __str__(self) -> str:
        return f"job {self.pk} ({self.workload}, {self.model})"

    @property
    def cost_usd(self) -> Decimal:
        return to_usd(self.cost_nanos)

    @property
    def items_done(self) -> int:
        """Items that ended in this job, however."""
        return self.items_complete + self.items_failed + self.items_cancelled


class JobShare(models.Model):
    """What one run has in one job; written only by whoever holds the job.

    `sent = complete + failed + cancelled + returned + in flight`, always.
    """

    job = models.ForeignKey(
        BatchJob, on_delete=models.CASCADE, related_name="shares", verbose_name=_("job")
    )
    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="shares", verbose_name=_("run")
    )
    sent = models.PositiveIntegerField(_("sent"), default=0)
    complete = models.PositiveIntegerField(_("done"), default=0)
    failed = models.PositiveIntegerField(_("failed"), default=0)
    flagged = models.PositiveIntegerField(
        _("flagged"),
        default=0,
        help_text="Of those done: how many did not pass an error-level check.",
    )
    cancelled = models.PositiveIntegerField(_("cancelled"), default=0)
    returned = models.PositiveIntegerField(_("returned"), default=0)
    follow_ups = models.PositiveIntegerField(
        _("follow-ups"),
        default=0,
        help_text="New items that this job's answers asked for.",
    )
    input_tokens = models.BigIntegerField(_("input tokens"), default=0)
    cached_tokens = models.BigIntegerField(_("cached tokens"), default=0)
    output_tokens = models.BigIntegerField(_("output tokens"), default=0)
    reserved_nanos = models.BigIntegerField(_("reserved (nano-dollars)"), default=0)
    cost_nanos = models.BigIntegerField(_("cost (nano-dollars)"), default=0)
    unpriced = models.PositiveIntegerField(
        _("without known cost"),
        default=0,
        help_text=_("Attempts that may have been billed, and do not say how much."),
    )
    unpriced_nanos = models.BigIntegerField(
        _("not known (nano-dollars)"),
        default=0,
        help_text=_("The most that may have been billed beside the cost."),
    )

    class Meta:
        verbose_name = _("share")
        verbose_name_plural = _("shares")
        constraints = [
            models.UniqueConstraint(name="jobshare_once", fields=["job", "run"]),
            models.CheckConstraint(
                name="jobshare_ended_at_most_sent",
                condition=Q(
                    sent__gte=models.F("complete")
                    + models.F("failed")
                    + models.F("cancelled")
                    + models.F("returned")
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"share of run {self.run_id} in job {self.job_id}"

    @property
    def judged(self) -> int:
        return self.complete + self.failed

    @property
    def passed(self) -> int:
        return self.complete - self.flagged

    @property
    def in_flight(self) -> int:
        return self.sent - self.complete - self.failed - self.cancelled - self.returned

    @property
    def cost_usd(self) -> Decimal:
        return to_usd(self.cost_nanos)


class JobTally(models.Model):
    """What attempts at a run's items in a job came to: how many, and their sums.

    Kept while results are read, so that the hourly rollup and the screens add up a few
    rows of these and never the attempts.
    """

    job = models.ForeignKey(
        BatchJob,
        on_delete=models.CASCADE,
        related_name="tallies",
        verbose_name=_("job"),
    )
    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="tallies", verbose_name=_("run")
    )
    outcome = models.CharField(_("outcome"), max_length=16, choices=AttemptOutcome)
    error_code = models.CharField(_("error"), max_length=64, blank=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    input_tokens = models.BigIntegerField(_("input tokens"), default=0)
    cached_tokens = models.BigIntegerField(_("cached tokens"), default=0)
    output_tokens = models.BigIntegerField(_("output tokens"), default=0)
    cost_nanos = models.BigIntegerField(_("cost (nano-dollars)"), default=0)

    class Meta:
        verbose_name = _("tally")
        verbose_name_plural = _("tallies")
        constraints = [
            models.UniqueConstraint(
                name="jobtally_once", fields=["job", "run", "outcome", "error_code"]
            )
        ]

    def __str__(self) -> str:
        what = f"{self.outcome} {self.error_code}".rstrip()
        return f"{self.attempts} × {what} in job {self.job_id}"


class StrayLine(models.Model):
    """A line of a result file that was not applied, recorded once."""

    job = models.ForeignKey(
        BatchJob,
        on_delete=models.CASCADE,
        related_name="stray_lines",
        verbose_name=_("job"),
    )
    file_id = models.CharField(_("file"), max_length=200)
    line = models.PositiveIntegerField(_("line"), help_text=_("1-based."))
    kind = models.CharField(_("kind"), max_length=16, choices=StrayKind)
    custom_id = models.CharField(_("custom id"), max_length=200, blank=True)
    raw_line = models.TextField(_("raw line"))
    created_at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("stray line")
        verbose_name_plural = _("stray lines")
        constraints = [
            models.UniqueConstraint(
                name="strayline_once", fields=["job", "file_id", "line"]
            )
        ]

    def __str__(self) -> str:
        return f"line {self.line} of {self.file_id}: {self.kind}"
