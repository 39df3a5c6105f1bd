"""The acts that runs and jobs have alike: what they are called, and how grave they are.

What an act says, does and reaches is each kind of rows' own: `run_acts.py`,
`job_acts.py`.
"""

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext_lazy

from batches.admin.acts import Act, outlook_in_words
from batches.services.requeue import requeue_effect, requeue_prospect


def pause(**given: Any) -> Act:
    return _steer(
        "pause", label=gettext_lazy("Pause"), done=gettext_lazy("Paused"), **given
    )


def recall(**given: Any) -> Act:
    return _steer(
        "recall",
        label=gettext_lazy("Recall"),
        done=gettext_lazy("Recalled"),
        is_grave=True,
        **given,
    )


def resume(**given: Any) -> Act:
    return _steer(
        "resume", label=gettext_lazy("Resume"), done=gettext_lazy("Resumed"), **given
    )


def cancel(**given: Any) -> Act:
    return _steer(
        "cancel",
        label=gettext_lazy("Cancel"),
        done=gettext_lazy("Cancelled"),
        is_grave=True,
        **given,
    )


def retry(*, failed_of: Callable, **given: Any) -> Act:
    """`failed_of` takes any number of rows and gives their failed items."""
    return Act(
        name="retry",
        kind="retry",
        label=gettext_lazy("Retry failed items"),
        says=gettext_lazy(
            "Failed items that can be sent go out once more, and cost once more."
        ),
        done=gettext_lazy("Sent out again"),
        sends=lambda *rows: requeue_prospect(failed_of(*rows)),
        effect=lambda *rows: requeue_effect(failed_of(*rows)),
        **given,
    )


def _steer(kind: str, **given: Any) -> Act:
    return Act(name=kind, kind=kind, in_words=outlook_in_words(kind), **given)
