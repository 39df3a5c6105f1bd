"""Which texts are against a term of the glossary that was changed after them.

A changed term makes nothing out of date but the segments that it is in, and of these
only what is against it: such a text is marked, and the next run asks for just those
segments. What a person let stand after the change is left alone.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db.models import F, Max, Q

from translations.glossary.models import GlossaryTerm
from translations.glossary.rules import term_of
from translations.models import ReviewEntry, ReviewStatus, Translation
from translations.quality import Background, Pair
from translations.quality.glossary import glossary
from translations.quality.terms import Term
from translations.registry import Registered, all_registered
from translations.review.models import ReviewAct
from translations.review.rules import check_again
from translations.review.texts import read_version
from translations.segments import segment_hash, segments_of, split_text
from translations.staleness import current_hash, source_rows

WINDOW = 200
# After any of these the text that is there is what a person wants: a rejected proposal
# gives way to it.
LET_STAND = (
    ReviewAct.APPROVED,
    ReviewAct.PUBLISHED,
    ReviewAct.LOOKED_AT,
    ReviewAct.REJECTED,
)


@dataclass(frozen=True)
class Breach:
    """A text and the terms that it is against; `segments` are the ids of where."""

    unit: Translation
    kind: str
    terms: tuple[str, ...]
    segments: tuple[str, ...]


@dataclass
class Recheck:
    """What was looked at, what is against a term now, and what no longer is."""

    looked_at: int = 0
    found: list[Breach] = field(default_factory=list)
    mended: int = 0
    cursor: int | None = None  # the last unit, where the work was cut short


@dataclass(frozen=True)
class _Changed:
    term: Term
    scope: str
    at: datetime


def recheck_glossary(
    *,
    after: int = 0,
    dry_run: bool = False,
    is_over: Callable[[], bool] = lambda: False,
) -> Recheck:
    """Hold the texts made before a term was changed against it, and mark what breaks.

    Goes on behind the unit `after`; `is_over` is asked between windows, and what is
    left then begins behind `cursor`. Safe to repeat.
    """
    done = Recheck()
    changed = [
        _Changed(term_of(row), row.scope, row.updated_at)
        for row in GlossaryTerm.objects.order_by("pk")
    ]
    is_marked = Q(breach=F("latest_id"))
    newest = max((one.at for one in changed), default=None)
    is_older = Q(latest__created_at__lt=newest) if newest else is_marked
    units = Translation.objects.filter(is_older | is_marked)
    units = units.exclude(status=ReviewStatus.REJECTED)
    units = units.select_related("latest").order_by("pk")
    while window := list(units.filter(pk__gt=after)[:WINDOW]):
        after = window[-1].pk
        _look_at(window, changed, done, dry_run=dry_run)
        if is_over():
            done.cursor = after
            break
    return done


def _look_at(
    window: Sequence[Translation],
    changed: Sequence[_Changed],
    done: Recheck,
    *,
    dry_run: bool,
) -> None:
    let_stand = _let_stand(window)
    found = []
    for entry, row, unit in _with_rows(window):
        done.looked_at += 1
        latest = unit.latest
        assert latest is not None  # noqa: S101 (the window's condition)
        since = max(latest.created_at, let_stand.get(unit.pk, latest.created_at))
        terms = tuple(
            one.term
            for one in changed
            if one.at > since
            and one.scope in ("", entry.label)
            and one.term.is_for(unit.source_language, unit.language)
        )
        if terms and (breach := _breach(entry, row, unit, terms)):
            found.append(breach)
    broken = {breach.unit.pk for breach in found}
    mended = [u.pk for u in window if u.breaks_glossary and u.pk not in broken]
    done.found += found
    done.mended += len(mended)
    if dry_run:
        return
    seen = [unit.latest_id for unit in window]
    now = Translation.objects.filter(latest__in=seen)
    now.filter(pk__in=broken).update(breach=F("latest_id"))
    now.filter(pk__in=mended).update(breach=None)
    for breach in found:
        _write_down(breach.unit)


def _let_stand(window: Sequence[Translation]) -> Mapping[int, datetime]:
    """{unit: when a person last let its text stand}."""
    entries = ReviewEntry.objects.filter(
        translation__in=window, act__in=LET_STAND
    ).values_list("translation_id")
    return dict(entries.annotate(at=Max("created_at")).order_by())


def _with_rows(
    window: Sequence[Translation],
) -> Iterator[tuple[Registered, Any, Translation]]:
    """(entry, row, unit) of those whose content is there."""
    by_kind: defaultdict[int, list[Translation]] = defaultdict(list)
    for unit in window:
        by_kind[unit.content_type_id].append(unit)
    registered = all_registered()
    for kind, units in by_kind.items():
        model = ContentType.objects.get_for_id(kind).model_class()
        entry = registered.get(model._meta.label_lower) if model else None
        if entry is None:
            continue
        rows = {
            str(row.pk): row
            for row in source_rows(entry, {unit.object_id for unit in units})
        }
        for unit in units:
            if unit.object_id in rows and unit.field in entry.fields:
                yield entry, rows[unit.object_id], unit


def _breach(
    entry: Registered, row: Any, unit: Translation, terms: tuple[Term, ...]
) -> Breach | None:
    """None too where the source has changed: the text is out of date already."""
    latest = unit.latest
    if latest is None or current_hash(entry, row, unit.field) != latest.source_hash:
        return None
    background = Background(terms=terms)
    source = getattr(row, unit.field) or ""
    format = entry.format_of(row, unit.field)
    sources = {
        segment_hash(segment.text): segment.text
        for segment in segments_of(split_text(source, format))
    }
    texts = [
        (segment["id"], sources.get(segment["source_hash"], ""), segment["text"])
        for segment in latest.segments
    ] or [("", source, latest.text)]
    named: dict[str, None] = {}
    places = []
    for key, said, text in texts:
        pair = Pair(
            source=said,
            target=text,
            source_language=unit.source_language,
            target_language=unit.language,
            format=format,
            background=background,
        )
        if findings := list(glossary(pair)):
            places.append(key)
            named |= dict.fromkeys(str(found.params["term"]) for found in findings)
    if not places:
        return None
    return Breach(unit, entry.kind, tuple(named), tuple(places))


def _write_down(unit: Translation) -> None:
    """What the checks say of it now, for the pages of review."""
    latest = unit.latest
    if latest is not None and (reading := read_version(unit, latest)):
        check_again(reading)
