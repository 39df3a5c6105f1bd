"""Which word is a form of which: plurals, verb forms, and words made of others.

A word is folded only into one that is on the same list, and never into a much rarer
one: without that, upbringing would become upbring, and measles measle.
"""

from collections.abc import Callable, Iterator, Mapping

from translations.dictionary.lists import (
    editors_folds,
    exceptions,
    function_words,
    stop_words,
)
from translations.dictionary.presets import Fold

# By how much rarer a base may be than its form: found by rule, or by a dictionary.
RULE_GUARD = 0.3
LEMMA_GUARD = 1.0
SIBILANTS = ("s", "x", "z", "ch", "sh", "o")
DERIVED = (("ily", "y"), ("iness", "y"), ("ness", ""), ("ly", ""))
VOWELS = frozenset("aeiou")


class Folder:
    """`zipf` has the words of the list as keys; `lemma` gives None for unknown ones."""

    def __init__(
        self,
        zipf: Mapping[str, float],
        *,
        language: str,
        fold: Fold,
        lemma: Callable[[str], str | None],
        keeps_stop_words: bool = False,
    ) -> None:
        self.zipf = zipf
        self.lemma = lemma
        self.folds = editors_folds(language)
        self.rules: list[Callable[[str], str | None]] = []
        self.left: frozenset[str] = frozenset()
        if language == "en":
            self.left = exceptions() | function_words()
            rules: dict[Fold, list[Callable[[str], str | None]]] = {
                "plural": [self._plural],
                "verb": [self._lemma, self._plural, self._verb],
                "deriv": [self._lemma, self._plural, self._verb, self._derived],
            }
            self.rules = rules[fold]
        self.no_bases = frozenset() if keeps_stop_words else stop_words()

    def headword(self, word: str) -> str:
        """The word that this one is a form of; itself if it is none."""
        path = [word]
        while (base := self.base(path[-1])) is not None:
            if base in path:  # each is a form of the other: the commonest stands
                circle = path[path.index(base) :]
                return max(circle, key=lambda one: (self.zipf.get(one, 0.0), one))
            path.append(base)
        return path[-1]

    def base(self, word: str) -> str | None:
        """One step: what a rule folds this word into."""
        if word in self.folds:
            return self.folds[word]
        if word in self.left:
            return None
        for rule in self.rules:
            base = rule(word)
            if base is not None:
                return base
        return None

    def _may_be(self, base: str, word: str) -> bool:
        return base != word and base in self.zipf and base not in self.no_bases

    def _lemma(self, word: str) -> str | None:
        lemma = self.lemma(word)
        if lemma is None or not self._may_be(lemma, word):
            return None
        return lemma if self.zipf[word] - self.zipf[lemma] <= LEMMA_GUARD else None

    def _plural(self, word: str) -> str | None:
        base = singular_of(word)
        if base is None or not self._may_be(base, word):
            return None
        lemma = self.lemma(word)
        if lemma is None:
            return base if self.zipf[base] >= self.zipf[word] - RULE_GUARD else None
        return base if lemma == base else None

    def _verb(self, word: str) -> str | None:
        for base in stems_of(word):
            if (
                self._may_be(base, word)
                and self.zipf[base] >= self.zipf[word] - RULE_GUARD
            ):
                return base
        return None

    def _derived(self, word: str) -> str | None:
        for ending, instead in DERIVED:
            if word.endswith(ending) and len(word) - len(ending) >= 3:
                base = word.removesuffix(ending) + instead
                if (
                    self._may_be(base, word)
                    and self.zipf[base] >= self.zipf[word] + RULE_GUARD
                ):
                    return base
        return None


def singular_of(word: str) -> str | None:
    if len(word) < 4:
        return None
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("es") and word[:-2].endswith(SIBILANTS):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return None


def stems_of(word: str) -> Iterator[str]:
    """What -ied, -ed and -ing may stand after."""
    if word.endswith("ied"):
        yield word[:-3] + "y"
    for ending in ("ed", "ing"):
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < 3 or not VOWELS & set(stem + "y"):
            continue
        yield stem + "e"
        if stem[-1] == stem[-2] and stem[-1] not in VOWELS:
            yield stem[:-1]
        yield stem
