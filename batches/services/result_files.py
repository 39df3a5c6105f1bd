"""Result files on disk: cut into chunks of lines, each line read and told apart.

A provider writes its lines in any order. They are read here in the order of their
items: then a chunk touches neighbouring rows, and each page of the database is written
once instead of once a chunk.
"""

import os
import re
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from batches.models import StrayLine
from batches.providers.result_lines import ResultLine, read_line
from batches.states import FileKind, StrayKind

CHUNK_LINES = 5_000
CHUNK_BYTES = 4 * 1024 * 1024
BLOCK_BYTES = 256 * 1024

# Good enough to sort by: what a line really says is read when its turn comes.
_CUSTOM_ID = re.compile(rb'"custom_id"\s*:\s*"(\d{1,18})"')
_LAST = 2**63 - 1


class Chunk(msgspec.Struct):
    """Some lines of one file in the order of their items, and their 1-based numbers.

    `end` is how many of the file's lines, in that order, are done with this chunk.
    """

    file_id: str
    kind: FileKind
    lines: list[bytes]
    numbers: Sequence[int]
    end: int
    _places: dict[int, int] | None = None

    def raw(self, number: int) -> str:
        """A line as text that every database takes: PostgreSQL refuses NUL."""
        if self._places is None:
            self._places = {number: at for at, number in enumerate(self.numbers)}
        raw = self.lines[self._places[number]].strip()
        return raw.decode(errors="replace").replace("\0", "\ufffd")


def read_chunks(
    path: Path, file_id: str, kind: FileKind, *, start: int
) -> Iterator[Chunk]:
    """Cut a file into chunks of 5,000 lines or 4 MB, passing over the first `start`.

    Blank lines are no lines. An empty file is one chunk without lines, so that it too
    leaves a checkpoint. Memory: 24 bytes a line, and a chunk.
    """
    offsets, sizes, numbers, keys = _index(path)
    order = sorted(range(len(keys)), key=keys.__getitem__)
    with path.open("rb") as file:
        descriptor = file.fileno()
        lines: list[bytes] = []
        size = 0
        done = start
        for place, line in enumerate(order[start:], start=start + 1):
            lines.append(os.pread(descriptor, sizes[line], offsets[line]))
            size += sizes[line]
            if len(lines) >= CHUNK_LINES or size >= CHUNK_BYTES:
                chosen = [numbers[line] for line in order[done:place]]
                yield Chunk(file_id, kind, lines, chosen, place)
                lines, size, done = [], 0, place
        chosen = [numbers[line] for line in order[done:]]
        yield Chunk(file_id, kind, lines, chosen, len(order))


def _index(path: Path) -> tuple["array[int]", ...]:
    """Where each line is: offset, size, 1-based number, and its item as far as seen.

    Reads bytes and cuts at newlines alone.
    """
    offsets, sizes, numbers, keys = array("q"), array("q"), array("q"), array("q")
    offset = 0
    find = _CUSTOM_ID.search
    for number, raw in enumerate(_lines(path), start=1):
        size = len(raw) + 1
        if raw and not raw.isspace():
            seen = find(raw)
            keys.append(int(seen[1]) if seen else _LAST)
            offsets.append(offset)
            sizes.append(size)
            numbers.append(number)
        offset += size
    return offsets, sizes, numbers, keys


def _lines(path: Path) -> Iterator[bytes]:
    """A file's lines without their newlines, read in blocks: half the price of asking
    for one after the other."""
    rest = b""
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            *lines, rest = (rest + block).split(b"\n")
            yield from lines
    if rest:
        yield rest


def first_of_each(chunk: Chunk) -> tuple[dict[int, ResultLine], list[StrayLine]]:
    """Read a chunk: the first line of each item, by item id, and the strays."""
    found: dict[int, ResultLine] = {}
    strays = []
    for number, raw in zip(chunk.numbers, chunk.lines, strict=True):
        read = read_line(raw, number)
        if read is None:
            strays.append(stray(chunk, number, StrayKind.MALFORMED))
            continue
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
