"""The checks of an entry, each a function; pure, and without a database."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from translations.dictionary.findings import Finding
from translations.dictionary.folding import singular_of, stems_of
from translations.dictionary.lemmas import simple_lemma
from translations.dictionary.lists import (
    blocked_words,
    editors_folds,
    function_words,
)
from translations.dictionary.shapes import DictionaryEntry, Meaning

MEANINGS = range(1, 7)
EXAMPLES = range(1, 4)
EXAMPLE_WORDS = range(5, 26)
DEFINITION_WORDS = range(3, 31)
SAME_SENSE = 0.7  # of the content words of two definitions
EASY, COMMON_FROM = ("A1", "A2"), 3.5
HARD, RARE_BELOW = "C2", 5.0
# Of a definition's words the dictionary of its language knows so many, if it is in it.
KNOWN_SHARE = 0.5
SMALLEST_TOLD = 4

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_IPA_EXTRA = frozenset("ˈˌːˑ.‿|‖()-͜͡ʰʷʲˠˤⁿˡ˞ˀ ˥˦˧˨˩↗↘χθβæçðøħŋœǀǁǂǃ,~")
_SENTENCE_END = (".", "!", "?", "…", '."', '!"', '?"', ".”", "!”", "?”", ".'", ".’")
_ARABIC_SCRIPT = frozenset({"ar", "fa", "ur", "ps", "ckb"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What the entry was asked for, as far as the checks need it."""

    headword: str
    language: str
    zipf: float | None = None
    forms: tuple[str, ...] = ()


Found = Iterator[Finding]


def check_entry(entry: DictionaryEntry, asked: Asked) -> list[Finding]:
    return [finding for check in CHECKS for finding in check(entry, asked)]


def headword_mismatch(entry: DictionaryEntry, asked: Asked) -> Found:
    if _folded(entry.headword) != _folded(asked.headword):
        yield Finding(
            "headword_mismatch",
            f"The entry is for {entry.headword!r}; asked was {asked.headword!r}.",
            "headword",
        )
    if entry.language.casefold() != asked.language.casefold():
        yield Finding(
            "headword_mismatch",
            f"The entry is in {entry.language!r}; asked was {asked.language!r}.",
            "language",
        )


def no_meaning(entry: DictionaryEntry, asked: Asked) -> Found:
    if entry.is_word and not entry.meanings:
        yield Finding("no_meaning", "It is said to be a word, and has no meaning.")
    if not entry.is_word and entry.meanings:
        yield Finding("no_meaning", "It is said to be no word, and has a meaning.")


def circular_definition(entry: DictionaryEntry, asked: Asked) -> Found:
    bases = _bases(asked.headword, asked.language)
    for place, meaning in _meanings(entry):
        for word in words_of(meaning.definition):
            if bases & _bases(word, asked.language):
                yield Finding(
                    "circular_definition",
                    f"The definition uses the headword: {word!r}.",
                    f"{place}.definition",
                )
                break


def examples(entry: DictionaryEntry, asked: Asked) -> Found:
    known = _bases(asked.headword, asked.language)
    for form in (*asked.forms, *(one.form for one in entry.inflections)):
        known |= {_folded(form)}
    for place, meaning in _meanings(entry):
        if len(meaning.examples) not in EXAMPLES:
            yield Finding(
                "example_count",
                f"A meaning has 1 to 3 examples; this has {len(meaning.examples)}.",
                place,
            )
        for number, example in enumerate(meaning.examples):
            yield from _example(example, asked, known, f"{place}.examples.{number}")


def _example(example: str, asked: Asked, known: set[str], place: str) -> Found:
    words = words_of(example)
    has_it = any(_bases(word, asked.language) & known for word in words)
    # A phrase, or a word with a mark inside, is not one of the words.
    if not has_it and _folded(asked.headword) not in _folded(example):
        yield Finding(
            "example_without_headword",
            f"The example has no form of {asked.headword!r}.",
            place,
        )
    if len(words) < EXAMPLE_WORDS.start:
        yield Finding("example_too_short", f"It has {len(words)} words.", place)
    if len(words) >= EXAMPLE_WORDS.stop:
        yield Finding("example_too_long", f"It has {len(words)} words.", place)
    text = example.strip()
    first = next((letter for letter in text if letter.isalpha()), "")
    if "LATIN" in unicodedata.name(first, "") and not (
        first.isupper() and text.endswith(_SENTENCE_END)
    ):
        yield Finding(
            "example_unfinished",
            "It does not begin with a capital, or has no mark at its end.",
            place,
        )
    blocked = blocked_words() & {word.casefold() for word in words}
    if blocked:
        yield Finding("unsafe", f"The example has {', '.join(sorted(blocked))}.", place)


def meaning_count(entry: DictionaryEntry, asked: Asked) -> Found:
    if entry.meanings and len(entry.meanings) not in MEANINGS:
        yield Finding(
            "meaning_count",
            f"A word has 1 to 6 meanings here; this has {len(entry.meanings)}.",
            "meanings",
        )


def bad_ipa(entry: DictionaryEntry, asked: Asked) -> Found:
    for number, said in enumerate(entry.pronunciations):
        text = unicodedata.normalize("NFD", said.ipa.strip())
        is_marked = len(text) > 2 and (text[0], text[-1]) in (("/", "/"), ("[", "]"))
        odd = {letter for letter in text[1:-1] if not _is_ipa(letter)}
        if not is_marked or odd:
            what = f"has {' '.join(sorted(odd))}" if odd else "is not /…/ or […]"
            yield Finding(
                "bad_ipa", f"{said.ipa!r} {what}.", f"pronunciations.{number}"
            )


