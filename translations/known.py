"""Segments of a request whose translation is known: not asked for, and put back."""

from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256
from typing import TypedDict

from translations.glossary.sending import Rows, terms_of
from translations.judging import KnownSegment
from translations.memory.lookup import Known, KnownTexts
from translations.quality import Background, Pair
from translations.quality.glossary import glossary
from translations.segments import Segment

# Of what is known, the model sees what stands just before something that it is asked.
SHOWN_BEFORE = 5
SHOWN_CHARACTERS = 400


class ShownSegment(TypedDict):
    """As the model sees it."""

    id: str
    source: str
    translation: str


def known_segments(
    segments: Iterable[Segment],
    texts: KnownTexts,
    *,
    rows: Rows,
    source_language: str,
    target_language: str,
    format: str,
) -> dict[str, tuple[Segment, Known]]:
    """{segment id: what is known of it}, but for what the glossary is against now."""
    if not texts.own and not texts.approved:
        return {}
    background = Background(terms=terms_of(rows))
    found = {}
    for segment in segments:
        known = texts.of(segment.text)
        if known is None:
            continue
        pair = Pair(
            source=segment.text,
            target=known.text,
            source_language=source_language,
            target_language=target_language,
            format=format,
            background=background,
        )
        if not any(glossary(pair)):
            found[segment.id] = (segment, known)
    return found


def cut_of(known: Collection[str]) -> str:
    """12 hex digits for a set of known ids; blank for none."""
    if not known:
        return ""
    return sha256(",".join(sorted(known)).encode()).hexdigest()[:12]


def shown_before(
    segments: Sequence[Segment], known: dict[str, KnownSegment]
) -> list[ShownSegment]:
    """What is known just before segments that are asked for."""
    shown: list[ShownSegment] = []
    for before, after in zip(segments, segments[1:], strict=False):
        if before.id not in known or after.id in known:
            continue
        told = known[before.id]
        if len(told["source"]) <= SHOWN_CHARACTERS and len(shown) < SHOWN_BEFORE:
            shown.append(
                ShownSegment(
                    id=before.id, source=told["source"], translation=told["text"]
                )
            )
    return shown
