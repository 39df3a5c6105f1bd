"""Words said again: a model that loops, or a word that slipped in twice."""

from collections import Counter
from collections.abc import Iterator, Sequence

from translations.quality.findings import Finding, gettext_noop
from translations.quality.pair import Pair, language, quoted, shortened, word_spans

_WORD_TIMES = 4
_PHRASE_TIMES = 3
_FEWEST_FOR_SHARE = 24
_GRAM = 4
_REPEATED_SHARE = 0.2
# What may stand twice in good prose.
_DOUBLES = {
    "ar": {"جدا", "خطوة", "رويدا", "رويدًا", "شيئا", "قليلا", "قليلًا", "لا", "واحدا"},
    "de": {"das", "dem", "den", "der", "die", "sie"},
    "en": {"had", "that"},
    "fr": {"nous", "vous"},
    "nl": {"dat", "die"},
    "so": {"aad", "dhowr", "hal", "kow", "laba", "mid", "saddex", "tartiib", "yar"},
}


def repetition_loop(pair: Pair) -> Iterator[Finding]:
    """One word four times in a row, two or three words three times, or far too much
    that was said before; and not so in the source."""
    found = _loop(pair.target_words)
    if found and not _loop(pair.source_words):
        yield Finding(
            "repetition_loop",
            gettext_noop("The text goes round in circles: “%(found)s”."),
            {"found": shortened(found)},
        )


def doubled_word(pair: Pair) -> Iterator[Finding]:
    """A word of two letters or more twice in a row, with nothing but blanks between."""
    doubles = list(_doubled(pair.target_prose, pair.target_words))
    if not doubles or any(_doubled(pair.source_prose, pair.source_words)):
        return
    usual = _DOUBLES.get(language(pair.target_language), set())
    found = [word for word in doubles if word not in usual]
    if found:
        yield Finding(
            "doubled_word",
            gettext_noop("A word stands twice in a row: %(found)s."),
            {"found": quoted(dict.fromkeys(found))},
        )


def _loop(words: Sequence[str]) -> str:
    """What is repeated; empty if nothing is."""
    for size, times in ((1, _WORD_TIMES), (2, _PHRASE_TIMES), (3, _PHRASE_TIMES)):
        run = 0  # words in a row that are the same as `size` words before
        for at in range(size, len(words)):
            run = run + 1 if words[at] == words[at - size] else 0
            if run >= size * (times - 1):
                return " ".join(words[at - size + 1 : at + 1])
    if len(words) >= _FEWEST_FOR_SHARE:
        grams = list(zip(*(words[start:] for start in range(_GRAM)), strict=False))
        if len(grams) - len(set(grams)) > _REPEATED_SHARE * len(grams):
            [(most, _)] = Counter(grams).most_common(1)
            return " ".join(most)
    return ""


def _doubled(prose: str, words: Sequence[str]) -> Iterator[str]:
    """Words that stand twice in a row; positions are looked at only where they do."""
    pairs = zip(words, words[1:], strict=False)
    if not any(one == two and len(one) > 1 for one, two in pairs):
        return
    spans = word_spans(prose)
    for (start, end), (start2, end2) in zip(spans, spans[1:], strict=False):
        one, two = prose[start:end].lower(), prose[start2:end2].lower()
        between = prose[end:start2]
        if one == two and len(one) > 1 and between.isspace() and "\n" not in between:
            yield one
