"""Result files on disk: cut into chunks of lines, each line read and told apart.

A provider writes its lines in any order. They are read here in the order of their
items: then a chunk touches neighbouring rows, and each page of the database is written
once instead of once a chunk.
"""

import os
import re
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, takewhile
from pathlib import Path
from sys import getsizeof

import msgspec

from batches.models import StrayLine
from batches.providers.result_lines import ResultLine, read_line
from batches.states import FileKind, StrayKind

CHUNK_LINES = 5_000
CHUNK_BYTES = 4 * 1024 * 1024
# Of texts in memory: Python holds one with an emoji in it at four bytes a character. Of
# usual answers it is more than 4 MB of lines come to; with 8 MB the longest took most.
CHUNK_TEXT_BYTES = 6_500_000
BLOCK_BYTES = 256 * 1024

# Good enough to sort by: what a line really says is read when its turn comes.
_CUSTOM_ID = re.compile(rb'"custom_id"\s*:\s*"(\d{1,18})"')
_LAST = 2**63 - 1
_BLANK = -1


class Chunk(msgspec.Struct):
    """Some lines of one file in the order of their items, and their 1-based numbers.

    `end` is how many of the file's lines, in that order, are done with this chunk. The
    lines stay on disk until their turn comes: what is read of them is enough to hold.
    """

    file_id: str
    kind: FileKind
    path: Path
    offsets: Sequence[int]
    sizes: Sequence[int]
    numbers: Sequence[int]
    end: int
    refused: dict[int, bytes] = {}  # lines without an answer, by number
    _places: dict[int, int] | None = None

    def cut(self, lines: int) -> None:
        """Leave all but so many lines to the next chunk."""
        self.end -= len(self.numbers) - lines
        self.offsets = self.offsets[:lines]
        self.sizes = self.sizes[:lines]
        self.numbers = self.numbers[:lines]

    def lines(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            descriptor = file.fileno()
            for size, offset in zip(self.sizes, self.offsets, strict=True):
                yield os.pread(descriptor, size, offset)

    def raw(self, number: int) -> str:
        """A line as text that every database takes: PostgreSQL refuses NUL."""
        raw = self.refused.get(number) or self._read_again(number)
        return raw.strip().decode(errors="replace").replace("\0", "\ufffd")

    def _read_again(self, number: int) -> bytes:
        if self._places is None:
            self._places = {number: at for at, number in enumerate(self.numbers)}
        place = self._places[number]
        with self.path.open("rb") as file:
            return os.pread(file.fileno(), self.sizes[place], self.offsets[place])


def read_chunks(
    path: Path, file_id: str, kind: FileKind, *, start: int
) -> Iterator[Chunk]:
    """Cut a file into chunks of 5,000 lines or 4 MB, passing over the first `start`.

    One whose texts turn out to be too large in memory is cut while it is read
    (`first_of_each`), and the next begins where it ends. Blank lines are no lines. An
    empty file is one chunk without lines, so that it too leaves a checkpoint. Memory:
    16 bytes a line.
    """
    places = _index(path)
    begin, last = start, len(places[1])
    while True:
        end = _end(places[1], begin)
        offsets, sizes, numbers = (column[begin:end] for column in places)
        chunk = Chunk(file_id, kind, path, offsets, sizes, numbers, end)
        yield chunk
        begin = chunk.end
        if begin >= last:
            return


def _end(sizes: Sequence[int], begin: int) -> int:
    """Where a chunk that begins there is full."""
    upto = accumulate(sizes[begin : begin + CHUNK_LINES])
    fitting = sum(1 for _ in takewhile(CHUNK_BYTES.__gt__, upto))
    return min(begin + fitting + 1, begin + CHUNK_LINES, len(sizes))


def _index(path: Path) -> tuple["array[int]", "array[int]", "array[int]"]:
    """Offset, size and 1-based number of each line, in the order of their items.

    Reads bytes and cuts at newlines alone.
    """
    sizes, keys = array("I"), array("q")
    find = _CUSTOM_ID.search
    for lines in _blocks_of_lines(path):
        sizes.extend([len(raw) + 1 for raw in lines])
        keys.extend(
            [
                int(seen[1])
                if (seen := find(raw))
                else _BLANK
                if _is_blank(raw)
                else _LAST
                for raw in lines
            ]
        )
    order = [place for place, key in enumerate(keys) if key != _BLANK]
    order.sort(key=keys.__getitem__)
    offsets = array("q", accumulate(sizes, initial=0))
    return (
        array("q", map(offsets.__getitem__, order)),
        array("I", map(sizes.__getitem__, order)),
        array("I", [place + 1 for place in order]),
    )


def _is_blank(raw: bytes) -> bool:
    return not raw or raw.isspace()


def _blocks_of_lines(path: Path) -> Iterator[list[bytes]]:
    """A file's lines without their newlines, a block of them at a time: half the price
    of asking for one after the other."""
    rest = b""
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            *lines, rest = (rest + block).split(b"\n")
            yield lines
    if rest:
        yield [rest]


def first_of_each(chunk: Chunk) -> tuple[dict[int, ResultLine], list[StrayLine]]:
    """Read a chunk: the first line of each item, by item id, and the strays.

    Cuts the chunk where its texts would take more memory than a chunk may.
    """
    found: dict[int, ResultLine] = {}
    strays = []
    room = CHUNK_TEXT_BYTES
    for place, raw in enumerate(chunk.lines()):
        number = chunk.numbers[place]
        read = read_line(raw, number)
        if read is None:
            strays.append(stray(chunk, number, StrayKind.MALFORMED))
            continue
        room -= getsizeof(read.text)
        if room < 0 and place:
            chunk.cut(place)
            break
        if read.error_code:
            chunk.refused[number] = raw
        custom_id = read.custom_id
        # One of ours is an item's key as plain decimal text.
        if not (custom_id.isdecimal() and custom_id.isascii() and len(custom_id) < 19):
            strays.append(stray(chunk, number, StrayKind.UNKNOWN, custom_id))
        elif (key := int(custom_id)) in found:
            strays.append(stray(chunk, number, StrayKind.REPEATED, custom_id))
        else:
            found[key] = read
    return found, strays


def stray(chunk: Chunk, number: int, kind: StrayKind, custom_id: str = "") -> StrayLine:
    """A line to be recorded and not applied; not saved, and of no job yet."""
    return StrayLine(
        file_id=chunk.file_id,
        line=number,
        kind=kind,
        custom_id=custom_id[:200].replace("\0", "\ufffd"),
        raw_line=chunk.raw(number),
    )
