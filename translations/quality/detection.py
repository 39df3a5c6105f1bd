"""Which language a text is in: lingua, with the languages that must be told apart.

The detector has no "unknown": what is in none of its languages looks like the nearest
of them. A language that it does not know at all is said to be so, never guessed.
"""

from collections.abc import Sequence
from functools import lru_cache

from lingua import IsoCode639_1, Language, LanguageDetector, LanguageDetectorBuilder

from translations.quality.pair import language

_KNOWN: dict[str, Language] = {
    known.iso_code_639_1.name.lower(): known for known in Language.all()
}
_NAMED_OTHERWISE = {"no": "nb", "fil": "tl"}


def is_detectable(tag: str) -> bool:
    return code_of(tag) in _KNOWN


def detectable() -> list[str]:
    """The languages that can be told apart, by code."""
    return sorted(_KNOWN)


def confidence(text: str, tag: str, among: frozenset[str]) -> float:
    """0 to 1: how far the text is in this language, of these and this one.

    KeyError for a language that the detector does not know; look at `is_detectable`.
    """
    language = _KNOWN[code_of(tag)]
    return _detector(_codes(tag, among)).compute_language_confidence(text, language)


def likeliest(text: str, tag: str, among: frozenset[str]) -> tuple[str, float]:
    """The code of the likeliest of these languages and this one, and how far it is."""
    values = _detector(_codes(tag, among)).compute_language_confidence_values(text)
    return values[0].language.iso_code_639_1.name.lower(), values[0].value


def preload(tags: frozenset[str]) -> None:
    """Load the models now: up to 30 MB and half a second for each language."""
    codes = sorted({*map(code_of, tags)} & _KNOWN.keys())
    if len(codes) > 1:
        _builder(codes).with_preloaded_language_models().build()


@lru_cache
def _detector(codes: frozenset[str]) -> LanguageDetector:
    if len(codes) == 1:  # it wants two: nothing could be told otherwise
        codes |= {"en"} if codes != {"en"} else {"fr"}
    return _builder(sorted(codes)).build()


def _builder(codes: Sequence[str]) -> LanguageDetectorBuilder:
    iso = [getattr(IsoCode639_1, code.upper()) for code in codes]
    return LanguageDetectorBuilder.from_iso_codes_639_1(*iso)


@lru_cache
def _codes(tag: str, among: frozenset[str]) -> frozenset[str]:
    return frozenset({*map(code_of, among), code_of(tag)} & _KNOWN.keys())


@lru_cache
def code_of(tag: str) -> str:
    """What the detector calls a language, if it knows it: nb for no."""
    code = language(tag)
    return _NAMED_OTHERWISE.get(code, code)
