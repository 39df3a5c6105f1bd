"""What the worker does for translations: ids in, one service call, a summary out."""

from django.conf import settings
from django.utils import timezone

from batches.services.leases import is_slice_over, one_slice
from batches.tasks import request_once
from translations.coverage_counts import COUNT, count_all, little_content
from translations.glossary.breaches import recheck_glossary
from translations.glossary.saving import RECHECK
from translations.review.digest import Sent, is_on, send_digests
from translations.staleness import sweep_sources

SWEEP = "translations.tasks.sweep_texts"


def mail_digests() -> str:
    sent = send_digests() if is_on() else Sent([], [])
    return f"{len(sent.names)} sent, {len(sent.failed)} failed"


def sweep_texts(after: int = 0) -> str:
    """Hold texts behind this unit against their sources; the rest is asked for anew."""
    with one_slice(settings.Q_CLUSTER["timeout"] / 2):
        done = sweep_sources(after=after, is_over=is_slice_over)
    if done.cursor is not None:
        request_once(SWEEP, done.cursor, name="sweep of sources")
    elif little_content() is None:
        request_once(COUNT, name="coverage")
    return f"looked at {done.looked_at}: {done.marked} marked anew"


def recheck_texts(after: int = 0) -> str:
    """Hold texts behind this unit against the glossary; the rest is asked for anew."""
    with one_slice(settings.Q_CLUSTER["timeout"] / 2):
        done = recheck_glossary(after=after, is_over=is_slice_over)
    if done.cursor is not None:
        request_once(RECHECK, done.cursor, name="glossary recheck")
    against, mended = len(done.found), done.mended
    return f"looked at {done.looked_at}: {against} against it, {mended} no more"


def count_coverage() -> str:
    """Count what is translated of very much content; the rest is asked for anew."""
    with one_slice(settings.Q_CLUSTER["timeout"] / 2):
        counted = list(count_all(now=timezone.now(), is_over=is_slice_over))
        if is_slice_over():
            request_once(COUNT, name="coverage")
    return f"counted {len(counted)} kinds"
