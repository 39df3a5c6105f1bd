"""What a run waits for, in sentences; empty when it waits for nothing."""

from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from batches import config
from batches.admin.display import number
from batches.errors import ConfigError
from batches.states import AT_PROVIDER, JOB_UNFINISHED, RUN_FINAL, JobStatus

JOBS_NAMED = 5


def run_waits_for(run, figures, in_flight, jobs):
    """`in_flight` are its items in unfinished jobs, `jobs` the newest of its jobs."""
    if run.status in RUN_FINAL:
        return []
    sentences = []
    if run.paused_at and not run.is_braked:  # the brake has a panel of its own
        sentences.append(
            _("It is paused since %(at)s; what is not sent waits until it is resumed.")
            % {"at": f"{localtime(run.paused_at):%Y-%m-%d %H:%M}"}
        )
    if run.cancelled_at:
        sentences.append(
            _("It is cancelled; what the provider has already is settled first.")
        )
    elif run.collected_at is None:
        sentences.append(
            _("Its content is being collected: %(count)s subjects so far.")
            % {"count": number(run.subjects_collected)}
        )
    pooled = figures.open - in_flight
    if pooled > 0 and not run.paused_at:
        sentences.append(_pool_waits_for(run, pooled))
    unfinished = [job for job in jobs if job.status in JOB_UNFINISHED]
    sentences += [_job_waits_for(job) for job in unfinished[:JOBS_NAMED]]
    return sentences


def _pool_waits_for(run, pooled):
    items = ngettext("%(count)s item waits", "%(count)s items wait", pooled) % {
        "count": number(pooled)
    }
    try:
        if not config.creation_enabled():
            return _(
                "%(items)s: new jobs are switched off (BATCH_PROCESSING_ENABLED, "
                "BATCH_CREATION_ENABLED or STAGING)."
            ) % {"items": items}
        if run.waiting_reason:
            return run.waiting_reason
        if run.may_wait:
            return _(
                "%(items)s for a fuller job: until %(size)s are there, or "
                "%(minutes)s minutes have passed."
            ) % {
                "items": items,
                "size": number(config.get("BATCH_MIN_SIZE")),
                "minutes": number(config.get("BATCH_MAX_WAIT_MINUTES")),
            }
    except ConfigError as error:
        return str(error)
    return _("%(items)s for the next job to be made.") % {"items": items}


def _job_waits_for(job):
    if job.waiting_reason:
        reason = job.waiting_reason
    elif job.status in AT_PROVIDER:
        reason = _("the provider works on it")
    elif job.status == JobStatus.COMPLETED:
        reason = _("its results are being read")
    else:
        reason = _("it is about to be sent")
    return _("Job %(key)s (%(status)s): %(reason)s") % {
        "key": job.pk,
        "status": job.get_status_display(),
        "reason": reason,
    }
