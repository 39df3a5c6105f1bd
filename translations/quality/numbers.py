"""Numbers: none lost, none made up; small ones may be spelled out."""

import re
from collections import Counter
from collections.abc import Iterator

from translations.quality.findings import Finding, gettext_noop
from translations.quality.pair import Pair, language, prose, quoted

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_THOUSANDS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{3})+\Z")
_DIGITS = str.maketrans("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹٫٬,", "01234567890123456789...")
_ARABIC_MARKS = re.compile(r"[\u0610-\u061a\u064b-\u065f\u0670\u0640]")
_ARABIC_LETTERS = str.maketrans("أإآٱىة", "اااايه")
_ARABIC_PREFIX = r"[وف]?(?:ال|لل|[بلك]ال|[بلك])?"

# How numbers are spelled, from 0. After the bar stand words that excuse a lost digit
# but mean too many other things to count as a number of their own ("one", "second").
# Somali glues endings to its numbers, Arabic prefixes: see `_pattern`.
_SPELLED = {
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


def numbers(pair: Pair) -> Iterator[Finding]:
    """number_mismatch and number_extra.

    A number up to 12 may be spelled out where there is a table for the language; where
    there is none, it is not missed. In Arabic 1 and 2 may vanish into the noun.
    """
    to = language(pair.target_language)
    source = prose(pair.source, pair.format)
    target = prose(pair.target or "", pair.format)
    wanted, found = digits(source), digits(target)
    if missing := _missing(wanted - found, target, to):
        yield Finding(
            "number_mismatch",
            gettext_noop("Missing numbers: %(lost)s; the translation has %(found)s."),
            {"lost": quoted(missing), "found": quoted(found)},
        )
    new = [number for number in found if number not in wanted]
    new += [
        str(value)
        for value in spelled(target, to)
        if str(value) not in wanted and str(value) not in found
    ]
    if new and (added := _not_spelled(new, source, language(pair.source_language))):
        yield Finding(
            "number_extra",
            gettext_noop("Numbers that the source does not have: %(added)s."),
            {"added": quoted(added)},
            span=_span(pair.target or "", added[0]),
        )


def digits(text: str) -> Counter[str]:
    """Numbers written in digits: ASCII digits, a point, no thousands separators."""
    return Counter(map(_plain, _NUMBER.findall(text.translate(_DIGITS))))


def spelled(text: str, code: str, *, lenient: bool = False) -> Counter[int]:
    """How often each number from 0 to 12 is spelled out.

    Lenient counts whatever may be meant as the number: ordinals and the like.
    """
    if code not in _SPELLED:
        return Counter()
    pattern, values = _PATTERNS[code, lenient]
    found = pattern.findall(_normal(text, code))
    return Counter(values[" ".join(form.split())] for form in found)


def _missing(lost: Counter[str], target: str, to: str) -> list[str]:
    if not lost:
        return []
    words = spelled(target, to, lenient=True)
    missing: list[str] = []
    for number in lost.elements():
        value = _small(number)
        may_be_words = to not in _SPELLED or (to == "ar" and value in (1, 2))
        if words[value] > 0:
            words[value] -= 1
        elif not may_be_words or value < 0:
            missing.append(number)
    return missing


def _not_spelled(new: list[str], source: str, origin: str) -> list[str]:
    """Those of the new numbers that the source does not have in words either."""
    if origin not in _SPELLED:  # it may have any number up to 12 in words
        return [number for number in new if _small(number) < 0]
    words = spelled(source, origin, lenient=True)
    return [number for number in new if _small(number) not in words]


def _small(number: str) -> int:
    """0 to 12; -1 for a number that nobody spells out."""
    is_short = number.isdecimal() and len(number) < 3
    return int(number) if is_short and int(number) < 13 else -1


def _plain(number: str) -> str:
    return number.replace(".", "") if _THOUSANDS.match(number) else number


def _normal(text: str, code: str) -> str:
    if code == "ar":
        return _ARABIC_MARKS.sub("", text).translate(_ARABIC_LETTERS)
    return text.lower()


def _values(code: str, lenient: bool) -> dict[str, int]:
    """{form: value}"""
    values: dict[str, int] = {}
    for value, line in enumerate(_SPELLED[code]):
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
    if code == "ar":  # "لست" is "I am not" far more often than "for six"
        return re.compile(rf"\b(?!لست\b){_ARABIC_PREFIX}({forms})\b"), values
    return re.compile(rf"\b({forms})\b"), values


_PATTERNS = {
    (code, lenient): _pattern(code, lenient)
    for code in _SPELLED
    for lenient in (False, True)
}


def _span(text: str, number: str) -> tuple[int, int] | None:
    found = re.search(
        rf"(?<![0-9]){re.escape(number)}(?![0-9])", text.translate(_DIGITS)
    )
    return found.span() if found else None
