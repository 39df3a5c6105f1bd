"""A source text and its translation, and the readings of a text that checks share."""

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from translations.quality.terms import Term
from translations.segments.html import html_tokens
from translations.segments.markdown import without_addresses
from translations.segments.runs import without_tokens

# Languages told apart where no setting says more; those of the pair always are.
TOLD_APART = frozenset({"ar", "de", "en", "es", "fr", "so", "sw"})

# Marks over and under letters are part of the word that they stand in.
_COMBINING = "".join(
    chr(code)
    for code in range(0x300, 0x1E00)
    if unicodedata.category(chr(code)) in ("Mn", "Mc")
)
_WORD = re.compile(
    rf"[^\W\d_](?:[^\W_]|[{re.escape(_COMBINING)}]|['’ʼ‘-](?=[^\W\d_]))*"
)
_SENTENCE_END = re.compile(r"(?<=[.!?…؟۔।])[\"'”’»)\]*_]*\s+|(?<=[。！？])|\n+")
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", re.DOTALL)
_FENCE = re.compile(
    r"^ {0,3}(```+|~~~+)[^\n]*\n.*?(?:^ {0,3}\1[^\n]*$|\Z)", re.M | re.S
)
_LINE_MARK = re.compile(r"^[ \t]*(?:[-*+>]+|\d{1,9}[.)]|#{1,6})(?=[ \t])", re.MULTILINE)
_TABLE_RULE = re.compile(r"^[ \t]*\|?[ \t]*:?-+:?[ \t|:-]*$", re.MULTILINE)
# Stands where a placeholder, an address or code stood: neither a letter nor a blank.
_SOMETHING = "\ufffc"
# Names and code that a translator leaves as they are: a capital or a digit in it.
_NAME = re.compile(r"(?<!\w)(?=\w*[A-Z0-9_])[A-Za-z0-9_]+(?:[.+#-][A-Za-z0-9_]+)*")


@dataclass(frozen=True, slots=True)
class Background:
    """What is known beside the two texts.

    `terms` are the glossary rows of this pair of languages, `approved` the translations
    that people approved elsewhere ({source: targets}), `told_apart` the languages that
    the target is told from, `max_length` the characters that its place holds, `ratio`
    the letters of a translation for each letter of its source, where approved texts
    have taught it.
    """

    terms: tuple[Term, ...] = ()
    approved: Mapping[str, Collection[str]] = field(default_factory=dict)
    told_apart: frozenset[str] = TOLD_APART
    max_length: int | None = None
    ratio: float | None = None


@dataclass(frozen=True)
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
    background: Background = Background()

    @cached_property
    def source_prose(self) -> str:
        return prose(self.source, self.format)

    @cached_property
    def target_prose(self) -> str:
        return prose(self.target or "", self.format)

    @cached_property
    def source_words(self) -> list[str]:
        return words(self.source_prose)

    @cached_property
    def target_words(self) -> list[str]:
        return words(self.target_prose)

    @cached_property
    def source_letters(self) -> int:
        return letters(self.source_prose)

    @cached_property
    def target_letters(self) -> int:
        return letters(self.target_prose)

    @cached_property
    def target_without_names(self) -> str:
        """The target's prose without Latin names and codes that the source has too."""
        found = set(_NAME.findall(self.target_prose))
        kept = {name for name in found if name in self.source}
        if not kept:
            return self.target_prose
        return _NAME.sub(
            lambda match: _SOMETHING if match[0] in kept else match[0],
            self.target_prose,
        )

    @cached_property
    def is_between_languages(self) -> bool:
        """Whether the languages differ, and not their region or script alone."""
        return language(self.source_language) != language(self.target_language)


def prose(text: str, format: str) -> str:
    """The words alone: no tags, addresses, e-mail, placeholders and code.

    Blocks are on lines of their own, and U+FFFC stands for what was taken out.
    """
    if format == "markdown":
        text = _without_marks(text)
    if format != "text" and ("<" in text or "&" in text):
        out: list[str] = []
        for token in html_tokens(text):
            if token.kind == "text":
                out.append(token.text)
            elif token.kind == "block" or token.name == "br":
                out.append("\n")
            elif token.kind in ("void", "hidden"):
                out.append(_SOMETHING)
        text = html.unescape("".join(out))
    return without_tokens(text, _SOMETHING)


def words(text: str) -> list[str]:
    """The words of a prose in order, in small letters; numbers are none."""
    return _WORD.findall(text.lower())


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where each word stands."""
    return [match.span() for match in _WORD.finditer(text)]


def sentences(prose: str) -> list[str]:
    return [part for part in _SENTENCE_END.split(prose) if part and part.strip()]


def letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def lost_and_added(
    source: Iterable[str], target: Iterable[str]
) -> tuple[list[str], list[str]]:
    """What the source has more of, and what the target has more of, in order."""
    before, after = Counter(source), Counter(target)
    return list((before - after).elements()), list((after - before).elements())


def quoted(values: Iterable[str]) -> str:
    """For a sentence: each value in marks, or a dash where there is none."""
    return ", ".join(f"“{value}”" for value in values) or "–"


def shortened(text: str, characters: int = 60) -> str:
    """The start of a long text, for a sentence about it."""
    text = " ".join(text.split())
    return text if len(text) <= characters else text[: characters - 1] + "…"


def language(code: str) -> str:
    """The language alone: ar for ar-EG."""
    return code.replace("_", "-").partition("-")[0].lower()


def _without_marks(text: str) -> str:
    if "`" in text or "~~~" in text:
        text = _CODE_SPAN.sub(_SOMETHING, _FENCE.sub("\n", text))
    text = without_addresses(text)
    if "-" in text and "|" in text:
        text = _TABLE_RULE.sub("", text)
    return _LINE_MARK.sub("", text).replace("|", "\n")
