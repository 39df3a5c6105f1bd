"""Tags and Markdown marks: the translation must have those of the source."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token as Mark

from translations.quality.findings import Finding, gettext_noop
from translations.quality.pair import Pair, lost_and_added, quoted
from translations.segments.html import VOID, html_tokens
from translations.segments.runs import Token

_MARKDOWN = MarkdownIt("commonmark").enable("table")
# Without any of these a text is one paragraph, and parsing it tells nothing.
_MARK = re.compile(r"[*_`\[\]<>#|~=\\]|^\s*(?:[-+]|\d+[.)])|^ {4}|\n", re.MULTILINE)
_ID = re.compile(r"""\sid\s*=\s*["']?([^\s"'/>]+)""")
_UNSAID = frozenset({"text", "softbreak", "inline"})


def markup_malformed(pair: Pair) -> Iterator[Finding]:
    """A strict stack over the target's tags has a leftover that the source has not."""
    if pair.format == "text" or "<" not in (pair.target or ""):
        return
    leftover = _leftover(_html_of(pair.target or "", pair.format))
    if leftover and Counter(leftover) != Counter(
        _leftover(_html_of(pair.source, pair.format))
    ):
        yield Finding(
            "markup_malformed",
            gettext_noop("Tags are not closed, or not in order: %(tags)s."),
            {"tags": quoted(leftover)},
        )


def tags(pair: Pair) -> Iterator[Finding]:
    """The same tags as the source, as often (tags_mismatch), in its order (tags_order).

    Attributes are not compared, except `id`, by which a segment's tags are put back.
    For Markdown the rendered tokens count, so that marks without effect are seen.
    """
    source = signature(pair.source, pair.format)
    target = signature(pair.target or "", pair.format)
    if source == target:
        return
    lost, added = lost_and_added(source, target)
    if lost or added:
        yield Finding(
            "tags_mismatch",
            gettext_noop("Marks differ: lost %(lost)s, added %(added)s."),
            {"lost": quoted(lost), "added": quoted(added)},
        )
    else:
        yield Finding(
            "tags_order",
            gettext_noop("Marks stand in another order: %(found)s, not %(expected)s."),
            {"found": quoted(target), "expected": quoted(source)},
        )


def signature(text: str, format: str) -> list[str]:
    """The marks of a text in order, in words that a person can read."""
    if format != "markdown":
        return list(_tags_of(html_tokens(text))) if "<" in text else []
    if not _MARK.search(text):
        return ["paragraph", "end of paragraph"]
    return [word for mark in _MARKDOWN.parse(text) for word in _words(mark)]


def _words(mark: Mark) -> Iterator[str]:
    if mark.type == "inline":
        for child in mark.children or ():
            yield from _words(child)
    elif mark.type in ("html_inline", "html_block"):
        yield from _tags_of(html_tokens(mark.content))
    elif mark.type == "image":
        yield "image"
    elif mark.type in ("code_inline", "code_block", "fence"):
        yield f"code {mark.content}"
    elif mark.type.endswith("_open"):
        name = mark.type.removesuffix("_open").replace("_", " ")
        yield f"{name} {mark.tag[1:]}" if name == "heading" else name
    elif mark.type.endswith("_close"):
        yield f"end of {mark.type.removesuffix('_close').replace('_', ' ')}"
    elif mark.type not in _UNSAID:
        yield mark.type


def _tags_of(tokens: Iterable[Token]) -> Iterator[str]:
    for token in tokens:
        if token.kind == "text" or not token.name:
            continue
        if token.text.startswith("</"):
            yield f"</{token.name}>"
        elif not token.text.endswith("/>") and token.text.find("</") > 0:
            yield token.text  # an element taken whole: its code must be the same
        elif found := _ID.search(token.text):
            yield f"<{token.name} id={found[1]}>"
        else:
            yield f"<{token.name}>"


def _html_of(text: str, format: str) -> str:
    if format != "markdown":
        return text
    found: list[str] = []
    for mark in _MARKDOWN.parse(text):
        for part in [mark, *(mark.children or ())]:
            if part.type in ("html_inline", "html_block"):
                found.append(part.content)
    return "".join(found)


def _leftover(text: str) -> list[str]:
    """Tags that a strict open and close stack cannot match."""
    stack: list[str] = []
    wrong: list[str] = []
    for token in html_tokens(text):
        whole = token.text.endswith("/>") or token.text.find("</") > 0
        if token.kind == "text" or not token.name or token.name in VOID or whole:
            continue
        if not token.text.startswith("</"):
            stack.append(token.name)
        elif token.name in stack:
            while (name := stack.pop()) != token.name:
                wrong.append(f"<{name}>")
        else:
            wrong.append(f"</{token.name}>")
    return wrong + [f"<{name}>" for name in stack]
