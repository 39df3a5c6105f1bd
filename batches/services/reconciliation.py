"""Reconcile: what is at the provider against what is known here.

Submission is safe without it. It finds what nobody waits for any more: files that a
process left when it died, batches that a database forgot when it went back in time,
batches that were made twice. It cancels nothing: whether a batch that costs money is to
go on is for a person to say.
"""

import logging
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F

from batches import config
from batches.errors import BatchError
from batches.models import (
    BatchItem,
    BatchJob,
    Installation,
    ItemAttempt,
    OpenItem,
    Run,
)
from batches.providers.errors import ProviderError
from batches.providers.registry import active_provider, get_provider
from batches.services.account import (
    ENDED,
    LIST_MARGIN,
    LISTED_DAYS,
    OurBatch,
    hold_for_unknown,
    our_files,
    read_batch,
    unknown_to_us,
)
from batches.services.alerts import raise_alert
from batches.services.bundling_lock import take_bundling_lock
from batches.services.installation import (
    check_may_act,
    installation,
    renew_installation,
)
from batches.services.leases import held
from batches.services.lifecycle import move_items, move_job, refresh_run
from batches.services.settlement import refuse_job
from batches.services.submission import adopt_one_of, settles
from batches.states import (
    AT_PROVIDER,
    TO_SUBMIT,
    AttemptOutcome,
    ItemStatus,
    JobStatus,
    Severity,
)

if TYPE_CHECKING:
    from batches.providers.openai_batch import BatchProvider, RemoteBatch

log = logging.getLogger(__name__)

PAGE = 5_000
NOT_OURS = "belongs_to_the_original"


# --- files of finished jobs -----------------------------------------------------------


def files_left() -> bool:
    """Whether a finished job has files at its provider that are to be deleted."""
    if config.get("KEEP_PROVIDER_FILES"):
        return False
    return bool(BatchJob.objects.with_files_left().exists())


def clean_up(*, now: datetime) -> int:
    """Delete the files of finished jobs at their provider; returns of how many jobs.

    Raises the last ProviderError where a file could not be deleted; the next call tries
    again. Raises NotTheOriginal where this database may be a copy.
    """
    if not files_left():
        return 0
    check_may_act()
    cleaned = 0
    trouble: ProviderError | None = None
    for job in BatchJob.objects.with_files_left():
        try:
            _delete_files(job, now)
        except ProviderError as err:
            log.warning(
                "[Batch Worker] Error deleting files of job %d: %s", job.pk, err
            )
            trouble = err
            if not err.is_definite:
                break  # it is the provider, not this job
        else:
            cleaned += 1
    if trouble:
        raise trouble
    return cleaned


def _delete_files(job: BatchJob, now: datetime) -> None:
    provider = get_provider(job.provider)
    for file_id in (job.input_file_id, job.output_file_id, job.error_file_id):
        if file_id:
            provider.delete_file(file_id)
    BatchJob.objects.filter(pk=job.pk).update(provider_files_deleted_at=now)


# --- the whole account ----------------------------------------------------------------


@dataclass
class Reconciliation:
    """What stood at the providers, and what was done about it (or would be).

    Each entry of a list is a flat object of ids and counts, as a program reads it.
    """

    installation: str
    is_dry_run: bool
    batches: int = 0  # of this installation
    known: int = 0
    foreign: int = 0  # of other installations and programs: left alone
    adopted: list[dict[str, Any]] = field(default_factory=list)
    duplicates: list[dict[str, Any]] = field(default_factory=list)
    unknown: list[dict[str, Any]] = field(default_factory=list)
    vanished: list[dict[str, Any]] = field(default_factory=list)
    files_deleted: list[dict[str, Any]] = field(default_factory=list)
    jobs_cleaned: int = 0
    trouble: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.batches} batches: {self.known} known, {len(self.adopted)} adopted, "
            f"{len(self.duplicates)} made twice, {len(self.unknown)} unknown; "
            f"{len(self.vanished)} jobs without their batch; "
            f"{len(self.files_deleted)} files deleted, {self.jobs_cleaned} jobs cleaned"
            f"{'; ' if self.trouble else ''}{'; '.join(self.trouble)}"
        )


def reconcile(*, apply: bool, now: datetime) -> Reconciliation:
    """Go through every provider that we use; `apply=False` changes nothing.

    A provider's trouble is reported and does not keep the others. Raises NotTheOriginal
    where this database may be a copy, and something is to be changed.
    """
    if apply:
        check_may_act()
    us = installation()
    report = Reconciliation(us.public_id.hex, is_dry_run=not apply)
    for key in _providers_in_use():
        try:
            Account(key, report, apply=apply, now=now).reconcile(us)
        except BatchError as err:
            report.trouble.append(f"{key}: {err}")
    _clean(report, apply=apply, now=now)
    if apply and not report.trouble:
        Installation.objects.filter(pk=us.pk).update(reconciled_at=now)
    log.info("[Batch Worker] Reconciled: %s", report)
    return report


