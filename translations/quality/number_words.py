"""Numbers in words, from 0 to 12, in the languages that there is a table for."""

import re
from collections import Counter
from functools import lru_cache

from translations.quality.terms import ARABIC_PREFIX

_ARABIC_MARKS = re.compile(r"[\u0610-\u061a\u064b-\u065f\u0670\u0640]")
_ARABIC_LETTERS = str.maketrans("أإآٱىة", "اااايه")

# How numbers are spelled, from 0. After the bar stand words that excuse a lost digit
# but mean too many other things to count as a number of their own ("one", "second").
# Somali and German glue endings to numbers, Arabic prefixes: see `_pattern`.
SPELLED = {
    "en": (
        "zero nought",
        "| one first once single",
        "two | second twice both pair",
        "three | third",
        "four | fourth",
        "five | fifth",
        "six | sixth",
        "seven | seventh",
        "eight | eighth",
        "nine | ninth",
        "ten | tenth",
        "eleven | eleventh",
        "twelve | twelfth dozen",
    ),
    "fr": (
        "zéro",
        "| un une premier première premiers premières",
        "deux | second seconde deuxième deuxièmes",
        "trois | troisième troisièmes tiers",
        "quatre | quatrième quart",
        "cinq | cinquième",
        "six | sixième",
        "sept | septième",
        "huit | huitième",
        "| neuf neuvième",
        "dix | dixième dizaine",
        "onze | onzième",
        "douze | douzième douzaine",
    ),
    "de": (
        "| null",
        "| ein eins eine einen einem einer eines erst einmal",
        "zwei zwo zweier zweien | zweit beid beide beiden paar zweimal",
        "drei dreier dreien | dritt dreimal",
        "vier | viert viermal",
        "fünf | fünft fünfmal",
        "sechs | sechst",
        "sieben | siebt siebent",
        "acht | achte achten achter achtes",
        "neun | neunt",
        "zehn | zehnt",
        "elf | elft",
        "zwölf | zwölft dutzend",
    ),
    "so": (
        "eber",
        "| kow koow hal mid",
        "laba labo",
        "saddex seddex",
        "afar",
        "shan",
        "lix",
        "toddoba todoba",
        "siddeed sideed",
        "sagaal",
        "toban",
        "kow_iyo_toban koob_iyo_toban",
        "laba_iyo_toban",
    ),
    "ar": (
        "صفر",
        "| واحد واحده احد احدي اول اولي مره",
        "اثنان اثنين اثنتان اثنتين | ثان ثاني ثانيه مرتين مرتان",
        "ثلاث ثلاثه | ثالث ثالثه",
        "اربع اربعه | رابع رابعه",
        "خمس خمسه | خامس خامسه",
        "ست سته | سادس سادسه",
        "سبع سبعه | سابع سابعه",
        "ثمان ثماني ثمانيه | ثامن ثامنه",
        "تسع تسعه | تاسع تاسعه",
        "عشر عشره | عاشر عاشره",
        "احد_عشر احدي_عشره",
        "اثنا_عشر اثني_عشر اثنتا_عشره اثنتي_عشره",
    ),
}


_SEVERAL_WORDS = -1


def spelled(text: str, code: str, *, lenient: bool = False) -> Counter[int]:
    """How often each number from 0 to 12 is spelled out.

    Lenient counts whatever may be meant as the number: ordinals and the like.
    """
    if code not in SPELLED:
        return Counter()
    values = [_value(word, code, lenient) for word in text.lower().split()]
    if _SEVERAL_WORDS not in values:
        return Counter(value for value in values if value is not None)
    pattern, by_form = _PATTERNS[code, lenient]
    found = pattern.findall(_normal(text, code))
    return Counter(by_form[" ".join(form.split())] for form in found)


@lru_cache(maxsize=20_000)
def _value(word: str, code: str, lenient: bool) -> int | None:
    """The number that a word spells, if any; -1 where the words around it count too.

    Texts share most of their words, so each is looked at once: several times quicker
    than searching every text.
    """
    word = _normal(word, code)
    pattern, by_form = _PATTERNS[code, lenient]
    found = pattern.findall(word)
    if len(found) > 1 or any(begin in word for begin in _BEGINS[code]):
        return _SEVERAL_WORDS
    return by_form[found[0]] if found else None


def _normal(text: str, code: str) -> str:
    if code == "ar":
        return _ARABIC_MARKS.sub("", text).translate(_ARABIC_LETTERS)
    return text.lower()


def _values(code: str, lenient: bool) -> dict[str, int]:
    """{form: value}"""
    values: dict[str, int] = {}
    for value, line in enumerate(SPELLED[code]):
        certain, _, further = line.partition("|")
        for form in f"{certain} {further if lenient else ''}".split():
            values[form.replace("_", " ")] = value
    return values


def _pattern(code: str, lenient: bool) -> tuple[re.Pattern[str], dict[str, int]]:
    """Finds whole words; its group is the form. The longest first: 12 is not 2."""
    values = _values(code, lenient)
    forms = "|".join(
        form.replace(" ", r"\s+") for form in sorted(values, key=len, reverse=True)
    )
    if code == "so":  # saddexda, labada; and in the source whatever starts like one
        end = r"\w*" if lenient else r"(?:d[ai]|t[ai]|k[ai])?\b"
        return re.compile(rf"\b({forms}){end}"), values
    if code == "ar":
        # "لست" is "I am not" far more often than "for six", "الاثنين" mostly Monday.
        unlike = r"(?!لست\b)" if lenient else r"(?!لست\b|\w{0,3}الاثنين\b)"
        return re.compile(rf"\b{unlike}{ARABIC_PREFIX}({forms})\b"), values
    if code == "de" and lenient:  # zweite, drittes
        return re.compile(rf"\b({forms})(?:e[mnrs]?|mal)?\b"), values
    return re.compile(rf"\b({forms})\b"), values


_PATTERNS = {
    (code, lenient): _pattern(code, lenient)
    for code in SPELLED
    for lenient in (False, True)
}
# First words of the forms that have two.
_BEGINS = {
    code: {form.split("_")[0] for line in lines for form in line.split() if "_" in form}
    for code, lines in SPELLED.items()
}
