"""From a word as it was found to the word that is looked at, or why there is none."""

import re
import unicodedata

# One letter: only a, i.
_ENGLISH = re.compile(r"[ai]|[a-z][a-z'-]*[a-z]")
_THRICE = re.compile(r"([^\W\d_])\1\1")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'"})

LONGEST = 64  # letters; the longest words of dictionaries have about 45

# Why a word is not taken, in words; the keys are stored.
REASONS = {
    "empty": "nothing is left of it",
    "characters": "it has other characters than letters, apostrophes and hyphens",
    "single_letter": "it is a single letter",
    "repetition": "a letter stands three times in a row",
    "too_long": f"it has more than {LONGEST} letters",
    "stop_word": "it is a stop word",
    "folded": "it is a form of another word",
    "rare": "it is too rare for the preset",
    "too_few": "it occurs too seldom in the text for the preset",
    "function_word": "it is a function word",
    "short": "it is too short for the preset",
}


def normalise(raw: str) -> str:
    """NFKC, straight apostrophes, no blanks around, lower case, no final 's."""
    word = unicodedata.normalize("NFKC", raw).translate(_APOSTROPHES).strip().lower()
    return word.removesuffix("'s")


def objection(word: str, language: str) -> str:
    """Why a normalised word cannot be one, as a key of REASONS; '' if it can."""
    if not word:
        return "empty"
    if len(word) > LONGEST:
        return "too_long"
    if language == "en":
        if not _ENGLISH.fullmatch(word):
            alone = len(word) == 1 and word.isalpha() and word.isascii()
            return "single_letter" if alone else "characters"
    elif not _is_of_letters(word):
        return "characters"
    return "repetition" if _THRICE.search(word) else ""


def _is_of_letters(word: str) -> bool:
    """Letters and marks, with apostrophes and hyphens between them."""
    # Somali begins and ends words with its glottal stop; a hyphen only joins.
    inner = word.strip("'")
    return (
        bool(inner)
        and all(
            character in "'-" or unicodedata.category(character)[0] in "LM"
            for character in inner
        )
        and "-" not in (inner[0], inner[-1])
    )
