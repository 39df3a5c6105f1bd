"""How far content is translated: each text in each language is in exactly one state.

Rows are gone through in windows, so that memory does not grow with their number.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, F, Model, Q

from batches import config
from batches.models import BatchItem, OpenItem
from batches.providers.registry import active_provider, is_sandbox
from batches.states import ItemStatus
from translations.models import ReviewStatus, Translation
from translations.querysets import CHANGED_SLIGHTLY, OUT_OF_DATE
from translations.registry import Registered, all_registered
from translations.selection import content_type_of
from translations.targets import split_target
from translations.workloads import TranslationWorkload

WINDOW = 1_000
HAS_WORDS = "_has_words_"


class State(StrEnum):
    """What there is of a text in a language; the first that fits."""

    PUBLISHED = "published"  # readers see it, and it says what the source says
    SLIGHTLY_STALE = "stale_minor"  # so it does, but for blanks, punctuation and case
    WAITING = "waiting"  # under way, or for a person to look at
    STALE = "stale"  # there, but of a source or a glossary that has changed
    FAILED = "failed"  # its request failed, or a person rejected the answer
    MISSING = "missing"


# What is worth asking for.
TO_SEND = (State.STALE, State.FAILED, State.MISSING)
SHOWN = (State.PUBLISHED, State.SLIGHTLY_STALE)

TextKey = tuple[str, str, str]  # object id, field, language


@dataclass(slots=True)
class Line:
    """The texts of one group of content (a course) in one language, by state.

    `group_key` and `group` are blank for content without groups.
    """

    entry: Registered
    group_key: str
    group: str
    language: str
    counts: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def to_send(self) -> int:
        return sum(self.counts[state] for state in TO_SEND)

    @property
    def percent(self) -> int:
        """How much is published, rounded down: 100 only where nothing is left."""
        shown = sum(self.counts[state] for state in SHOWN)
        return 100 * shown // self.total if self.total else 0


# {(group key, language): {state: texts}}
Found = dict[tuple[str, str], dict[State, int]]


def coverage(
    languages: Iterable[str] = (), entry: Registered | None = None
) -> list[Line]:
    """A line for each model, group and language, in this order.

    Without `languages`, those of TRANSLATION_LANGUAGES and all that something is there
    in.
    """
    asked = list(languages)
    lines: list[Line] = []
    for one in [entry] if entry else all_registered().values():
        found: Found = {}
        tags = asked or languages_of(one)
        last: Any = None
        while (last := count_window(one, tags, last, found)) is not None:
            pass
        lines += in_order(one, found, tags)
    return lines


def count_window(
    entry: Registered, languages: list[str], after: Any, found: Found
) -> Any:
    """Add the texts of the next WINDOW rows behind the key `after` to what was found.

    Returns the last row's key; None where no row is left behind it.
    """
    window = _window(entry, after)
    for row, _, language, state in _states_of(entry, window, languages):
        counts = found.setdefault(
            (_group_key(entry, row), language), dict.fromkeys(State, 0)
        )
        counts[state] += 1
    return window[-1].pk if len(window) == WINDOW else None


def in_order(entry: Registered, found: Found, languages: list[str]) -> list[Line]:
    """Lines of a model, by its groups' own order and then that of the languages.

    A group that is gone has none.
    """
    names = _group_names(entry, {key for key, _ in found})
    order = {key: place for place, key in enumerate(names)}
    places = {tag: place for place, tag in enumerate(languages)}
    lines = [
        Line(entry, key, names[key], language, counts)
        for (key, language), counts in found.items()
        if key in names
    ]
    lines.sort(key=lambda line: (order[line.group_key], places[line.language]))
    return lines


def keys_to_send(
    entry: Registered, language: str, group_key: str | None = None
) -> list[str]:
    """The rows of a group that lack something in a language, in the order of keys."""
    keys: dict[str, None] = {}
    for row, _, _, state in _states(entry, [language], group_key):
        if state in TO_SEND:
            keys[str(row.pk)] = None
    return list(keys)


def languages_of(entry: Registered) -> list[str]:
    """The languages that a model's content should be in, or is in already."""
    units = Translation.objects.filter(content_type=content_type_of(entry))
    there = units.order_by("language").values_list("language", flat=True).distinct()
    return list(dict.fromkeys([*config.get("TRANSLATION_LANGUAGES"), *there]))


def _states(
    entry: Registered, languages: list[str], group_key: str | None = None
) -> Iterator[tuple[Any, str, str, State]]:
    """(row, field, language, state) of every text that is to be translated."""
    last: Any = None
    while window := _window(entry, last, group_key):
        last = window[-1].pk
        yield from _states_of(entry, window, languages)


