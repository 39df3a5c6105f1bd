"""Coverage of very much content: counted in pieces by the worker, and kept.

To look at each text takes a second for thirty thousand of them, so no request does it:
a page tells what was counted, and when, and asks the worker to count anew. Little
content is counted while one waits.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from batches import config
from batches.providers.registry import active_provider, is_sandbox
from batches.tasks import request_once
from translations.coverage import (
    Found,
    Line,
    State,
    count_window,
    coverage,
    in_order,
    languages_of,
)
from translations.models import CoverageCount
from translations.registry import Registered, all_registered
from translations.selection import content_type_of

COUNT = "translations.tasks.count_coverage"
LITTLE_TEXTS = 3_000  # texts in languages: a tenth of a second
KEPT_FOR = timedelta(minutes=10)
# A count that nobody has gone on with for so long is begun anew.
GIVEN_UP_AFTER = timedelta(hours=6)


@dataclass
class Told:
    """Lines as `coverage` gives them; `counted_at` is None where that is now.

    `uncounted` is content whose first count is still to be made: it has no lines.
    """

    lines: list[Line] = field(default_factory=list)
    counted_at: datetime | None = None
    uncounted: list[Registered] = field(default_factory=list)


def told_coverage(
    entries: Iterable[Registered], languages: Iterable[str] = (), *, now: datetime
) -> Told:
    """Coverage of these models: as it is where there is little content, else as kept.

    Of what is kept, languages that nothing was in, and that were not wanted when it
    was counted, have no lines. What is older than KEPT_FOR is asked for anew.
    """
    entries, asked = list(entries), list(languages)
    kept = _kept(entries)
    if any(not _is_fresh(kept.get(entry.label), now) for entry in entries):
        if (little := little_content()) is not None:
            here = [entry for entry in entries if entry.label in little]
            return Told([line for entry in here for line in coverage(asked, entry)])
        request_once(COUNT, name="coverage")
    told = Told()
    for entry in entries:
        count = kept.get(entry.label)
        if count is None:
            told.uncounted.append(entry)
            continue
        told.lines += _lines(entry, count, asked)
        at = count.counted_at
        told.counted_at = min(filter(None, (told.counted_at, at)), default=None)
    return told


def little_content() -> set[str] | None:
    """The labels of content that there is, where all of it is so little that it may be
    counted while one waits; None where there is more.
    """
    left = LITTLE_TEXTS
    there = set()
    for entry in all_registered().values():
        each = len(entry.fields) * max(1, len(config.get("TRANSLATION_LANGUAGES")))
        rows = entry.rows().values("pk")[: left // each + 1].count()
        left -= rows * each
        if left < 0:
            return None
        if rows:
            there.add(entry.label)
    return there


def count_all(
    *, now: datetime, is_over: Callable[[], bool] = lambda: False
) -> Iterator[CoverageCount]:
    """Go on counting what was not counted lately; the finished counts, one by one.

    Stops between two windows once `is_over`; what was counted until then is kept. Two
    at once do no harm: a piece is added by one of them, and the other stops.
    """
    for entry in all_registered().values():
        if _is_fresh(_kept([entry]).get(entry.label), now):
            continue
        count = _count(entry, now, is_over)
        if count is None:
            return
        yield count


def _count(
    entry: Registered, now: datetime, is_over: Callable[[], bool]
) -> CoverageCount | None:
    """The finished count of a model; None where it is not finished yet."""
    count = _begun(entry, now)
    before = count.cursor
    found: Found = {
        (group, language): dict(zip(State, counts, strict=True))
        for group, language, counts in count.lines
    }
    is_done = False
    while not is_done and not is_over():
        last = count_window(entry, count.languages, count.cursor or None, found)
        is_done = last is None
        count.cursor = count.cursor if last is None else str(last)
    count.lines = [[*key, list(counts.values())] for key, counts in found.items()]
    count.counted_at = now if is_done else None
    with transaction.atomic():
        # Whoever was quicker has added the same piece.
        ours = CoverageCount.objects.filter(pk=count.pk, cursor=before, counted_at=None)
        changed = ours.update(
            cursor=count.cursor, lines=count.lines, counted_at=count.counted_at
        )
        if changed and is_done:
            _of(entry).filter(pk__lt=count.pk).delete()
    return count if changed and is_done else None


def _begun(entry: Registered, now: datetime) -> CoverageCount:
    """The count of a model that is under way, else a new one."""
    under_way = _of(entry).filter(counted_at=None, begun_at__gt=now - GIVEN_UP_AFTER)
    return under_way.order_by("pk").last() or CoverageCount.objects.create(
        content_type=content_type_of(entry),
        counts_pretended=_counts_pretended(),
        languages=languages_of(entry),
        begun_at=now,
    )


def _of(entry: Registered) -> QuerySet[CoverageCount]:
    return CoverageCount.objects.filter(
        content_type=content_type_of(entry), counts_pretended=_counts_pretended()
    )


def _kept(entries: list[Registered]) -> dict[str, CoverageCount]:
    """{label: the latest finished count}, as far as there is one."""
    labels = {content_type_of(entry).pk: entry.label for entry in entries}
    counts = CoverageCount.objects.filter(
        content_type__in=labels,
        counts_pretended=_counts_pretended(),
        counted_at__isnull=False,
    )
    return {labels[count.content_type_id]: count for count in counts.order_by("pk")}


def _is_fresh(count: CoverageCount | None, now: datetime) -> bool:
    return bool(count and count.counted_at and count.counted_at > now - KEPT_FOR)


def _counts_pretended() -> bool:
    return is_sandbox(active_provider())


def _lines(entry: Registered, count: CoverageCount, asked: list[str]) -> list[Line]:
    tags = [tag for tag in count.languages if not asked or tag in asked]
    found: Found = {
        (group, language): dict(zip(State, counts, strict=True))
        for group, language, counts in count.lines
        if language in tags
    }
    return in_order(entry, found, tags)
