"""A source text and its translation, and the readings of a text that checks share."""

import html
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from translations.segments.html import html_tokens
from translations.segments.markdown import without_addresses
from translations.segments.runs import without_tokens


@dataclass(frozen=True, slots=True)
class Pair:
    """A segment or a whole text, as the model saw it and as it answered.

    `target` is None where the answer has no such segment.
    """

    source: str
    target: str | None
    source_language: str
    target_language: str
    format: str = "text"
    segment_id: str = ""


def prose(text: str, format: str) -> str:
    """The words alone: without tags, addresses, e-mail and placeholders."""
    if format != "text":
        if format == "markdown":
            text = without_addresses(text)
        text = html.unescape(
            "".join(
                token.text if token.kind == "text" else " " * (token.kind == "block")
                for token in html_tokens(text)
            )
        )
    return without_tokens(text)


def lost_and_added(
    source: Iterable[str], target: Iterable[str]
) -> tuple[list[str], list[str]]:
    """What the source has more of, and what the target has more of, in order."""
    before, after = Counter(source), Counter(target)
    return list((before - after).elements()), list((after - before).elements())


def quoted(values: Iterable[str]) -> str:
    """For a sentence: each value in marks, or a dash where there is none."""
    return ", ".join(f"“{value}”" for value in values) or "–"


def language(code: str) -> str:
    """The language alone: ar for ar-EG."""
    return code.replace("_", "-").partition("-")[0].lower()
