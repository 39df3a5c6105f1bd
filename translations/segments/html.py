"""Segments of HTML, well-formed or not.

The text is read once from left to right by a tokenizer of our own, because joining must
give back the source to the byte and parsers repair what they read.
"""

import re
from collections.abc import Iterator

from translations.segments.pieces import Piece
from translations.segments.runs import Kind, Place, Token, run_pieces, tag_pieces

# The inline tags that a model sees. Every other tag ends the run.
INLINE = frozenset(
    {
        *("a", "b", "br", "code", "em", "i", "q", "span", "strong", "sub", "sup", "u"),
        # The rarer phrasing elements: left out, they would cut sentences in pieces.
        *("abbr", "bdi", "bdo", "cite", "del", "dfn", "ins", "kbd", "mark", "s"),
        *("small", "time", "var"),
    }
)
VOID = frozenset(
    {
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta"),
        *("source", "track", "wbr"),
    }
)
# Elements whose content is no prose. Without a closing tag they are ordinary tags.
_OPAQUE = frozenset(
    {"code", "iframe", "math", "pre", "script", "style", "svg", "textarea"}
)
_CLOSING = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in _OPAQUE}

TAG = re.compile(
    r"""<(?P<slash>/?)(?P<name>[A-Za-z][A-Za-z0-9-]*)"""
    r"""(?:(?:[\s/]++|(?<=["']))(?:[^\s/>=<]++"""
    r"""(?:\s*+=\s*+(?:"[^"]*"|'[^']*'|[^\s>"'<][^\s><]*+))?+)?+)*+>"""
)
_MARKUP = re.compile(
    r"(?:<!--.*?(?:-->|\Z)|<[!?][^<>]*>)|" + TAG.pattern,
    re.DOTALL,
)


def split_html(text: str) -> Iterator[Piece]:
    """The pieces of an HTML text, in order; segment ids are still to be given."""
    place = Place()
    run: list[Token] = []
    for token in html_tokens(text):
        if token.kind != "block":
            run.append(token)
            continue
        yield from run_pieces(run, place)
        run = []
        yield from tag_pieces(token.text)
    yield from run_pieces(run, place)


def html_tokens(text: str) -> Iterator[Token]:
    """The text from left to right; block tags, comments and the like are `block`."""
    done = 0
    unclosed: set[str] = set()  # looked for once; there is no closing tag further on
    while match := _MARKUP.search(text, done):
        if match.start() > done:
            yield Token("text", text[done : match.start()])
        done = match.end()
        name = (match["name"] or "").lower()
        if name in _OPAQUE and not match["slash"] and name not in unclosed:
            if closing := _CLOSING[name].search(text, done):
                done = closing.end()
                kind: Kind = "hidden" if name in INLINE else "block"
                yield Token(kind, text[match.start() : done], name)
                continue
            unclosed.add(name)
        yield Token(_kind(match, name), match[0], name)
    if done < len(text):
        yield Token("text", text[done:])


def _kind(match: re.Match[str], name: str) -> Kind:
    if name not in INLINE:
        return "block"
    if match["slash"]:
        return "close"
    return "void" if name in VOID or match[0].endswith("/>") else "open"
