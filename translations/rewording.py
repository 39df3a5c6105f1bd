"""Whether two wordings of a source say the same: only their form differs.

Blanks, punctuation and case may differ; words, numbers, tags, addresses and
placeholders may not. Numbers keep their signs and points: 1.5 is not 15.
"""

import re

from translations.segments import Segment, split_text
from translations.segments.runs import EMAIL, PLACEHOLDER, URL

# Marks that end, part or quote; others, such as % or #, stand for a word or do a thing.
_PUNCTUATION = r".,;:!?…\"'()\[\]«»“”‘’„‚‹›—–·•/¿¡؟،؛。！？、\-"
_MARKDOWN = r"*_`#>|~\-\[\]()"  # in Markdown these do something, wherever they stand
_TAG = r"<[^<>]*>"
_NUMBER = r"[-+−]?\d+(?:[.,:/٫٬–-]\d+)*"
_WORD = r"[^\W\d_]+(?:['’ʼ][^\W\d_]+)*"
_VERBATIM = f"(?i:{URL.pattern})|{EMAIL.pattern}|{PLACEHOLDER.pattern}"
_TOKENS = {
    False: rf"(?P<as_is>{_TAG}|{_VERBATIM})|{_NUMBER}|{_WORD}|[^\s{_PUNCTUATION}]",
    True: rf"(?P<as_is>{_TAG}|{_VERBATIM})|{_NUMBER}|{_WORD}|[^\s{_PUNCTUATION}]"
    rf"|[{_MARKDOWN}]",
}
_PATTERNS = {is_markdown: re.compile(found) for is_markdown, found in _TOKENS.items()}
_BLANK = re.compile(r"&nbsp;|&#160;|&#xa0;", re.IGNORECASE)
_APOSTROPHES = str.maketrans("’ʼ", "''")


def says_the_same(before: str, after: str, format: str) -> bool:
    """Whether two texts differ in blanks, punctuation and case alone, piece by piece.

    A text that is cut into other pieces than before has changed: so has its markup.
    """
    old, new = split_text(before, format), split_text(after, format)
    return len(old) == len(new) and all(
        isinstance(one, str) == isinstance(other, str)
        and _tags(one) == _tags(other)
        and _tokens(_text(one), format) == _tokens(_text(other), format)
        for one, other in zip(old, new, strict=True)
    )


def segment_says_the_same(before: str, after: str, format: str) -> bool:
    """The same of one segment, as a model gets it."""
    return _tokens(before, format) == _tokens(after, format)


def _text(piece: str | Segment) -> str:
    return piece if isinstance(piece, str) else piece.text


def _tags(piece: str | Segment) -> object:
    return None if isinstance(piece, str) else piece.tags


def _tokens(text: str, format: str) -> list[str]:
    if format != "text":
        text = _BLANK.sub(" ", text)
    return [
        match[0] if match["as_is"] else match[0].casefold().translate(_APOSTROPHES)
        for match in _PATTERNS[format == "markdown"].finditer(text)
    ]