def reconcile_if_due(*, now: datetime) -> int:
    """Reconcile where a job ended since the last time; returns how many files went.

    Raises BatchError where a provider could not be asked.
    """
    since = installation().reconciled_at
    ended = BatchJob.objects.filter(finished_at__isnull=False)
    if since is not None:
        ended = ended.filter(finished_at__gte=since)
    if not ended.exists():
        return 0
    report = reconcile(apply=True, now=now)
    if report.trouble:
        raise BatchError(report.trouble[-1])
    return len(report.files_deleted)


def _providers_in_use() -> list[str]:
    unfinished = BatchJob.objects.unfinished().values_list("provider", flat=True)
    left = BatchJob.objects.with_files_left().values_list("provider", flat=True)
    return sorted({active_provider(), *unfinished.distinct(), *left.distinct()})


def _clean(report: Reconciliation, *, apply: bool, now: datetime) -> None:
    if not apply:
        if files_left():
            report.jobs_cleaned = BatchJob.objects.with_files_left().count()
        return
    try:
        report.jobs_cleaned = clean_up(now=now)
    except BatchError as err:
        report.trouble.append(str(err))


class Account:
    """Our account at one provider, for one reconciliation."""

    def __init__(
        self, key: str, report: Reconciliation, *, apply: bool, now: datetime
    ) -> None:
        self.key = key
        self.report = report
        self.apply = apply
        self.now = now
        self.provider: BatchProvider = get_provider(key)

    def reconcile(self, us: Installation) -> None:
        ours = self._list(us)
        self._unknown(ours)
        jobs = self._jobs_of(ours)
        self._adopt(ours, jobs)
        for found in ours:
            self._look_at(found, jobs.get(found.token))
        self._vanished({found.batch.id for found in ours})
        self._sweep()

    def _list(self, us: Installation) -> list[OurBatch]:
        since = max(us.created_at, self.now - timedelta(days=LISTED_DAYS)) - LIST_MARGIN
        ours = []
        for batch in self.provider.batches_since(int(since.timestamp())):
            found = read_batch(batch, us.public_id.hex)
            if found:
                ours.append(found)
            else:
                self.report.foreign += 1
        self.report.batches += len(ours)
        return ours

    def _unknown(self, ours: list[OurBatch]) -> None:
        if self.apply:
            hold_for_unknown(ours, self.key)
        for found in unknown_to_us(ours):
            self.report.unknown.append({"provider": self.key, **_told(found.batch)})

    def _jobs_of(self, ours: list[OurBatch]) -> dict[str, BatchJob]:
        tokens = {found.token for found in ours}
        return {
            job.token: job
            for job in BatchJob.objects.filter(token__in=tokens, provider=self.key)
        }

    def _adopt(self, ours: list[OurBatch], jobs: dict[str, BatchJob]) -> None:
        """Jobs that know of no batch take the one that is theirs."""
        by_token = defaultdict(list)
        for found in ours:
            by_token[found.token].append(found)
        for token, job in jobs.items():
            candidates = [one for one in by_token[token] if settles(job, one)]
            if job.status not in TO_SUBMIT or not candidates:
                continue
            if self.apply:
                with held(job, now=self.now) as is_ours:
                    if not is_ours or not adopt_one_of(job, candidates):
                        continue
                batch_id = job.provider_batch_id
            else:
                batch_id = candidates[0].batch.id
            self.report.adopted.append({"job": job.pk, "batch": batch_id})

    def _look_at(self, found: OurBatch, job: BatchJob | None) -> None:
        """A batch whose job has another one: it ran for nothing, or still does."""
        batch = found.batch
        if job is None:
            return
        self.report.known += 1
        has_another = job.provider_batch_id and job.provider_batch_id != batch.id
        if not has_another or not batch.has_run:
            return
        told = {"job": job.pk, "provider": self.key, **_told(batch)}
        self.report.duplicates.append(told)
        if self.apply:
            raise_alert(
                "duplicate_batch",
                f"Batch {batch.id} at {self.key} ({batch.status}, {batch.completed} of "
                f"{batch.total} lines done) was made for job {job.pk}, whose batch is "
                f"{job.provider_batch_id}: the same lines are paid twice. If it still "
                "runs, cancel it at the provider.",
                key=batch.id,
                severity=Severity.CRITICAL,
                job=job,
            )

    def _vanished(self, listed: set[str]) -> None:
        """Jobs whose batch the provider does not know; a list alone proves nothing."""
        jobs = BatchJob.objects.filter(
            status__in=(*AT_PROVIDER, JobStatus.COMPLETED), provider=self.key
        )
        for job in jobs.order_by("pk"):
            if not job.provider_batch_id or job.provider_batch_id in listed:
                continue
            try:
                self.provider.retrieve(job.provider_batch_id)
            except ProviderError as err:
                if not err.is_not_found:
                    raise
                told = {"job": job.pk, "batch": job.provider_batch_id}
                self.report.vanished.append(told)
                self._alert_vanished(job)

    def _alert_vanished(self, job: BatchJob) -> None:
        if self.apply:
            raise_alert(
                "vanished_batch",
                f"{self.key} does not know batch {job.provider_batch_id} of job "
                f"{job.pk}. Check that the key belongs to the account and project that "
                "it was sent from; the job waits.",
                key=job.provider_batch_id or "",
                severity=Severity.CRITICAL,
                job=job,
            )

    def _sweep(self) -> None:
        """Delete input files that no submission needs any more.

        The files are listed before the jobs are read: one whose number is below its
        job's by then, and which is not its job's file, can never become that.
        """
        files = list(our_files(self.provider))
        jobs = {
            job.token: job
            for job in BatchJob.objects.filter(token__in={f.token for f in files})
        }
        keep = config.get("KEEP_PROVIDER_FILES")
        for file in files:
            job = jobs.get(file.token)
            # A file of no job here: this database may have gone back in time.
            if job is None or job.abandoned_at:
                continue
            is_left_behind = (
                file.number < job.submission_number and file.id != job.input_file_id
            )
            is_done = job.finished_at is not None and not (
                keep and file.id == job.input_file_id
            )
            if not is_left_behind and not is_done:
                continue
            if self.apply:
                self.provider.delete_file(file.id)
            self.report.files_deleted.append({"job": job.pk, "file": file.id})


