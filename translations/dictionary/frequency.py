"""How common words are: wordfreq's snapshot of English and other languages.

zipf is the base-10 logarithm of how often a word occurs in a billion words: 7 for
`the`, 3 for what is met once in a million, 0 for what the snapshot does not have.
"""

from collections.abc import Collection
from functools import lru_cache

# A word of several parts is rarer than its rarest part, by about this.
COMPOUND_STEP = 2.0


def has_frequencies(language: str) -> bool:
    from wordfreq import available_languages

    return language in available_languages("best")


def zipf_of(words: Collection[str], language: str) -> dict[str, float]:
    """{word: zipf} of those that the snapshot knows; the others are at 0.

    wordfreq itself takes `mother-in-law` for three words and gives it the frequency of
    common ones, so words with hyphens are put below their rarest part.
    """
    from wordfreq import get_frequency_list

    parts = {part for word in words if "-" in word for part in word.split("-")}
    wanted = words if isinstance(words, dict | set) else set(words)
    found: dict[str, float] = {}
    of_parts: dict[str, float] = {}
    for centibels, bucket in enumerate(get_frequency_list(language, "best")):
        zipf = round(9 - centibels / 100, 2)
        for word in bucket:
            if word in wanted:
                found[word] = zipf
            if word in parts:
                of_parts[word] = zipf
    for word in words:
        if "-" in word:
            rarest = min(of_parts.get(part, 0.0) for part in word.split("-"))
            found[word] = max(0.0, round(rarest - COMPOUND_STEP, 2))
    return found


@lru_cache(maxsize=10_000)
def zipf(word: str, language: str) -> float | None:
    """One word's zipf; None for a language that there are no figures for."""
    if not has_frequencies(language):
        return None
    return zipf_of([word], language).get(word, 0.0)
