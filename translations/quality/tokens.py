"""Placeholders, addresses and e-mail: they come back as they were."""

import html
import re
from collections.abc import Iterator

from translations.quality.findings import Finding, gettext_noop
from translations.quality.pair import Pair, lost_and_added, quoted
from translations.segments.html import html_tokens
from translations.segments.markdown import addresses, without_addresses
from translations.segments.runs import (
    ATTRIBUTE,
    EMAIL,
    MAY_HAVE_URL,
    PLACEHOLDER,
    URL,
)

_POSITION = re.compile(r"\A%\d+\$")
_AFTER_ADDRESS = ".,;:!?)]}'…،؛؟。*_"


def placeholder_mismatch(pair: Pair) -> Iterator[Finding]:
    source = _placeholders(pair.source)
    target = _placeholders(pair.target or "")
    lost, added = lost_and_added(source, target)
    if lost or added:
        yield Finding(
            "placeholder_mismatch",
            gettext_noop("Placeholders differ: lost %(lost)s, added %(added)s."),
            {"lost": quoted(lost), "added": quoted(added)},
            span=_span(pair.target or "", added),
        )


def _placeholders(text: str) -> list[str]:
    """Those of a text; `%2$s`, which may stand anywhere, is `%s`."""
    if "{" not in text and "%" not in text and "⟦" not in text:
        return []
    return [_POSITION.sub("%", found) for found in PLACEHOLDER.findall(text)]


def url_mismatch(pair: Pair) -> Iterator[Finding]:
    lost, added = lost_and_added(
        _addresses(pair.source, pair.format),
        _addresses(pair.target or "", pair.format),
    )
    if lost or added:
        yield Finding(
            "url_mismatch",
            gettext_noop("Addresses differ: lost %(lost)s, added %(added)s."),
            {"lost": quoted(lost), "added": quoted(added)},
            span=_span(pair.target or "", added),
        )


def _addresses(text: str, format: str) -> Iterator[str]:
    if format == "markdown":
        yield from addresses(text)
        text = without_addresses(text)
    if format != "text" and "<" in text:
        words: list[str] = []
        for token in html_tokens(text):
            if token.kind == "text":
                words.append(token.text)
                continue
            words.append(" ")
            for match in ATTRIBUTE.finditer(token.text):
                if match["name"].lower() in ("href", "src"):
                    value = match[0].partition("=")[2].strip().strip("\"'")
                    yield html.unescape(value)
        text = "".join(words)
    if MAY_HAVE_URL.search(text):
        for match in URL.finditer(text):
            yield match[0].rstrip(_AFTER_ADDRESS)
    if "@" in text:
        yield from EMAIL.findall(URL.sub(" ", text))


def _span(text: str, added: list[str]) -> tuple[int, int] | None:
    if not added or (match := re.search(re.escape(added[0]), text)) is None:
        return None
    return match.span()
