"""Readings of a text that the checks of summaries and questions share; pure."""

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence

from translations.lessons.findings import LessonFinding
from translations.quality import Finding, Pair
from translations.quality.findings import gettext_noop
from translations.quality.language import wrong_language
from translations.quality.numbers import numbers
from translations.quality.pair import Background, language, shortened
from translations.quality.preface import meta_text
from translations.quality.repetition import repetition_loop

_QUOTES = str.maketrans("“”„«»‘’ʼ‚", '"""""\'\'\'\'')


def plain(text: str) -> str:
    """As quotes are compared: NFC, one blank, small letters, straight quotes."""
    text = unicodedata.normalize("NFC", text).translate(_QUOTES)
    return " ".join(text.lower().split())


def is_quoted(quote: str, text: str) -> bool:
    """Whether a text has these words exactly, but for blanks, case and quotes."""
    return bool(quote.strip()) and plain(quote) in plain(text)


def overlap(one: Collection[str], other: Collection[str]) -> float:
    """Jaccard: the words of both, of the words of either."""
    either = {*one, *other}
    return len({*one} & {*other}) / len(either) if either else 0.0


def likeness(one: str, other: str) -> float:
    """Dice of the trigrams of two texts: 1 for the same, 0 for nothing in common."""
    if plain(one) == plain(other):
        return 1.0
    grams, others = _trigrams(one), _trigrams(other)
    total = len(grams) + len(others)
    return 2 * len(grams & others) / total if total else 0.0


def _trigrams(text: str) -> set[str]:
    padded = f"  {plain(text)} "
    return {padded[at : at + 3] for at in range(len(padded) - 2)}


def empty_fields(fields: dict[str, str]) -> Iterator[Finding]:
    for name, text in fields.items():
        if not text.strip():
            yield Finding("empty", gettext_noop("It is empty."), segment=name)


def general(
    text: str,
    *,
    source: str,
    source_language: str,
    wanted: str,
    said: str,
    told_apart: Sequence[str],
) -> Iterator[Finding]:
    """What holds for any text of a model: its language, loops, talk about itself.

    `said` is the language that the answer claims to be in, `wanted` the one asked for.
    """
    pair = Pair(
        source=source,
        target=text,
        source_language=source_language,
        target_language=wanted,
        background=Background(told_apart=frozenset(told_apart)),
    )
    if said.strip() and language(said.strip()) != language(wanted):
        yield Finding(
            "wrong_language",
            gettext_noop("The answer says it is in “%(said)s”, not in “%(wanted)s”."),
            {"said": shortened(said), "wanted": wanted},
        )
    else:
        yield from wrong_language(pair)
    yield from repetition_loop(pair)
    yield from meta_text(pair)


def invented_numbers(
    text: str, *, source: str, source_language: str, wanted: str
) -> Iterator[Finding]:
    """Numbers, in digits or words, that the source has neither way."""
    pair = Pair(source, text, source_language, wanted)
    for finding in numbers(pair):
        if finding.code == "number_extra":
            yield LessonFinding(
                "number_not_in_source",
                gettext_noop("Numbers that the lesson does not have: %(added)s."),
                finding.params,
            )


NUMBER_OR_WORD = re.compile(r"\w+")


def substance(text: str) -> str:
    """A text without what makes no difference: blanks, marks and case."""
    return " ".join(NUMBER_OR_WORD.findall(unicodedata.normalize("NFC", text).lower()))