def synonyms(entry: DictionaryEntry, asked: Asked) -> Found:
    for place, meaning in _meanings(entry):
        same = {_folded(word) for word in meaning.synonyms}
        if _folded(asked.headword) in same:
            yield Finding(
                "synonym_is_headword",
                "The headword is given as its own synonym.",
                f"{place}.synonyms",
            )
        both = same & {_folded(word) for word in meaning.antonyms}
        if both:
            yield Finding(
                "synonym_antonym_clash",
                f"Both synonym and antonym: {', '.join(sorted(both))}.",
                place,
            )


def duplicate_sense(entry: DictionaryEntry, asked: Asked) -> Found:
    contents = [
        {
            word.casefold()
            for word in words_of(meaning.definition)
            if word.casefold() not in function_words()
        }
        for meaning in entry.meanings
    ]
    for second in range(len(contents)):
        for first in range(second):
            union = contents[first] | contents[second]
            shared = contents[first] & contents[second]
            if union and len(shared) >= SAME_SENSE * len(union):
                yield Finding(
                    "duplicate_sense",
                    f"It says the same as meaning {first + 1}.",
                    f"meanings.{second}",
                )


def definition_length(entry: DictionaryEntry, asked: Asked) -> Found:
    for place, meaning in _meanings(entry):
        count = len(words_of(meaning.definition))
        if count not in DEFINITION_WORDS:
            yield Finding(
                "definition_length",
                f"A definition has 3 to 30 words; this has {count}.",
                f"{place}.definition",
            )


def wrong_language(entry: DictionaryEntry, asked: Asked) -> Found:
    """English definitions by a dictionary, all others by their script."""
    for place, meaning in _meanings(entry):
        yield from _script(meaning.definition, asked.language, f"{place}.definition")
        words = [word.casefold() for word in words_of(meaning.definition)]
        if asked.language == "en" and len(words) >= SMALLEST_TOLD:
            known = sum(
                word in function_words() or _lemma()(word) is not None for word in words
            )
            if known < KNOWN_SHARE * len(words):
                yield Finding(
                    "wrong_language",
                    "Most words of the definition are not English.",
                    f"{place}.definition",
                )
        for number, said in enumerate(meaning.translations):
            yield from _script(
                said.text, said.language, f"{place}.translations.{number}"
            )


def _script(text: str, language: str, place: str) -> Found:
    letters = [letter for letter in text if letter.isalpha()]
    wanted = "ARABIC" if language.split("-")[0] in _ARABIC_SCRIPT else "LATIN"
    if wanted == "LATIN" and language.split("-")[0] not in ("en", "so"):
        return  # the script of other languages is not known here
    right = sum(wanted in unicodedata.name(letter, "") for letter in letters)
    if letters and right * 2 < len(letters):
        yield Finding(
            "wrong_script", f"{language} is written in {wanted.title()} letters.", place
        )


def etymology_unsure(entry: DictionaryEntry, asked: Asked) -> Found:
    if entry.etymology.confidence == "low" and entry.etymology.text:
        yield Finding("etymology_unsure", "It is given as unsure.", "etymology")


def cefr_odd(entry: DictionaryEntry, asked: Asked) -> Found:
    if asked.zipf is None:
        return
    for place, meaning in _meanings(entry):
        is_easy = meaning.cefr in EASY and asked.zipf < COMMON_FROM
        is_hard = meaning.cefr == HARD and asked.zipf > RARE_BELOW
        if is_easy or is_hard:
            yield Finding(
                "cefr_odd",
                f"{meaning.cefr} for a word of zipf {asked.zipf}.",
                f"{place}.cefr",
            )


def rare_real_word(entry: DictionaryEntry, asked: Asked) -> Found:
    if asked.zipf == 0 and entry.is_word:
        yield Finding(
            "rare_real_word", "It is met nowhere in the frequencies; is it a word?"
        )


def unsafe(entry: DictionaryEntry, asked: Asked) -> Found:
    for place, meaning in _meanings(entry):
        if meaning.tone == "offensive":
            yield Finding("unsafe", "A meaning is offensive.", place)


Check = Callable[[DictionaryEntry, Asked], Found]
CHECKS: tuple[Check, ...] = (
    headword_mismatch,
    no_meaning,
    circular_definition,
    examples,
    meaning_count,
    bad_ipa,
    synonyms,
    duplicate_sense,
    definition_length,
    wrong_language,
    etymology_unsure,
    cefr_odd,
    rare_real_word,
    unsafe,
)


def words_of(text: str) -> list[str]:
    return _WORD.findall(text)


def _meanings(entry: DictionaryEntry) -> Iterator[tuple[str, Meaning]]:
    for number, meaning in enumerate(entry.meanings):
        yield f"meanings.{number}", meaning


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).replace("\u2019", "'").strip().casefold()


@cache
def _lemma() -> Callable[[str], str | None]:
    return simple_lemma()


def _bases(word: str, language: str) -> set[str]:
    """A word and what it may be a form of."""
    word = _folded(word)
    found = {word, editors_folds(language).get(word, word)}
    if language != "en":
        return found
    word = word.removesuffix("'s").removesuffix("'")
    found.add(word)
    lemma = _lemma()(word)
    if lemma is not None:
        return found | {lemma}
    singular = singular_of(word)
    return found | ({singular} if singular else set()) | set(stems_of(word))


def _is_ipa(letter: str) -> bool:
    if "a" <= letter <= "z" or letter in _IPA_EXTRA:
        return True
    # IPA extensions, spacing modifiers, and marks that stand on a letter.
    return 0x250 <= ord(letter) <= 0x2FF or 0x300 <= ord(letter) <= 0x36F
