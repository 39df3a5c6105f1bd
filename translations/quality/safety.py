"""Markup that does harm: a browser would run it, or send the reader elsewhere."""

import html
import re
from collections import Counter
from collections.abc import Iterator

import nh3

from translations.quality.findings import Finding, gettext_noop
from translations.quality.pair import Pair, quoted
from translations.segments.html import VOID, html_tokens
from translations.segments.markdown import addresses
from translations.segments.runs import ATTRIBUTE

_SCHEMES = frozenset({"http", "https", "mailto", "tel", "ftp", "sms", "xmpp"})
_SCHEME = re.compile(r"<?\s*([a-z][a-z0-9+.-]*)\s*:", re.IGNORECASE)
_INVISIBLE = re.compile(r"[\x00-\x20\u200b\ufeff]")
_ALLOWED = nh3.Cleaner(
    tags=set(nh3.ALLOWED_TAGS)
    | {"address", "article", "aside", "footer", "header", "main", "mark", "nav"}
    | {"picture", "section", "source", "video", "audio", "track", "label", "u", "s"},
    attributes={
        "*": {"id", "class", "title", "lang", "dir", "role", "style"}
        | {"aria-label", "aria-hidden", "aria-describedby"},
        "a": {"href", "hreflang", "target", "name", "rel", "download"},
        "img": {"src", "alt", "width", "height", "loading", "srcset", "sizes"},
        "source": {"src", "srcset", "type", "media", "sizes"},
        "video": {"src", "controls", "width", "height", "poster"},
        "audio": {"src", "controls"},
        "track": {"src", "kind", "srclang", "label", "default"},
        "td": {"colspan", "rowspan", "headers", "align"},
        "th": {"colspan", "rowspan", "headers", "scope", "align"},
        "col": {"span"},
        "colgroup": {"span"},
        "ol": {"start", "type", "reversed"},
        "li": {"value"},
        "time": {"datetime"},
        "q": {"cite"},
        "blockquote": {"cite"},
        "del": {"cite", "datetime"},
        "ins": {"cite", "datetime"},
        "label": {"for"},
        "table": {"summary"},
    },
    filter_style_properties={
        *("color", "background-color", "text-align", "font-weight", "font-style"),
        *("text-decoration", "direction", "width", "height", "margin", "padding"),
    },
    url_schemes=set(_SCHEMES),
    link_rel=None,
    strip_comments=False,
)


def unsafe_html(pair: Pair) -> Iterator[Finding]:
    """The allow-list takes something out of the target that the source has not."""
    target = pair.target or ""
    added = Counter[str]()
    if pair.format == "markdown" and "](" in target:
        added += Counter(_unsafe_addresses(target))
        added -= Counter(_unsafe_addresses(pair.source))
    if "<" in target and not _is_known(target, pair.source):
        added += Counter(_taken_out(target)) - Counter(_taken_out(pair.source))
    if added:
        yield Finding(
            "unsafe_html",
            gettext_noop("Markup that is not allowed: %(found)s."),
            {"found": quoted(added)},
        )


def _is_known(target: str, source: str) -> bool:
    """Whether every tag is there, to the letter, in the source."""
    rest: list[str] = []
    for token in html_tokens(target):
        if token.kind == "text":
            rest.append(token.text)
        elif token.text not in source:
            return False
    return "<" not in "".join(rest)


def _taken_out(text: str) -> Iterator[str]:
    """Start tags, attributes and text that the allow-list does not let through."""
    if "<" not in text:
        return
    clean = _ALLOWED.clean(text)
    lost = Counter(_parts(text)) - Counter(_parts(clean))
    yield from lost
    if not lost and _visible(text) != _visible(clean):
        yield "<…"  # what a browser reads as the start of a tag


def _parts(text: str) -> Iterator[str]:
    for token in html_tokens(text):
        if token.kind == "text" or token.text.startswith("</"):
            continue
        if not token.name:
            if not token.text.startswith(("<!--", "<!")):
                yield token.text[:20]
            continue
        yield f"<{token.name}>"
        start = token.text.partition(">")[0] if token.name not in VOID else token.text
        for match in ATTRIBUTE.finditer(start, len(token.name) + 1):
            name = match["name"].lower()
            if name == "style":
                value = html.unescape(match["double"] or match["single"] or "")
                yield from ("".join(part.split()) for part in value.split(";") if part)
            elif name not in ("/", ">"):
                yield f"{name}="


def _visible(text: str) -> str:
    shown = "".join(t.text for t in html_tokens(text) if t.kind == "text")
    return "".join(html.unescape(shown).split())


def _unsafe_addresses(text: str) -> Iterator[str]:
    for address in addresses(text):
        match = _SCHEME.match(_INVISIBLE.sub("", html.unescape(address)))
        if match and match[1].lower() not in _SCHEMES:
            yield address
