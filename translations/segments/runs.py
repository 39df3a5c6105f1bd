"""From a run of inline text and tags to segments: cut, balanced, trimmed, with ids.

A run is what stands between two block marks. Here it becomes one segment or, where it
is long or its tags are not balanced, several with literals between them; the tags
within one segment always form a balanced whole.
"""

import html
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from translations.segments.pieces import MAX_SEGMENT_CHARACTERS, Inside, Piece, Segment

# Written so that no input makes them slow: possessive, and starting only where a run of
# their first characters starts.
URL = re.compile(r"(?:https?://|ftp://|www\.)[^\s<>\"'«»“”|]+|mailto:[^\s<>\"']+", re.I)
EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]+(?:\.[\w-]+)+")
PLACEHOLDER = re.compile(
    r"\{\{[^{}]*\}\}|\{%[^{}]*%\}|\$?\{\w[\w.]*(?:![rsa])?(?::[^{}\s]*)?\}"
    r"|(?<![\w$])\{\}|%\(\w+\)[#0+-]?\d*(?:\.\d+)?[a-zA-Z]|⟦[^⟦⟧]*⟧"
    r"|(?<![\d%])%(?:\d+\$)?[#0+-]?\d*(?:\.\d+)?(?:hh?|ll?|[jzt])?[diouxXeEfFgGcs](?!\w)"
)
MAY_HAVE_URL = re.compile(r"://|www\.|mailto:", re.I)
ATTRIBUTE = re.compile(
    r"""(?:(?<![\s/])[\s/]++|(?<=["']))(?P<name>[^\s/>=<]+)"""
    r"""(?:\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|[^\s>"'<][^\s><]*))?"""
)

_SENTENCE_END = re.compile(
    r"(?<![.!?…؟])[.!?…؟]++(?:[\"'”’»)\]*_]|</\w+>)*+\s+|[。！？]++[”’」』)]*+\s*+"
)
_ENTITY = re.compile(r"&#?\w{1,31};")
_UNCUT = re.compile(
    "|".join((URL.pattern, EMAIL.pattern, PLACEHOLDER.pattern, _ENTITY.pattern)), re.I
)
_BLANK = re.compile(r"\s+")
_MAX_VALUES_PER_SEGMENT = 5  # attribute texts; further ones stay as they are

Kind = Literal["text", "open", "close", "void", "hidden", "address", "block"]


@dataclass(slots=True)
class Token:
    """A stretch of a run.

    `open`, `close` and `void` are inline tags; `hidden` is an element that the model
    sees as one empty tag (code), `address` a link's target in Markdown. `block` is
    whatever ends a run.
    """

    kind: Kind
    text: str  # as the model would see it without ids; line breaks are "\n" in text
    name: str = ""

    @property
    def is_bare(self) -> bool:
        """A tag that the model may see as it is: no attributes, no odd blanks."""
        if self.kind not in ("open", "close", "void"):
            return False
        bare = (
            f"<{self.name}>",
            f"<{self.name}/>",
            f"<{self.name} />",
            f"</{self.name}>",
        )
        return self.text.lower() in bare

    @property
    def widest(self) -> int:
        """Characters it takes at most in a segment's text."""
        if self.kind == "text" or self.is_bare:
            return len(self.text)
        return len(self.name) * 2 + len('< id="9999"/>')


@dataclass(frozen=True, slots=True)
class Place:
    """How the place a run stands in writes line breaks, and what would end it."""

    line_break: str | None = None
    guard: str = ""
    is_html: bool = True  # entities and tags mean something

    def source(self, token: Token) -> str:
        """The token as the source has it."""
        if token.kind == "text" and self.line_break is not None:
            return token.text.replace("\n", self.line_break)
        return token.text


def run_pieces(tokens: Sequence[Token], place: Place) -> Iterator[Piece]:
    """The pieces of one run, in order; segment ids are still to be given."""
    for chunk in _cut(tokens):
        for stretch in _balanced(chunk):
            yield from _trimmed(stretch, place)


def has_words(text: str, *, is_html: bool = True) -> bool:
    """Whether there is prose in it: a letter outside URLs and placeholders."""
    if is_html and "&" in text:
        text = html.unescape(text)
    if not any(map(str.isalpha, text)):
        return False
    return any(map(str.isalpha, without_tokens(text)))


