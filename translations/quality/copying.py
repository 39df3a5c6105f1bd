"""Text that was left in the source's language, all of it or some."""

from collections.abc import Iterator

from translations.quality.detection import confidence, is_detectable
from translations.quality.findings import Finding, gettext_noop
from translations.quality.glossary import kept_terms, without_kept
from translations.quality.pair import Pair, letters, sentences, shortened, words
from translations.scripts import count_in, letters_in, scripts_of

_FEWEST_SAME = 3
_FEWEST_FOR_TRIGRAMS = 6
_MOSTLY, _PARTLY = 0.5, 0.1
_FEWEST_IN_SENTENCE = 5
_SURELY_SOURCE = 0.9


def untranslated(pair: Pair) -> Iterator[Finding]:
    """untranslated, or partly_untranslated where some of it is in the target language.

    Terms that the glossary keeps are taken out of both texts first.
    """
    if not pair.is_between_languages:
        return
    source, target = pair.source_words, pair.target_words
    if kept_terms(pair):
        source = words(without_kept(pair.source_prose, pair))
        target = words(without_kept(pair.target_prose, pair))
    if len(target) < _FEWEST_SAME:
        return
    shared = _shared(source, target)
    if source == target or shared > _MOSTLY:
        yield Finding("untranslated", gettext_noop("This is still the source text."))
    elif shared >= _PARTLY:
        yield Finding(
            "partly_untranslated",
            gettext_noop("%(share)s of 100 phrases are still those of the source."),
            {"share": str(round(shared * 100))},
        )
    elif sentence := _source_sentence(pair, set(source)):
        start = (pair.target or "").find(sentence)
        yield Finding(
            "partly_untranslated",
            gettext_noop("A sentence is still in the source's language: “%(found)s”."),
            {"found": shortened(sentence)},
            span=(start, start + len(sentence)) if start >= 0 else None,
        )


def _shared(source: list[str], target: list[str]) -> float:
    """The part of the target's word trigrams that the source has; 0 for a few words."""
    if len(target) < _FEWEST_FOR_TRIGRAMS:
        return 0.0
    known = set(zip(source, source[1:], source[2:], strict=False))
    found = list(zip(target, target[1:], target[2:], strict=False))
    return sum(trigram in known for trigram in found) / len(found)


def _source_sentence(pair: Pair, source: set[str]) -> str:
    """A sentence of the target that is in the source's language; empty if none is.

    Only sentences that share a word with the source are looked at closely, since
    looking costs: one that was left as it was shares all of them.
    """
    if not (
        is_detectable(pair.source_language) and is_detectable(pair.target_language)
    ):
        return ""
    if source.isdisjoint(pair.target_words):
        return ""
    script = letters_in(scripts_of(pair.source_language))
    among = frozenset({pair.source_language, pair.target_language})
    for sentence in sentences(pair.target_without_names):
        found = words(sentence)
        if len(found) < _FEWEST_IN_SENTENCE or source.isdisjoint(found):
            continue
        if 2 * count_in(script, sentence) < letters(sentence):
            continue
        if confidence(sentence, pair.source_language, among) >= _SURELY_SOURCE:
            return sentence.strip()
    return ""
