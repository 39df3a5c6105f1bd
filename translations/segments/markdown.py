"""Segments of Markdown.

markdown-it finds the blocks (CommonMark and tables); where their text stands in the
source is found again line by line, because its tokens give lines, not positions.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token as Block

from translations.segments.html import html_tokens, split_html
from translations.segments.pieces import Piece
from translations.segments.runs import Place, Token, run_pieces, tag_pieces

# Blocks only: what stands inside a line is read here, and a hundred times faster.
_BLOCKS = MarkdownIt("commonmark").enable("table")
_BLOCKS.core.ruler.enableOnly(["normalize", "block"])

_NEWLINE = re.compile(r"\r\n?|\n")
_BACKTICKS = re.compile(r"`+")
_TASK = re.compile(r"\[[ xX]\]\s+")
_ADDRESS = re.compile(
    r"(?<=\]\()(?:<[^<>\r\n]*>|(?:[^\s()<>]|\([^\s()<>]*\))++)(?=\)|\s+[\"'(])"
)
_BARE_PIPE = re.compile(r"(?<!\\)\|")

Span = tuple[int, int]


def split_markdown(text: str) -> Iterator[Piece]:
    """The pieces of a Markdown text, in order; segment ids are still to be given."""
    flat = text.replace("\0", "\ufffd")  # as markdown-it does; positions stay
    lines = _line_spans(text)
    blocks = _BLOCKS.parse(text)
    done = 0
    for index, block in enumerate(blocks):
        if block.type not in ("inline", "html_block") or not block.map:
            continue
        if block.type == "html_block":
            found = _html_pieces(text, flat, lines, block)
        elif blocks[index - 1].type in ("th_open", "td_open"):
            found = _cell_pieces(text, flat, lines, block, done)
        else:
            found = _paragraph_pieces(text, flat, lines, block)
        for (start, end), pieces in found:
            if start < done:
                continue
            yield text[done:start]
            yield from pieces
            done = end
    yield text[done:]


def addresses(text: str) -> list[str]:
    """The targets of inline links and images, in order."""
    return _ADDRESS.findall(text)


def without_addresses(text: str) -> str:
    return _ADDRESS.sub("", text)


Found = Iterator[tuple[Span, Iterator[Piece]]]


def _paragraph_pieces(text: str, flat: str, lines: list[Span], block: Block) -> Found:
    """A paragraph's or heading's text: one run, or several where a line must end."""
    spans = _content_spans(flat, lines, block)
    if spans and (task := _TASK.match(text, *spans[0])):
        spans[0] = task.end(), spans[0][1]
    for index, (start, end) in enumerate(spans[:-1]):
        backslashes = end - start - len(text[start:end].rstrip("\\"))
        if backslashes % 2:  # a hard line break, not part of the text
            spans[index] = start, end - 1
    breaks = [
        text[before[1] : after[0]]
        for before, after in zip(spans, spans[1:], strict=False)
    ]
    soft = Counter(line_break for line_break in breaks if not _is_hard(line_break))
    usual = soft.most_common(1)[0][0] if soft else "\n"
    start = 0
    for index in range(len(spans)):
        if index < len(breaks) and breaks[index] == usual:
            continue
        span = spans[start][0], spans[index][1]
        yield span, _run(text[slice(*span)], Place(line_break=usual))
        start = index + 1


def _cell_pieces(
    text: str, flat: str, lines: list[Span], block: Block, done: int
) -> Found:
    assert block.map is not None  # noqa: S101 (checked by the caller)
    first, last = lines[block.map[0]]
    content = block.content.strip()
    if not content:
        return
    for wanted in (content, content.replace("|", r"\|")):
        start = flat.find(wanted, max(first, done), last)
        if start >= 0:
            span = start, start + len(wanted)
            raw = text[slice(*span)]
            guard = "" if _BARE_PIPE.search(raw) else "|"
            yield span, _run(raw, Place(line_break="\n", guard=guard))
            return


def _html_pieces(text: str, flat: str, lines: list[Span], block: Block) -> Found:
    assert block.map is not None  # noqa: S101 (checked by the caller)
    first, last = block.map
    if block.level == 0:
        spans = [(lines[first][0], lines[last - 1][1])]
    else:  # inside a quote or a list: the marks before each line are not HTML
        spans = _content_spans(flat, lines, block)
    for span in spans:
        yield span, split_html(text[slice(*span)])


def _content_spans(flat: str, lines: list[Span], block: Block) -> list[Span]:
    """Where each line of a block's content stands, without marks and outer blanks."""
    assert block.map is not None  # noqa: S101 (checked by the callers)
    spans: list[Span] = []
    for number, content in enumerate(block.content.split("\n"), block.map[0]):
        wanted = content.strip()
        if not wanted or number >= len(lines):
            continue
        start, end = lines[number]
        line = flat[start:end].rstrip()
        at = len(line) - len(wanted) if line.endswith(wanted) else line.rfind(wanted)
        if at < 0:
            at, wanted = len(line) - len(line.lstrip()), line.strip()
        spans.append((start + at, start + at + len(wanted)))
    return spans


def _run(raw: str, place: Place) -> Iterator[Piece]:
    tokens = list(_inline_tokens(raw))
    line_break = place.line_break or "\n"
    for token in tokens:
        if token.kind == "text":
            shown = token.text.replace(line_break, "\n")
            if shown.replace("\n", line_break) != token.text:
                place = Place(guard=place.guard)
                break
            token.text = shown
    else:
        yield from _runs(tokens, place)
        return
    yield from _runs(list(_inline_tokens(raw)), place)


def _runs(tokens: list[Token], place: Place) -> Iterator[Piece]:
    run: list[Token] = []
    for token in tokens:
        if token.kind != "block":
            run.append(token)
            continue
        yield from run_pieces(run, place)
        run = []
        yield from tag_pieces(token.text)
    yield from run_pieces(run, place)


def _inline_tokens(raw: str) -> Iterator[Token]:
    """Text, HTML tags and the addresses of links; code stays as it is in the text."""
    pending: list[str] = []
    for is_code, stretch in _code_spans(raw):
        if is_code:
            pending.append(stretch)
            continue
        for token in html_tokens(stretch):
            if token.kind == "text":
                pending.append(token.text)
                continue
            yield from _links("".join(pending))
            pending.clear()
            yield token
    yield from _links("".join(pending))


def _links(text: str) -> Iterator[Token]:
    done = 0
    for match in _ADDRESS.finditer(text):
        yield Token("text", text[done : match.start()])
        yield Token("address", match[0], "a")
        done = match.end()
    if done < len(text):
        yield Token("text", text[done:])


def _code_spans(raw: str) -> Iterator[tuple[bool, str]]:
    """The text in stretches: (is it a code span, the stretch)."""
    ticks = [match.span() for match in _BACKTICKS.finditer(raw)]
    by_length: dict[int, list[int]] = {}
    for start, end in ticks:
        by_length.setdefault(end - start, []).append(start)
    done = 0
    for start, end in ticks:
        if start < done:
            continue
        same = by_length[end - start]
        following = bisect_right(same, start)
        if following < len(same):
            if start > done:
                yield False, raw[done:start]
            done = same[following] + end - start
            yield True, raw[start:done]
    if done < len(raw):
        yield False, raw[done:]


def _is_hard(line_break: str) -> bool:
    return line_break.startswith(("  ", "\\"))


def _line_spans(text: str) -> list[Span]:
    spans: list[Span] = []
    start = 0
    for match in _NEWLINE.finditer(text):
        spans.append((start, match.start()))
        start = match.end()
    spans.append((start, len(text)))
    return spans
