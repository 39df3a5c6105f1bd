"""Numbers: none lost, none made up; small ones may be spelled out."""

import re
from collections import Counter
from collections.abc import Iterator

from translations.quality.findings import Finding, gettext_noop
from translations.quality.number_words import SPELLED, spelled
from translations.quality.pair import Pair, language, quoted

_DIGIT = re.compile(r"\d")
_FOREIGN = re.compile(r"(?![0-9])\d|[٫٬]")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_THOUSANDS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{3})+\Z")
# 1 000 000, as French and others write it; a plain blank may also stand between two
# numbers, so it is joined only where that makes the texts agree.
_NARROW = re.compile(r"(?<=[0-9])[\u00a0\u2009\u202f](?=[0-9]{3}(?![0-9]))")
_SPACED = re.compile(r"(?<=[0-9]) (?=[0-9]{3}(?![0-9]))")
# The noughts of the scripts that have digits of their own.
_NOUGHTS = (
    *(0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6),
    *(0xD66, 0xE50, 0xED0, 0xF20, 0x1040, 0x17E0, 0x1810, 0xFF10),
)
_DIGITS = {ord(mark): "." for mark in "٫٬,"} | {
    nought + value: str(value) for nought in _NOUGHTS for value in range(10)
}


def numbers(pair: Pair) -> Iterator[Finding]:
    """number_mismatch and number_extra.

    A number up to 12 may be spelled out where there is a table for the language; where
    there is none, it is not missed. In Arabic 1 and 2 may vanish into the noun.
    """
    to = language(pair.target_language)
    source, target = pair.source_prose, pair.target_prose
    wanted, found = _agreeing(source, target)
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
    if not _DIGIT.search(text):
        return Counter()
    if text.isascii() or not _FOREIGN.search(text):
        text = text.replace(",", ".")  # several times quicker
    else:
        text = text.translate(_DIGITS)
    text = _NARROW.sub("", text)
    return Counter(map(_plain, _NUMBER.findall(text)))


def _agreeing(source: str, target: str) -> tuple[Counter[str], Counter[str]]:
    """The numbers of both texts, read so that as few as possible differ."""
    best = digits(source), digits(target)
    if best[0] == best[1]:
        return best
    readings = [(_SPACED.sub("", source), target), (source, _SPACED.sub("", target))]
    for one, other in readings:
        counts = digits(one), digits(other)
        if _differing(*counts) < _differing(*best):
            best = counts
    return best


def _differing(wanted: Counter[str], found: Counter[str]) -> int:
    return (wanted - found).total() + (found - wanted).total()


def _missing(lost: Counter[str], target: str, to: str) -> list[str]:
    if not lost:
        return []
    words = spelled(target, to, lenient=True)
    missing: list[str] = []
    for number in lost.elements():
        value = _small(number)
        may_be_words = to not in SPELLED or (to == "ar" and value in (1, 2))
        if words[value] > 0:
            words[value] -= 1
        elif not may_be_words or value < 0:
            missing.append(number)
    return missing


def _not_spelled(new: list[str], source: str, origin: str) -> list[str]:
    """Those of the new numbers that the source does not have in words either."""
    if origin not in SPELLED:  # it may have any number up to 12 in words
        return [number for number in new if _small(number) < 0]
    words = spelled(source, origin, lenient=True)
    return [number for number in new if _small(number) not in words]


def _small(number: str) -> int:
    """0 to 12; -1 for a number that nobody spells out."""
    is_short = number.isdecimal() and len(number) < 3
    return int(number) if is_short and int(number) < 13 else -1


def _plain(number: str) -> str:
    return number.replace(".", "") if _THOUSANDS.match(number) else number


def _span(text: str, number: str) -> tuple[int, int] | None:
    found = re.search(
        rf"(?<![0-9]){re.escape(number)}(?![0-9])", text.translate(_DIGITS)
    )
    return found.span() if found else None
