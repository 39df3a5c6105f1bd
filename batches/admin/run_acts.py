"""What people do to runs by hand: each act with its question and its effect."""

from functools import partial

from django.utils.translation import gettext_lazy

from batches.admin import steering
from batches.admin.acts import Act
from batches.admin.reapplying import REAPPLY_RUNS
from batches.services.effects import outlook_of_runs, waiting_effect
from batches.services.prospects import prospect_of_runs
from batches.services.requeue import failed_of_run, retry_run
from batches.services.steering import (
    cancel_run,
    pause_run,
    recall_run,
    resume_run,
    set_priority,
)
from batches.states import Priority


def prioritise(priority, label):
    return Act(
        name=f"priority_{priority.name.lower()}",
        kind="set_priority",
        label=label,
        says=gettext_lazy("What is in no job yet goes out in the new order."),
        done=gettext_lazy("Priority set"),
        permission="batches.prioritise_run",
        do=partial(set_priority, priority=priority),
        effect=waiting_effect,
    )


ACTS = (
    steering.pause(
        says=gettext_lazy(
            "What is not sent is held until the run is resumed. Jobs that were not "
            "sent are taken back; what other runs have in them goes out in the next."
        ),
        permission="batches.pause_run",
        do=pause_run,
        effect=outlook_of_runs,
    ),
    steering.recall(
        says=gettext_lazy(
            "What is not sent is held, and batches at the provider that are these "
            "runs' alone are cancelled there. What they have finished is applied; the "
            "rest uses up no attempt, and waits until the run is resumed."
        ),
        permission="batches.recall_run",
        do=recall_run,
        effect=outlook_of_runs,
    ),
    steering.resume(
        says=gettext_lazy("What was held goes out again, and nothing else."),
        permission="batches.resume_run",
        sends=prospect_of_runs,
        do=resume_run,
        effect=outlook_of_runs,
    ),
    prioritise(Priority.LOW, gettext_lazy("Low priority")),
    prioritise(Priority.NORMAL, gettext_lazy("Normal priority")),
    prioritise(Priority.HIGH, gettext_lazy("High priority")),
    steering.retry(
        permission="batches.retry_run",
        do=retry_run,
        failed_of=failed_of_run,
    ),
    REAPPLY_RUNS,
    steering.cancel(
        says=gettext_lazy(
            "What waits is cancelled for good, and so are jobs of these runs alone; "
            "what the provider has finished of those by then is paid for, and applied. "
            "Of jobs that other runs need, answers and cost are kept, and not applied."
        ),
        permission="batches.cancel_run",
        do=cancel_run,
        effect=partial(outlook_of_runs, together=True),
    ),
)