def _told(batch: "RemoteBatch") -> dict[str, Any]:
    return {
        "batch": batch.id,
        "status": batch.status,
        "is_under_way": batch.status not in ENDED,
        "total": batch.total,
        "completed": batch.completed,
        "failed": batch.failed,
    }


# --- a copy becomes an installation of its own ----------------------------------------


@dataclass(frozen=True)
class LeftBehind:
    """What a copy left to the original: jobs, and items in no job."""

    jobs: int
    items: int


def what_would_be_left() -> LeftBehind:
    """What `become_new_installation` would end here."""
    waiting = OpenItem.objects.filter(job__isnull=True)
    return LeftBehind(BatchJob.objects.unfinished().count(), waiting.count())


def become_new_installation(*, by: str, now: datetime) -> LeftBehind:
    """Take a new id; everything unfinished is the original's, and ends here.

    The original pays for it, or has done so. Here its items fail, to be sent again by
    hand where somebody wants to pay for them a second time; its runs collect no more,
    and its files are not ours to delete. Safe to repeat: the id is changed last.
    """
    items = _fail_what_waits(now)
    jobs = 0
    for job in BatchJob.objects.unfinished().order_by("pk"):
        # Whoever holds it here, or held it in the original, can write no more.
        with held(job, now=now + timedelta(days=1)) as is_ours:
            if not is_ours:
                raise BatchError(f"Job {job.pk} is being worked on; say it again.")
            _leave(job)
            jobs += 1
    with transaction.atomic():
        BatchJob.objects.filter(provider_files_deleted_at__isnull=True).update(
            provider_files_deleted_at=now
        )
        renew_installation(by=by)
    return LeftBehind(jobs, items)


def _leave(job: BatchJob) -> None:
    with transaction.atomic():
        if job.status == JobStatus.PENDING:
            move_job(job, JobStatus.UPLOADING)
        refuse_job(
            job,
            code=NOT_OURS,
            message="This database is a copy; the original sends this and reads what "
            "comes of it. Retry by hand to pay for it here as well.",
        )


def _fail_what_waits(now: datetime) -> int:
    """End all runs that collect, and the items that are in no job; returns how many."""
    failed = 0
    with transaction.atomic():
        take_bundling_lock()
        Run.objects.to_collect().update(cancelled_at=now)
        waiting = OpenItem.objects.filter(job__isnull=True)
        for run_id in sorted(set(waiting.values_list("run_id", flat=True))):
            failed += _fail_items_of(run_id, now)
        for run in Run.objects.unfinished().order_by("pk"):
            refresh_run(run.pk, now=now)
    return failed


def _fail_items_of(run_id: int, now: datetime) -> int:
    waiting = OpenItem.objects.filter(job__isnull=True, run_id=run_id)
    keys = list(waiting.values_list("item_id", flat=True))
    ItemAttempt.objects.bulk_create(
        [
            ItemAttempt(
                item_id=key,
                outcome=AttemptOutcome.FAILED,
                error_code=NOT_OURS,
                error_message="This database is a copy; the original sends this.",
                created_at=now,
            )
            for key in keys
        ],
        batch_size=PAGE,
    )
    failed = move_items(
        BatchItem.objects.filter(pk__in=waiting.values("item_id")),
        ItemStatus.PENDING,
        ItemStatus.FAILED,
        now=now,
        error_code=NOT_OURS,
    )
    waiting.delete()
    Run.objects.filter(pk=run_id).update(unsent_failed=F("unsent_failed") + failed)
    return failed
