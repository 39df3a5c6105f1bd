"""Words from a file or from the bundled list, one by one, with how often each came."""

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from batches.errors import BatchError
from translations.dictionary.lists import bundled_words

T = TypeVar("T")

WORD_COLUMNS = ("raw_word", "word", "headword")
# A word of running text; its apostrophes and hyphens stand between letters.
_TOKEN = re.compile(r"[^\W\d_]+(?:['\u2019\u02bc-][^\W\d_]+)*['\u2019]?", re.UNICODE)
BUNDLED = "bundled English list"


class WordsRefused(BatchError):
    """A file of words that cannot be read; nothing of it is used."""

    code = "words_refused"


@dataclass(frozen=True, slots=True)
class Source:
    """Words with their counts, in order; `counts_matter` where they are of a text."""

    name: str
    words: Iterable[tuple[str, int]]
    counts_matter: bool = False


def open_source(path: str, *, language: str, limit: int | None = None) -> Source:
    """The words of a file, or the bundled list where there is no path.

    A `.csv` has a column `word` (or `raw_word`), and may have `count` and `language`;
    a text with one word a line is a list; any other text is counted word by word.
    """
    if not path:
        if language != "en":
            raise WordsRefused(
                f"There is no bundled list of {language!r}; name a file of words."
            )
        return Source(BUNDLED, ((word, 1) for word in _cut(bundled_words(), limit)))
    place = Path(path)
    try:
        # Every byte is looked at first: half a file would be a list of another kind.
        with place.open(encoding="utf-8-sig", newline="") as file:
            is_list = all(len(line.split()) < 3 for line in file)
    except UnicodeDecodeError as err:
        raise WordsRefused(
            f"{place.name} is not UTF-8 (byte {err.start}); save it as UTF-8."
        ) from err
    except OSError as err:
        raise WordsRefused(
            f"{path} cannot be read ({err.strerror}); check the path."
        ) from err
    if place.suffix.lower() == ".csv":
        return _csv(place, language, limit)
    if is_list:
        return Source(place.name, ((word, 1) for word in _cut(_lines(place), limit)))
    counted = Counter(token for line in _lines(place) for token in tokens(line))
    return Source(place.name, _cut(counted.items(), limit), counts_matter=True)


def tokens(text: str) -> list[str]:
    return _TOKEN.findall(unicodedata.normalize("NFC", text))


def _lines(place: Path) -> Iterator[str]:
    with place.open(encoding="utf-8-sig") as file:
        for line in file:
            if line.strip():
                yield line.strip("\r\n")


def _csv(place: Path, language: str, limit: int | None) -> Source:
    with place.open(encoding="utf-8-sig", newline="") as file:
        names = csv.DictReader(file).fieldnames or []
    column = next((name for name in WORD_COLUMNS if name in names), None)
    if column is None:
        raise WordsRefused(
            f"{place.name} has no column “word”; it has {', '.join(names) or 'none'}."
        )
    rows = _csv_rows(place, column, language)
    return Source(place.name, _cut(rows, limit), counts_matter="count" in names)


def _csv_rows(place: Path, column: str, language: str) -> Iterator[tuple[str, int]]:
    with place.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            if (row.get("language") or language) != language:
                continue
            count = row.get("count") or "1"
            if not count.isascii() or not count.isdecimal() or not int(count):
                raise WordsRefused(
                    f"{place.name}, line {reader.line_num}, count: {count!r} is no "
                    "number of 1 or more; correct it and try again."
                )
            yield row[column] or "", int(count)


def _cut(rows: Iterable[T], limit: int | None) -> Iterator[T]:
    return islice(rows, limit)
