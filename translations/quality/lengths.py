"""The length of a translation: in proportion to its source, and to its place."""

from collections.abc import Iterator

from translations.quality.findings import Finding, gettext_noop
from translations.quality.pair import Pair, language

_FEWEST_LETTERS = 20
_EXTREME = (0.35, 2.5)
_UNUSUAL = (0.6, 1.6)
# A few words more or less are much in a short text; measured on real ones.
_SHORT_LETTERS = 40
_UNUSUAL_IF_SHORT = (0.5, 2.0)
# Letters of a translation for each letter of its source, as measured.
_RATIOS = {("so", "en"): 0.81, ("so", "ar"): 0.68}
# Letters that say what a letter of English says: medians of 60 to 130 texts that people
# translated from English (Django's own catalogues), rounded. What is not here is 1.
_DENSITIES = {
    **{"ar": 0.84, "de": 1.15, "es": 1.13, "fa": 0.87, "fr": 1.2, "he": 0.75},
    **{"hi": 0.6, "it": 1.12, "ja": 0.55, "ko": 0.48, "nl": 1.1, "pl": 1.1},
    **{"pt": 1.1, "ru": 1.15, "so": 1 / 0.81, "tr": 1.1, "zh": 0.33},
}


def length(pair: Pair) -> Iterator[Finding]:
    """length_extreme outside 0.35 to 2.5 of what is usual, length_ratio 0.6 to 1.6."""
    of_source = pair.source_letters
    if of_source < _FEWEST_LETTERS:
        return
    of_target = pair.target_letters
    usual = pair.background.ratio or usual_ratio(
        pair.source_language, pair.target_language
    )
    share = of_target / (of_source * usual)
    least, most = _UNUSUAL_IF_SHORT if of_source < _SHORT_LETTERS else _UNUSUAL
    if least <= share <= most:
        return
    is_extreme = not _EXTREME[0] <= share <= _EXTREME[1]
    yield Finding(
        "length_extreme" if is_extreme else "length_ratio",
        gettext_noop(
            "%(found)s letters, where about %(expected)s are usual for this source."
        ),
        {"found": str(of_target), "expected": str(round(of_source * usual))},
    )


def too_long(pair: Pair) -> Iterator[Finding]:
    """The text is longer than the field that it is for."""
    most, found = pair.background.max_length, len(pair.target or "")
    if most is not None and found > most:
        yield Finding(
            "too_long",
            gettext_noop("%(found)s characters; the field holds %(most)s."),
            {"found": str(found), "most": str(most)},
            span=(most, found),
        )


def usual_ratio(source_language: str, target_language: str) -> float:
    """Letters of a translation for each letter of its source, before any is known."""
    origin, to = language(source_language), language(target_language)
    if (origin, to) in _RATIOS:
        return _RATIOS[origin, to]
    return _DENSITIES.get(to, 1.0) / _DENSITIES.get(origin, 1.0)