def _window(entry: Registered, after: Any, group_key: str | None = None) -> list[Any]:
    words = {HAS_WORDS + name: Q(**{f"{name}__regex": r"\S"}) for name in entry.fields}
    # The texts themselves stay where they are: only whether they are empty is asked.
    rows = entry.rows(group_key).defer(*entry.fields).annotate(**words)
    return list((rows if after is None else rows.filter(pk__gt=after))[:WINDOW])


def _states_of(
    entry: Registered, rows: list[Any], languages: list[str]
) -> Iterator[tuple[Any, str, str, State]]:
    known = _known_states(entry, [str(row.pk) for row in rows], languages)
    for row in rows:
        source_language = entry.language_of(row)
        for name in _texts(entry, row):
            for language in languages:
                if language != source_language:
                    key = (str(row.pk), name, language)
                    yield row, name, language, known.get(key, State.MISSING)


def _texts(entry: Registered, row: Any) -> list[str]:
    """The fields of a row that are to be translated."""
    return [
        name
        for name in entry.fields
        if getattr(row, HAS_WORDS + name) and not (entry.skip and entry.skip(row, name))
    ]


def _known_states(
    entry: Registered, keys: list[str], languages: list[str]
) -> dict[TextKey, State]:
    states = _states_of_units(entry, keys, languages)
    about = {"content_type": content_type_of(entry), "object_id__in": keys}
    about["workload"] = TranslationWorkload.key
    open_items = OpenItem.objects.filter(**about)
    failed = BatchItem.objects.filter(**about, status=ItemStatus.FAILED)
    for key in _text_keys(failed.values_list("object_id", "target")):
        states.setdefault(key, State.FAILED)
    for key in _text_keys(open_items.values_list("object_id", "target")):
        if states.get(key) not in SHOWN:
            states[key] = State.WAITING
    return states


def _text_keys(rows: Iterable[tuple[str, str]]) -> set[TextKey]:
    return {(object_id, *split_target(target)[:2]) for object_id, target in rows}


def _states_of_units(
    entry: Registered, keys: list[str], languages: list[str]
) -> dict[TextKey, State]:
    counts_pretended = is_sandbox(active_provider())
    units = Translation.objects.filter(
        content_type=content_type_of(entry),
        object_id__in=keys,
        language__in=languages,
        latest__isnull=False,
    ).annotate(
        shown_hash=F("published__source_hash"),
        shown_is_pretended=F("published__is_sandbox"),
        out_of_date=ExpressionWrapper(OUT_OF_DATE, BooleanField()),
        changed_slightly=ExpressionWrapper(CHANGED_SLIGHTLY, BooleanField()),
    )
    told = units.values_list(
        *("object_id", "field", "language", "status", "is_sandbox", "source_hash"),
        *("shown_hash", "shown_is_pretended", "out_of_date", "changed_slightly"),
        named=True,
    )
    states: dict[TextKey, State] = {}
    for unit in told.iterator():
        if state := _state(unit, counts_pretended=counts_pretended):
            states[unit.object_id, unit.field, unit.language] = state
    return states


def _state(unit: Any, *, counts_pretended: bool) -> State | None:
    """None where all there is was made up by the sandbox, and no longer counts."""
    is_shown = unit.shown_hash is not None and (
        counts_pretended or not unit.shown_is_pretended
    )
    is_there = counts_pretended or not unit.is_sandbox
    if unit.out_of_date:
        return State.STALE if is_shown or is_there else None
    if is_shown and unit.shown_hash == unit.source_hash:
        return State.SLIGHTLY_STALE if unit.changed_slightly else State.PUBLISHED
    if is_there:
        is_rejected = unit.status == ReviewStatus.REJECTED
        return State.FAILED if is_rejected else State.WAITING
    return State.STALE if is_shown else None


def _group_key(entry: Registered, row: Model) -> str:
    if not entry.group:
        return ""
    value = getattr(row, _group_field(entry).attname)
    return "" if value is None else str(value)


def _group_field(entry: Registered) -> Any:
    return entry.model._meta.get_field(entry.group)


def _group_names(entry: Registered, keys: set[str]) -> dict[str, str]:
    """{key: name} of these groups, in their own order; the first is of no group."""
    if not entry.group:
        return {"": ""}
    model = _group_field(entry).related_model
    groups = model._default_manager.filter(pk__in=keys - {""})
    return {"": "", **{str(group.pk): str(group) for group in groups}}
