"""Which rows lack which translations: looked for in windows, in the order of keys."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

from batches import config
from batches.providers.registry import active_provider, is_sandbox
from translations.glossary.sending import Glossary
from translations.memory.lookup import Memory
from translations.models import ReviewStatus, Translation
from translations.options import TranslationOptions
from translations.registry import Registered, all_registered
from translations.review.comments import notes_for

# How many rows are looked at in one step for some that need work, and how many of those
# are loaded at a time: their texts may be long.
WINDOW = 1_000
LOADED = 50


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row with the (field, language) pairs of it that need a translation.

    `longest` is the most characters of a field that are sent; `glossary` and `memory`
    are read for a page of rows; `notes` is what people hold against earlier
    translations, by pair.
    """

    entry: Registered
    row: Model
    pairs: frozenset[tuple[str, str]]
    longest: int
    glossary: Glossary
    memory: Memory
    notes: dict[tuple[str, str], list[str]] = field(default_factory=dict)


def entries_of(options: TranslationOptions, after: str) -> list[Registered]:
    """The registered models that a run is about, from the one the cursor stands in."""
    label = after.partition("|")[0]
    return [
        entry
        for entry in all_registered().values()
        if (not options.content or entry.label in options.content)
        and entry.label >= label
        and _fields(entry, options)
    ]


def _fields(entry: Registered, options: TranslationOptions) -> list[str]:
    return [f for f in entry.fields if not options.fields or f in options.fields]


def rows_in_need(
    entry: Registered, options: TranslationOptions, last: str, skipped: Counter[str]
) -> Iterator[tuple[Any, Wanted | None]]:
    """Each row after the key `last`, in key order, with what it lacks, or None.

    What is current is told by one query a window; rows whose every translation is are
    never loaded, and the others a few at a time, for their texts may be long.
    """
    pairs = {(f, lang) for f in _fields(entry, options) for lang in options.languages}
    longest = config.get("MAX_FIELD_CHARACTERS")
    glossary, memory = Glossary(), Memory(options.languages)
    rows = entry.model._default_manager.order_by("pk")
    if options.keys:
        rows = rows.filter(pk__in=options.keys)
    while True:
        window = rows.filter(pk__gt=last) if last else rows
        keys = list(window.values_list("pk", flat=True)[:WINDOW])
        if not keys:
            return
        current = {} if options.redo else _current_pairs(entry, options, keys)
        lacks = {key: pairs - current.get(str(key), set()) for key in keys}
        needy = [str(key) for key in keys if lacks[key]]
        notes = notes_for(content_type_of(entry).pk, needy) if needy else {}
        for start in range(0, len(keys), LOADED):
            few = keys[start : start + LOADED]
            loaded = rows.select_related(*entry.select_related).in_bulk(
                [key for key in few if lacks[key]]
            )
            left = {
                key: _pairs_to_translate(entry, row, lacks[key], skipped)
                for key, row in loaded.items()
            }
            memory.load(
                entry,
                [(row, left[key]) for key, row in loaded.items() if left[key]],
                longest=longest,
                is_redo=options.redo,
            )
            for key in few:
                if not (pairs_left := left.get(key)):
                    yield key, None
                    continue
                said = {
                    (name, language): notes[str(key), name, language]
                    for name, language in pairs_left
                    if (str(key), name, language) in notes
                }
                row = loaded[key]
                yield (
                    key,
                    Wanted(entry, row, pairs_left, longest, glossary, memory, said),
                )
        last = str(keys[-1])


def _current_pairs(
    entry: Registered, options: TranslationOptions, keys: list[Any]
) -> dict[str, set[tuple[str, str]]]:
    """{object id: {(field, language) that has a current result}} for these rows."""
    units = Translation.objects.filter(
        content_type=content_type_of(entry),
        object_id__in=[str(key) for key in keys],
        field__in=_fields(entry, options),
        language__in=options.languages,
    ).exclude(status=ReviewStatus.REJECTED)
    units = units.up_to_date()
    if not is_sandbox(active_provider()):
        units = units.filter(is_sandbox=False)
    current: dict[str, set[tuple[str, str]]] = {}
    for object_id, name, language in units.values_list(
        "object_id", "field", "language"
    ):
        current.setdefault(object_id, set()).add((name, language))
    return current


def _pairs_to_translate(
    entry: Registered,
    row: Model,
    lacks: set[tuple[str, str]],
    skipped: Counter[str],
) -> frozenset[tuple[str, str]]:
    """What of a row can be translated: not empty, not skipped, not its own language."""
    source_language = entry.language_of(row)
    pairs: set[tuple[str, str]] = set()
    for wanted in {name for name, _ in lacks}:
        if not (getattr(row, wanted) or "").strip():
            continue
        if reason := entry.skip(row, wanted) if entry.skip else None:
            skipped[reason] += 1
            continue
        pairs |= {
            (name, language)
            for name, language in lacks
            if name == wanted and language != source_language
        }
    return frozenset(pairs)


def content_type_of(entry: Registered) -> ContentType:
    return ContentType.objects.get_for_model(entry.model)