def without_tokens(text: str, instead: str = " ") -> str:
    """The text without URLs, e-mail addresses and placeholders."""
    if MAY_HAVE_URL.search(text):
        text = URL.sub(instead, text)
    if "@" in text:
        text = EMAIL.sub(instead, text)
    if "{" in text or "%" in text or "⟦" in text:
        text = PLACEHOLDER.sub(instead, text)
    return text


def tag_pieces(tag: str) -> Iterator[Piece]:
    """A tag as literals, with the texts of its `alt` and `title` as segments."""
    done = 0
    for start, end, quote in _attribute_texts(tag):
        yield tag[done:start]
        yield from run_pieces([Token("text", tag[start:end])], Place(guard=quote))
        done = end
    yield tag[done:]


def _attribute_texts(tag: str) -> Iterator[tuple[int, int, str]]:
    """Where a tag's translatable texts stand, and the quote around each."""
    name = re.match(r"<[A-Za-z][A-Za-z0-9-]*", tag)
    if name is None:
        return
    for match in ATTRIBUTE.finditer(tag, name.end()):
        if match["name"].lower() not in ("alt", "title"):
            continue
        group, quote = (
            ("double", '"') if match["double"] is not None else ("single", "'")
        )
        if match[group] is not None and has_words(match[group]):
            yield *match.span(group), quote


