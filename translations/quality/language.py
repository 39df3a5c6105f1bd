"""The language of a translation: the one asked for, and not the source's."""

from collections.abc import Iterator, Sequence

from translations.languages import language_name
from translations.quality.copying import untranslated
from translations.quality.detection import code_of, confidence, is_detectable, likeliest
from translations.quality.findings import Finding, gettext_noop
from translations.quality.glossary import without_kept
from translations.quality.pair import Pair, language, letters, sentences, words

_FEWEST_WORDS = 3
_SURE_WORDS = 6
_WRONG_BELOW = 0.5
# Another language must be this likely: in a short text full of names none may be.
_OTHER_FROM = 0.5
_OTHER_FROM_IF_SHORT = 0.8
_WINDOW = 100
# Written without blanks: about so many letters are a word.
_UNSPACED = {"ja": 2, "km": 4, "lo": 4, "my": 4, "th": 4, "zh": 2}


def wrong_language(pair: Pair) -> Iterator[Finding]:
    """wrong_language from six words on; language_unsure for three to five, and where
    the text is no more like another language than like its own.

    Names and codes that the source has as well do not count.
    """
    if not is_detectable(pair.target_language):
        return
    text = without_kept(pair.target_without_names, pair)
    count = word_count(text, pair.target_language)
    if count < _FEWEST_WORDS:
        return
    among = pair.background.told_apart | {pair.source_language}
    sample = _sample(text)
    if confidence(sample, pair.target_language, among) >= _WRONG_BELOW:
        return
    other, sure = likeliest(sample, pair.target_language, among)
    if other == code_of(pair.target_language):
        return
    if count < _SURE_WORDS and sure < _OTHER_FROM_IF_SHORT:
        return
    if _is_source_in_part(pair, text, among):
        return
    is_wrong = count >= _SURE_WORDS and sure >= _OTHER_FROM
    yield Finding(
        "wrong_language" if is_wrong else "language_unsure",
        gettext_noop("This reads as %(found)s, not as %(expected)s.")
        if is_wrong
        else gettext_noop("This may be %(found)s, not %(expected)s."),
        {
            "found": language_name(other),
            "expected": language_name(pair.target_language),
        },
    )


def language_unchecked(pairs: Sequence[Pair]) -> Iterator[Finding]:
    """Says once for a text that nothing tells whether it is in its language."""
    for pair in pairs:
        if pair.target and not is_detectable(pair.target_language):
            yield Finding(
                "language_unchecked",
                gettext_noop(
                    "Whether this is %(language)s is not checked: the language "
                    "detector does not know it."
                ),
                {"language": language_name(pair.target_language)},
            )
            return


def _is_source_in_part(pair: Pair, text: str, among: frozenset[str]) -> bool:
    """Whether some of it is the source's language, as is said elsewhere, and the rest
    is in the right one."""
    if not any(untranslated(pair)):
        return False
    two = frozenset({pair.source_language, pair.target_language})
    rest = " ".join(
        sentence
        for sentence in sentences(text)
        if confidence(sentence, pair.target_language, two) >= _WRONG_BELOW
    )
    is_enough = word_count(rest, pair.target_language) >= _FEWEST_WORDS
    return is_enough and confidence(rest, pair.target_language, among) >= _WRONG_BELOW


def _sample(text: str) -> str:
    """A long text's start, middle and end: looking at all of it costs more than it
    tells."""
    if len(text) <= 3 * _WINDOW:
        return text
    starts = (0, (len(text) - _WINDOW) // 2, len(text) - _WINDOW)
    return " … ".join(text[start : start + _WINDOW] for start in starts)


def word_count(text: str, tag: str) -> int:
    """The words of a text; in a language without blanks, about as many."""
    size = _UNSPACED.get(language(tag))
    return len(words(text)) if size is None else letters(text) // size
