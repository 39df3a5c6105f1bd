"""What people do to jobs by hand: each act with its question and its effect."""

from django.utils.translation import gettext_lazy

from batches.admin import steering
from batches.admin.acts import Act
from batches.admin.reapplying import REAPPLY_JOBS
from batches.services.by_hand import check_now, process_now, submit_now
from batches.services.effects import (
    abandon_effect,
    job_effect,
    outlook_of_jobs,
    outlook_of_recall,
)
from batches.services.prospects import prospect_of_jobs, prospect_of_resumed
from batches.services.requeue import failed_of_job, retry_job
from batches.services.steering import (
    abandon_job,
    cancel_job,
    pause_job,
    recall_job,
    resume_job,
)

ACTS = (
    Act(
        name="submit",
        kind="submit",
        label=gettext_lazy("Submit now"),
        says=gettext_lazy("It is sent to the provider without waiting for its time."),
        done=gettext_lazy("Submitted"),
        permission="batches.submit_job",
        sends=prospect_of_jobs,
        do=submit_now,
        effect=job_effect,
    ),
    steering.pause(
        says=gettext_lazy("It is not sent until it is resumed."),
        permission="batches.pause_job",
        do=pause_job,
        effect=outlook_of_jobs,
    ),
    steering.recall(
        says=gettext_lazy(
            "A batch that runs is cancelled at the provider, and what it has finished "
            "is applied. The rest uses up no attempt and waits with its runs, which "
            "are paused; other jobs of theirs that were not sent are taken back too."
        ),
        permission="batches.recall_job",
        do=recall_job,
        effect=outlook_of_recall,
    ),
    steering.resume(
        says=gettext_lazy(
            "A paused job is sent; of a recalled one, the runs that it is of go on."
        ),
        permission="batches.resume_job",
        sends=prospect_of_resumed,
        do=resume_job,
        effect=outlook_of_recall,
    ),
    Act(
        name="check_status",
        kind="check_status",
        label=gettext_lazy("Check status now"),
        says=gettext_lazy("The provider is asked how it stands; asking is free."),
        done=gettext_lazy("Checked"),
        permission="batches.check_job",
        do=check_now,
        effect=job_effect,
    ),
    Act(
        name="process_results",
        kind="process_results",
        label=gettext_lazy("Process results now"),
        says=gettext_lazy("Its result files are fetched and applied; safe to repeat."),
        done=gettext_lazy("Processed"),
        permission="batches.process_job",
        do=process_now,
        effect=job_effect,
    ),
    steering.retry(
        permission="batches.retry_job",
        do=retry_job,
        failed_of=failed_of_job,
    ),
    REAPPLY_JOBS,
    steering.cancel(
        says=gettext_lazy(
            "What was not sent ends at once; a batch that runs is cancelled at the "
            "provider, and what it has finished by then is paid for, and applied."
        ),
        permission="batches.cancel_job",
        do=cancel_job,
        effect=outlook_of_jobs,
    ),
    Act(
        name="abandon",
        kind="abandon",
        label=gettext_lazy("Abandon"),
        says=gettext_lazy(
            "For a job that is late. If the provider still takes a cancellation, it is "
            "cancelled, and what it has finished is applied. If not, it ends here: its "
            "items fail and are retried by hand only, and its money may be spent "
            "without a result, so it goes on counting as spent."
        ),
        done=gettext_lazy("Cancelled or abandoned"),
        permission="batches.abandon_job",
        do=abandon_job,
        effect=abandon_effect,
        is_grave=True,
    ),
)
