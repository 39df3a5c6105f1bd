"""What of translations goes by the clock."""

from batches import config
from batches.schedules import PREFIX, Wanted
from translations.review.digest import is_on


def wanted_schedules() -> dict[str, Wanted]:
    """The sweep of sources; and the mail to editors, where mail goes out."""
    sweep = config.get("SOURCE_SWEEP_SCHEDULE")
    wanted = {f"{PREFIX}sources": Wanted("translations.tasks.sweep_texts", "()", sweep)}
    if is_on():
        mail = config.get("REVIEW_DIGEST_SCHEDULE")
        task = "translations.tasks.mail_digests"
        wanted[f"{PREFIX}digest"] = Wanted(task, "()", mail)
    return wanted
