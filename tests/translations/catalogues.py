"""What people translated: Django's own catalogues, which are installed with it.

They are under the BSD licence, made by volunteers for software that runs everywhere,
and were not made for these checks. Half of them, by hash of the source, was looked at
while the checks were tuned; figures are taken from the other half.

What is left out is named here, and was before anything was measured: obsolete, fuzzy
and empty entries, and of plurals all but the last form. Most entries are a word or two;
so that half of what is measured has six words or more, only as many short ones are
taken, by hash.
"""

from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import django
import polib

from translations.quality import Pair
from translations.segments import guess_format

LANGUAGES = ("ar", "de", "es", "fr")


@lru_cache
def catalogue_pairs(*, tuned_on: bool) -> list[Pair]:
    """Each source and its translation once, English first; no fuzzy ones.

    Of plurals the last form, which is that for many.
    """
    found = {
        (language, source, target): Pair(
            source,
            target,
            "en",
            language,
            "html" if guess_format(source) == "html" else "text",
        )
        for language in LANGUAGES
        for source, target in _entries(language)
        if _is_of_tuning(source) == tuned_on
    }
    return list(found.values())


def measured_pairs() -> list[Pair]:
    """The half that nobody looked at; one of two has six words or more."""
    pairs = catalogue_pairs(tuned_on=False)
    long = [pair for pair in pairs if is_long(pair)]
    short = [pair for pair in pairs if not is_long(pair)]
    short.sort(key=lambda pair: _hash(pair.source))
    return long + short[: len(long)]


def is_long(pair: Pair) -> bool:
    return len(pair.source.split()) >= 6


def _entries(language: str) -> Iterator[tuple[str, str]]:
    files = Path(django.__file__).parent.rglob(f"locale/{language}/LC_MESSAGES/*.po")
    for path in sorted(files):
        for entry in polib.pofile(str(path)):
            if entry.obsolete or entry.fuzzy or not entry.translated():
                continue
            if entry.msgid_plural:
                yield entry.msgid_plural, entry.msgstr_plural[max(entry.msgstr_plural)]
            else:
                yield entry.msgid, entry.msgstr


def _is_of_tuning(source: str) -> bool:
    return _hash(source)[0] % 2 == 0


def _hash(source: str) -> bytes:
    return sha256(source.encode()).digest()
