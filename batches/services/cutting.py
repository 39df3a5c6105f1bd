"""Cut a job down before it is sent: what is left over waits in the pool as before.

The inverse of bundling, for some of a job's items: no attempt is used up, and nothing
of it was ever sent, or all of it was refused and cost nothing.
"""

import logging
from collections import Counter

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from batches.models import BatchItem, BatchJob, JobShare, OpenItem
from batches.services.bulk import one_of
from batches.services.events import record_event
from batches.services.lifecycle import move_items, refresh_run, update_job
from batches.services.prices import current_rate
from batches.services.rendering import worst_case_nanos
from batches.signals import announce
from batches.states import EventKind, ItemStatus

log = logging.getLogger(__name__)


def cut_job(
    job: BatchJob, most_tokens: int, *, reason: str, at_least_one: bool = True
) -> int:
    """Keep the most wanted items of a job that we hold, up to so many input tokens.

    Returns how many items went back. Where not even the first fits, it is kept alone,
    or nothing is done without `at_least_one`. A file that was uploaded is given up: its
    number is of the past then, and the sweep deletes it.
    """
    if job.create_sent_at is not None or job.provider_batch_id:
        raise ValueError(f"Job {job.pk} was sent; nothing can be taken out of it.")
    items = list(
        OpenItem.objects.filter(job=job)
        .wanted_first()
        .values_list("item_id", "run_id", "body_bytes", "input_tokens", "output_limit")
    )
    kept_count, tokens = 0, 0
    for item in items:
        if tokens + item[3] > most_tokens:
            break
        kept_count, tokens = kept_count + 1, tokens + item[3]
    if not kept_count and at_least_one:
        kept_count = 1
    if not kept_count or kept_count == len(items):
        return 0
    kept, left = items[:kept_count], items[kept_count:]
    now = timezone.now()
    with transaction.atomic():
        update_job(
            job,
            items_total=len(kept),
            file_bytes=sum(item[2] for item in kept),
            queued_tokens=sum(item[3] for item in kept),
            submission_number=job.submission_number + bool(job.input_file_id),
            input_file_id="",
        )
        _put_back(job, [item[0] for item in left])
        _cut_shares(job, kept)
        record_event(
            EventKind.BATCH_NOTE,
            now=now,
            job=job,
            message=f"cut to {len(kept)} of {len(items)} requests: {reason}",
        )
        for run_id in sorted({item[1] for item in left}):
            refresh_run(run_id, now=now)
        announce("bundle")
    log.info("[Batch Worker] Job %d gave %d items back", job.pk, len(left))
    return len(left)


def _put_back(job: BatchJob, item_ids: list[int]) -> None:
    sql, param = one_of("item_id", item_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {OpenItem._meta.db_table} SET job_id = NULL "  # noqa: S608
            f"WHERE job_id = %s AND {sql}",
            [job.pk, param],
        )
    still_here = OpenItem.objects.filter(job=job).values("item_id")
    move_items(
        BatchItem.objects.filter(job=job).exclude(pk__in=still_here),
        ItemStatus.IN_JOB,
        ItemStatus.PENDING,
        now=timezone.now(),
        job=None,
        attempts=F("attempts") - 1,
    )


def _cut_shares(job: BatchJob, kept: list[tuple[int, int, int, int, int]]) -> None:
    """Shares as bundling would have made them, none of which reserves more than it
    did."""
    rate = current_rate(job.provider, job.model, job.created_at)
    sent: Counter[int] = Counter()
    reserved: Counter[int] = Counter()
    for _, run_id, _, input_tokens, output_limit in kept:
        sent[run_id] += 1
        reserved[run_id] += worst_case_nanos(
            rate, input_tokens=input_tokens, output_limit=output_limit
        )
    for share in JobShare.objects.filter(job=job).order_by("run_id"):
        if not sent[share.run_id]:
            share.delete()
            continue
        share.sent = sent[share.run_id]
        share.reserved_nanos = min(share.reserved_nanos, reserved[share.run_id])
        share.save(update_fields=["sent", "reserved_nanos"])
