"""PO, as gettext writes it. The file is held in memory; its entries are small.

Each plural form is an entry of its own, held against whichever of the two source forms
it fits better: which of them it translates is for the language to say.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

import polib

from translations.pair_files.entry import Entry, FileRefused, Told, language_tag
from translations.quality import Background, Pair, check_pair
from translations.segments import guess_format

SOURCE_LANGUAGE = "en"  # what gettext takes it to be
_CHARSET = re.compile(rb"charset=([\w-]+)", re.IGNORECASE)
_COUNTED = re.compile(r"%(?:\(\w+\)|\d+\$)?[dius]|\{\w*\}")


def read(
    stream: BinaryIO, name: str, told: Told, skipped: Counter[str]
) -> Iterator[Entry]:
    catalogue = read_catalogue(stream, name)
    origin, to = _languages(catalogue, name, told)
    background = Background(told_apart=told.told_apart)

    def pair(source: str, target: str) -> Pair:
        format = "html" if guess_format(source) == "html" else "text"
        return Pair(source, target, origin, to, format, background=background)

    for entry in catalogue:
        if entry.obsolete:
            skipped["no longer used"] += 1
        elif entry.fuzzy:
            skipped["fuzzy"] += 1
        elif not entry.translated():
            skipped["not translated yet"] += 1
        else:
            label = entry.msgid
            if entry.msgctxt:
                label = f"{entry.msgctxt}|{label}"
            place = f"line {entry.linenum}"
            if not entry.msgid_plural:
                yield Entry(label, place, pair(entry.msgid, entry.msgstr))
                continue
            last = max(entry.msgstr_plural)
            for number, target in sorted(entry.msgstr_plural.items()):
                sources = [entry.msgid_plural, entry.msgid]
                if number != last:  # “one hour”, “two hours”: without the number
                    sources += [_uncounted(source) for source in sources]
                fits = min(
                    (pair(source, target) for source in sources),
                    key=lambda tried: sum(found.cost for found in check_pair(tried)),
                )
                yield Entry(f"{label}[{number}]", place, fits)


def read_catalogue(stream: BinaryIO, name: str) -> polib.POFile:
    """The messages of a PO file, in the encoding that it names; else FileRefused."""
    data = stream.read()
    charset = _CHARSET.search(data[:4096])
    encoding = charset[1].decode() if charset else "utf-8"
    if encoding.upper() == "CHARSET":  # a template's placeholder
        encoding = "utf-8"
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except (UnicodeDecodeError, LookupError) as err:
        raise FileRefused(
            f"{name} says that it is in {encoding}, and is not ({err}); save it in "
            "UTF-8 and say so in its header."
        ) from err
    if not text.strip():
        return polib.POFile()
    try:
        # A text without a line break might be taken for the name of a file.
        return polib.pofile(text + "\n")
    except (OSError, ValueError, IndexError, KeyError, AttributeError) as err:
        raise FileRefused(
            f"{name} is no PO file ({err}); msgfmt --check says more."
        ) from err


def _languages(catalogue: polib.POFile, name: str, told: Told) -> tuple[str, str]:
    header = catalogue.metadata
    origin = told.source_language or header.get("X-Source-Language") or SOURCE_LANGUAGE
    to = told.target_language or header.get("Language", "")
    if not to:
        raise FileRefused(
            f"{name} has no Language in its header; name it with --target-language."
        )
    try:
        return language_tag(origin, "X-Source-Language"), language_tag(to, "Language")
    except ValueError as err:
        raise FileRefused(
            f"{name}: {err}, or name it with --source-language and --target-language."
        ) from err


def _uncounted(source: str) -> str:
    """The source without its first number's placeholder."""
    return _COUNTED.sub("", source, count=1).strip()