def _cut(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Chunks of at most MAX_SEGMENT_CHARACTERS, cut at sentence ends where possible."""
    total = sum(token.widest for token in tokens)
    if total <= MAX_SEGMENT_CHARACTERS:
        yield tokens
        return
    shown: list[str] = []
    starts: list[int] = []  # offset of each token in the shown text
    depths: list[int] = []  # how many tags are open before it
    offset = depth = 0
    for token in tokens:
        starts.append(offset)
        depths.append(depth)
        as_it_is = token.kind == "text" or token.is_bare
        shown.append(token.text if as_it_is else "<" * token.widest)
        offset += len(shown[-1])
        depth += {"open": 1, "close": -1}.get(token.kind, 0)
    text = "".join(shown)
    tags = [
        (start, start + len(part))
        for start, part, token in zip(starts, shown, tokens, strict=True)
        if token.kind != "text"
    ]
    uncut = _merged([*tags, *(match.span() for match in _UNCUT.finditer(text))])

    def may_cut(at: int) -> bool:
        index = bisect_left(uncut, (at, at)) - 1
        return index < 0 or uncut[index][1] <= at

    def depth_at(at: int) -> int:
        return depths[bisect_right(starts, at) - 1]

    ends = [m.end() for m in _SENTENCE_END.finditer(text) if may_cut(m.end())]
    shallow = [end for end in ends if depth_at(end - 1) <= 0]
    blanks = [m.end() for m in _BLANK.finditer(text) if may_cut(m.end())]

    cuts: list[int] = []
    done = 0
    while total - done > MAX_SEGMENT_CHARACTERS:
        limit = done + MAX_SEGMENT_CHARACTERS
        for candidates in (shallow, ends, blanks):
            index = bisect_right(candidates, limit) - 1
            if index >= 0 and candidates[index] > done:
                done = candidates[index]
                break
        else:
            done = _hard_cut(limit, done, uncut, tags)
        cuts.append(done)
    yield from _sliced(tokens, starts, cuts)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _hard_cut(
    limit: int, done: int, uncut: list[tuple[int, int]], tags: list[tuple[int, int]]
) -> int:
    """The last place up to `limit` outside whatever must stay whole, tags at least."""
    for spans in (uncut, tags):
        index = bisect_left(spans, (limit, limit)) - 1
        inside = index >= 0 and spans[index][1] > limit
        at = spans[index][0] if inside else limit
        if at > done:
            return at
    return limit


def _sliced(
    tokens: Sequence[Token], starts: Sequence[int], cuts: Sequence[int]
) -> Iterator[list[Token]]:
    chunk: list[Token] = []
    remaining = iter([*cuts, None])
    cut = next(remaining)
    for token, start in zip(tokens, starts, strict=True):
        while cut is not None and cut <= start:
            if chunk:
                yield chunk
            chunk = []
            cut = next(remaining)
        if token.kind != "text":
            chunk.append(token)
            continue
        done = 0
        while cut is not None and cut < start + len(token.text):
            chunk.append(Token("text", token.text[done : cut - start]))
            yield chunk
            chunk, done = [], cut - start
            cut = next(remaining)
        chunk.append(Token("text", token.text[done:]))
    if chunk:
        yield chunk


def _balanced(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Stretches whose tags are balanced; each tag that is not stands alone."""
    waiting = [list(tokens)]
    while waiting:
        stretch = waiting.pop()
        loose = _unmatched(stretch)
        if not loose or len(stretch) == 1:
            yield stretch
            continue
        split: list[list[Token]] = []
        done = 0
        for index in loose:
            split += [stretch[done:index], [stretch[index]]]
            done = index + 1
        split.append(stretch[done:])
        waiting.extend(part for part in reversed(split) if part)


def _unmatched(tokens: Sequence[Token]) -> list[int]:
    """Indexes of the tags whose partner is not there, or not where it must be."""
    loose: list[int] = []
    stack: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind == "open":
            stack.append(index)
        elif token.kind == "close":
            names = [tokens[at].name for at in stack]
            if token.name in names and token.is_bare:
                while tokens[stack[-1]].name != token.name:
                    loose.append(stack.pop())
                stack.pop()
            else:
                loose.append(index)
    return sorted(loose + stack)


def _trimmed(tokens: list[Token], place: Place) -> Iterator[Piece]:
    """Blanks and line breaks at the ends as literals, and the segment between them."""
    if not _translatable(tokens, place):
        yield from _literal(tokens, place)
        return
    first, last = 0, len(tokens)
    while _is_blank(tokens[first]):
        first += 1
    while _is_blank(tokens[last - 1]):
        last -= 1
    yield from _literal(tokens[:first], place)
    middle = [Token(token.kind, token.text, token.name) for token in tokens[first:last]]
    head = tail = Token("text", "")
    if middle[0].kind == "text":
        stripped = middle[0].text.lstrip()
        head = Token("text", middle[0].text[: len(middle[0].text) - len(stripped)])
        middle[0].text = stripped
    if middle[-1].kind == "text":
        stripped = middle[-1].text.rstrip()
        tail = Token("text", middle[-1].text[len(stripped) :])
        middle[-1].text = stripped
    yield place.source(head)
    yield from _segment(middle, place)
    yield place.source(tail)
    yield from _literal(tokens[last:], place)


def _segment(tokens: Sequence[Token], place: Place) -> Iterator[Segment]:
    """The segment of these tokens, followed by the attribute texts in its tags."""
    visible = "\n".join(token.text for token in tokens if token.kind == "text")
    tags: dict[str, str] = {}
    numbers: dict[str, int] = {}
    shown: list[str] = []
    for token in tokens:
        if token.kind == "text" or token.is_bare:
            shown.append(token.text)
            continue
        name = token.name.lower()
        number = numbers.get(name, 0) + 1
        # An id that the text itself has must not be taken for ours.
        while f"{name}{number}" in visible:
            number += 1
        numbers[name] = number
        tags[f"{name}{number}"] = token.text
        shown.append(_shown(token, f"{name}{number}"))
    text = "".join(shown)
    line_break = place.line_break
    if line_break is not None and "\n" not in text:
        line_break = " "
    yield Segment("", text, tags, line_break=line_break, guard=place.guard)

    size = len(text)
    count = 0
    for tag_id, tag in tags.items():
        for start, end, quote in _attribute_texts(tag):
            size += end - start
            count += 1
            if count <= _MAX_VALUES_PER_SEGMENT and size <= MAX_SEGMENT_CHARACTERS:
                inside = Inside(tag_id, start, end)
                yield Segment("", tag[start:end], guard=quote, inside=inside)


def _shown(token: Token, tag_id: str) -> str:
    if token.kind == "address":
        return tag_id
    end = "/>" if token.kind in ("hidden", "void") else ">"
    return f'<{token.name.lower()} id="{tag_id}"{end}'


def _translatable(tokens: Sequence[Token], place: Place) -> bool:
    text = "".join(token.text for token in tokens if token.kind == "text")
    return has_words(text, is_html=place.is_html)


def _literal(tokens: Sequence[Token], place: Place) -> Iterator[Piece]:
    for token in tokens:
        if token.kind in ("open", "void"):
            yield from tag_pieces(token.text)
        else:
            yield place.source(token)


def _is_blank(token: Token) -> bool:
    if token.kind == "void":
        return True
    return token.kind == "text" and not token.text.strip()
