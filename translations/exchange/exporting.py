"""What content says and what is said for it, segment by segment, as it is now."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Model

from batches.errors import BatchError
from batches.providers.registry import active_provider, is_sandbox
from translations.exchange.entries import Entry
from translations.models import Translation, TranslationVersion
from translations.registry import Registered
from translations.segments import segment_hash, segments_of, source_hash, split_text
from translations.selection import content_type_of

ROWS_AT_ONCE = 100


class ExportRefused(BatchError):
    """An export that cannot be made as it was asked for."""

    code = "export_refused"


def exported(
    entry: Registered,
    language: str,
    *,
    group_key: str | None = None,
    only_gaps: bool = False,
) -> Iterator[Entry]:
    """Every segment of a model's content, with its text in a language where there is
    one: the latest version's, be it published or not.

    `only_gaps` leaves out texts whose published version is up to date.
    """
    rows = entry.rows(group_key).select_related(*entry.select_related)
    last: Any = None
    while True:
        some = list((rows if last is None else rows.filter(pk__gt=last))[:ROWS_AT_ONCE])
        if not some:
            return
        last = some[-1].pk
        units = _units(entry, [str(row.pk) for row in some], language)
        for row in some:
            if entry.language_of(row) == language:
                continue
            for name in entry.fields:
                unit = units.get((str(row.pk), name))
                yield from _of_field(entry, row, name, language, unit, only_gaps)


def _units(
    entry: Registered, keys: list[str], language: str
) -> dict[tuple[str, str], Translation]:
    units = Translation.objects.filter(
        content_type=content_type_of(entry),
        object_id__in=keys,
        language=language,
        latest__isnull=False,
    )
    if not is_sandbox(active_provider()):
        units = units.filter(is_sandbox=False)
    units = units.select_related("latest").defer("latest__findings")
    return {(unit.object_id, unit.field): unit for unit in units}


def _of_field(
    entry: Registered,
    row: Model,
    name: str,
    language: str,
    unit: Translation | None,
    only_gaps: bool,
) -> Iterator[Entry]:
    text = getattr(row, name) or ""
    if not text.strip() or (entry.skip and entry.skip(row, name)):
        return
    format = entry.format_of(row, name)
    segments = segments_of(split_text(text, format))
    latest = unit.latest if unit else None
    texts: dict[str, str] = {}
    state = "missing"
    if unit and latest:
        is_same = latest.source_hash == source_hash(text, format)
        is_current = (is_same or unit.is_changed_slightly) and not unit.breaks_glossary
        texts = texts_for(latest, {s.id: s.text for s in segments}, text)
        is_published = unit.published_id == unit.latest_id
        state = "published" if is_published else "waiting"
        state = state if is_current else "stale"
    if only_gaps and state == "published":
        return
    for segment in segments:
        yield Entry(
            kind=entry.kind,
            id=external_id(entry, row),
            field=name,
            segment=segment.id,
            language=language,
            source_language=entry.language_of(row),
            source=segment.text,
            target=texts.get(segment.id, ""),
            state=state if segment.id in texts else "missing",
        )


def texts_for(
    version: TranslationVersion, sources: dict[str, str], text: str
) -> dict[str, str]:
    """{segment id: text} of what a version says for these sources, where it does.

    By each segment's source, wherever it stands by now. A version that was kept whole
    says something only for a text that is one segment.
    """
    if not version.segments:
        is_one = list(sources.values()) == [text]
        return dict.fromkeys(sources, version.text) if is_one else {}
    by_id = {s["id"]: s for s in version.segments}
    by_hash = {s["source_hash"]: s["text"] for s in version.segments}
    texts = {}
    for key, source in sources.items():
        hash_ = segment_hash(source)
        same = by_id.get(key)
        if same and same["source_hash"] == hash_:
            texts[key] = same["text"]
        elif hash_ in by_hash:
            texts[key] = by_hash[hash_]
    return {key: text for key, text in texts.items() if text}


def external_id(entry: Registered, row: Model) -> str:
    """What other systems call a row."""
    return str(getattr(row, entry.external_id))
