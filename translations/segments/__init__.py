"""Cuts a text into segments for a model and puts the answer together again.

    pieces = split_text(text, "html")
    for slice in parts(pieces): …         # one request each
    join_pieces(pieces, {"s1": "…"})      # the translated text

A segment is a run of prose between block marks. Block tags, list and table marks,
code, URLs alone and numbers alone are literals that the model never sees, so a list or
a table cannot break. Joining the segments' own texts gives back the source to the
byte, however broken its markup.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256

from translations.segments.html import INLINE, TAG, split_html
from translations.segments.markdown import split_markdown
from translations.segments.pieces import (
    MAX_PART_CHARACTERS,
    MAX_PART_SEGMENTS,
    MAX_SEGMENT_CHARACTERS,
    Piece,
    Segment,
    from_json,
    halves,
    join_pieces,
    numbered,
    parts,
    segments_of,
    to_json,
)
from translations.segments.runs import Place, Token, run_pieces

__all__ = [
    "MAX_PART_CHARACTERS",
    "MAX_PART_SEGMENTS",
    "MAX_SEGMENT_CHARACTERS",
    "Piece",
    "Segment",
    "from_json",
    "guess_format",
    "halves",
    "join_pieces",
    "parts",
    "segment_hash",
    "segments_of",
    "source_hash",
    "split_text",
    "to_json",
]

# Enough to tell HTML from "<name>" in prose.
_HTML_NAMES = INLINE | {
    *("article", "blockquote", "body", "div", "dl", "figure", "footer", "h1", "h2"),
    *("h3", "h4", "h5", "h6", "header", "hr", "html", "img", "li", "main", "nav", "ol"),
    *("p", "pre", "section", "table", "td", "th", "tr", "ul"),
} - {"time", "var"}
_LINE = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_MARKDOWN = re.compile(
    r"^ {0,3}(?:#{1,6}[ \t]|[-*+][ \t]+\S|\d{1,9}[.)][ \t]+\S|>|```|~~~|\|.*\|)"
    r"|\*\*\S[^*\n]*\*\*|!?\[[^\]\n]*\]\([^)\s]+\)",
    re.MULTILINE,
)


def split_text(text: str, format: str) -> list[Piece]:
    """The pieces of a text in order; segment ids are s1, s2, … in document order.

    `format` is text, html or markdown; ValueError for another.
    """
    splitters = {"text": _split_lines, "html": split_html, "markdown": split_markdown}
    if format not in splitters:
        raise ValueError(
            f"{format!r} is no text format; use one of {', '.join(splitters)}."
        )
    return numbered(splitters[format](text))


def source_hash(text: str, format: str) -> str:
    """64 hex digits; the same for texts that differ in Unicode normalisation only."""
    return sha256(_bytes(f"{format}\0") + _bytes(text)).hexdigest()


@lru_cache(maxsize=1024)  # a text is asked for in several languages at a time
def segment_hash(text: str) -> str:
    """16 hex digits for one segment's text."""
    return sha256(_bytes(text)).hexdigest()[:16]


def guess_format(text: str) -> str:
    """html, markdown or text, for content that does not say what it is.

    A guess too rich does little harm: whatever the format, nothing gets lost.
    """
    if any(match["name"].lower() in _HTML_NAMES for match in TAG.finditer(text)):
        starts_with_tag = TAG.match(text.lstrip()) is not None
        if starts_with_tag or not _MARKDOWN.search(text):
            return "html"
    return "markdown" if _MARKDOWN.search(text) else "text"


def _split_lines(text: str) -> Iterator[Piece]:
    """Plain text: its line breaks are shown as they are, so each line stands alone."""
    place = Place(line_break="\n", is_html=False)
    done = 0
    for match in _LINE.finditer(text):
        yield from run_pieces([Token("text", text[done : match.start()])], place)
        yield match[0]
        done = match.end()
    yield from run_pieces([Token("text", text[done:])], place)


def _bytes(text: str) -> bytes:
    if text.isascii():
        return text.encode()
    return unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")
