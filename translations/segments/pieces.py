"""Pieces of a text: what a model is asked to translate, and what it never sees."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain
from typing import Any, NamedTuple

MAX_SEGMENT_CHARACTERS = 1_800
MAX_PART_SEGMENTS = 25
MAX_PART_CHARACTERS = 1_800


class Inside(NamedTuple):
    """Where an attribute's value stands in a tag of the segment before it."""

    tag: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of text for the model, in the form in which it is sent.

    `tags` gives, for each id that the model sees, what really stands there: for
    `<a id="a1">` the opening tag with all its attributes, for `<code id="code1"/>` the
    whole element, for `[text](a1)` the address.
    """

    id: str
    text: str
    tags: dict[str, str] = field(default_factory=dict)
    # What one line break of `text` is in the source ("\r\n", "\n> "); a blank where the
    # source has none, so that an answer cannot break out of a table cell or a heading.
    # None leaves line breaks alone, as HTML does.
    line_break: str | None = None
    # A character that would end the place it stands in: the quote around an attribute's
    # value, the bar of a table cell. It is escaped in what the model answers.
    guard: str = ""
    inside: Inside | None = None


Piece = str | Segment

_LINE_BREAK = re.compile(r"\s*[\r\n]\s*")
_SHOWN_TAG = re.compile(
    r"""<[A-Za-z][A-Za-z0-9]*\s+id\s*=\s*["']?([a-z0-9]+)["']?\s*/?>"""
    r"""|(?<=\]\()\s*<?([a-z]+[0-9]+)>?(?=[\s)]|\Z)"""
)
_GUARDED = {
    '"': (re.compile('"'), "&quot;"),
    "'": (re.compile("'"), "&#39;"),
    "|": (re.compile(r"(?<!\\)\|"), r"\|"),
}


def segments_of(pieces: Iterable[Piece]) -> list[Segment]:
    return [piece for piece in pieces if isinstance(piece, Segment)]


def join_pieces(pieces: Sequence[Piece], targets: Mapping[str, str]) -> str:
    """The whole text, with `targets` ({segment id: text}) in the segments' places.

    Real tags and addresses are put back. A segment that `targets` does not have keeps
    its source text; with no targets at all, this is the source, to the byte.
    """
    out: list[str] = []
    for host, values in _hosts(pieces):
        if isinstance(host, str):
            out.append(host)
            continue
        tags = host.tags
        if values:
            tags = dict(tags)
            for value in reversed(values):  # from the back: spans stay true
                assert value.inside is not None  # noqa: S101 (what _hosts gives)
                tag, start, end = value.inside
                text = _restored(value, targets.get(value.id, value.text), {})
                tags[tag] = tags[tag][:start] + text + tags[tag][end:]
        out.append(_restored(host, targets.get(host.id, host.text), tags))
    return "".join(out)


def parts(pieces: Sequence[Piece], known: Collection[str] = ()) -> list[list[Piece]]:
    """Consecutive slices, each small enough for one request.

    Every slice has a segment to ask for, at most 25, and at most 1,800 characters of
    them; those whose ids are `known` are not asked for. The joined slices, one after
    the other, are the joined whole. A text without a segment to ask for has no parts.
    """
    slices: list[list[Piece]] = [[]]
    count = characters = 0
    for host, values in _hosts(pieces):
        if isinstance(host, str):
            slices[-1].append(host)
            continue
        group = [host, *values]
        asked = [segment for segment in group if segment.id not in known]
        size = sum(len(segment.text) for segment in asked)
        if (
            count
            and asked
            and (
                count + len(asked) > MAX_PART_SEGMENTS
                or characters + size > MAX_PART_CHARACTERS
            )
        ):
            slices.append([])
            count = characters = 0
        slices[-1].extend(group)
        count += len(asked)
        characters += size
    return slices if count else []


def halves(pieces: Sequence[Piece], known: Collection[str] = ()) -> list[list[Piece]]:
    """Two slices with about half of the asked characters each, neither without any.

    The joined slices, one after the other, are the joined whole. A segment stays with
    the attribute values in its tags; where there is only one, there are no halves.
    """
    groups = [[host, *values] for host, values in _hosts(pieces)]
    sizes = [
        sum(len(part.text) for part in segments_of(group) if part.id not in known)
        for group in groups
    ]
    starts = [at for at, size in enumerate(sizes) if size]
    if len(starts) < 2:
        return []
    before = list(accumulate(sizes, initial=0))
    cut = min(starts[1:], key=lambda at: abs(2 * before[at] - before[-1]))
    return [list(chain(*groups[:cut])), list(chain(*groups[cut:]))]


def to_json(pieces: Iterable[Piece]) -> list[Any]:
    """A template for `from_json`: literals, and segments without their texts."""
    return [
        piece if isinstance(piece, str) else _without_defaults(piece)
        for piece in pieces
    ]


def from_json(data: Iterable[Any], texts: Mapping[str, str]) -> list[Piece]:
    """The pieces of a template, with the segments' source texts from `texts` by id.

    KeyError names a segment whose text is missing.
    """
    pieces: list[Piece] = []
    for entry in data:
        if isinstance(entry, str):
            pieces.append(entry)
            continue
        values = {**entry, "text": texts[entry["id"]]}
        if "inside" in values:
            values["inside"] = Inside(*values["inside"])
        pieces.append(Segment(**values))
    return pieces


def numbered(pieces: Iterable[Piece]) -> list[Piece]:
    """The same pieces with ids s1, s2, … in order, and literals side by side as one."""
    result: list[Piece] = []
    literal: list[str] = []
    number = 0
    for piece in pieces:
        if isinstance(piece, str):
            literal.append(piece)
            continue
        if text := "".join(literal):
            result.append(text)
        literal.clear()
        number += 1
        result.append(replace(piece, id=f"s{number}"))
    if text := "".join(literal):
        result.append(text)
    return result


def _hosts(pieces: Iterable[Piece]) -> Iterator[tuple[Piece, list[Segment]]]:
    """Each piece with the attribute values that follow it and stand in its tags."""
    host: Piece | None = None
    values: list[Segment] = []
    for piece in pieces:
        if isinstance(piece, Segment) and piece.inside is not None:
            values.append(piece)
            continue
        if host is not None:
            yield host, values
        host, values = piece, []
    if host is not None:
        yield host, values


def _restored(segment: Segment, text: str, tags: Mapping[str, str]) -> str:
    if segment.guard:
        pattern, escape = _GUARDED[segment.guard]
        text = pattern.sub(lambda _: escape, text)
    if segment.line_break is not None:
        line_break = segment.line_break
        text = _LINE_BREAK.sub(lambda _: line_break, text)
    if tags:
        text = _SHOWN_TAG.sub(
            lambda match: tags.get(match[1] or match[2], match[0]), text
        )
    return text


def _without_defaults(segment: Segment) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": segment.id}
    if segment.tags:
        entry["tags"] = segment.tags
    if segment.line_break is not None:
        entry["line_break"] = segment.line_break
    if segment.guard:
        entry["guard"] = segment.guard
    if segment.inside is not None:
        entry["inside"] = list(segment.inside)
    return entry
