"""Marks and blanks: small things that a reader sees all the same."""

import re
from collections.abc import Iterator

from translations.quality.findings import Finding, gettext_noop
from translations.quality.pair import Pair, language, quoted
from translations.scripts import scripts_of

# Marks of other scripts, as those of Latin.
_SAME = {
    **dict.fromkeys("。｡۔।॥։።．᠃", "."),
    **dict.fromkeys("؟？⸮፧՞", "?"),
    **dict.fromkeys("！՜", "!"),
    **dict.fromkeys("：︓፡", ":"),
    **dict.fromkeys("؛；፤", ";"),
    **dict.fromkeys("،，、፣", ","),
}
_MARKS = frozenset(".?!:;,…") | _SAME.keys()
# Written without a full stop.
_NO_STOP = frozenset({"lo", "th", "km", "my", "bo", "dz"})
_CLOSING = " \t\r\n\u00a0\u202f\u200e\u200f\"'”’»›“)]}*_`~›」』）】|"
_LATIN_MARK = re.compile(r"(?<=[\u0620-\u064a\u066e-\u06d3])[\u064b-\u065f]*\s?([?,])")
# Bidi controls, a blank of no width, a byte order mark, what could not be decoded.
_CONTROLS = re.compile(
    r"[\u202a-\u202e\u2066-\u2069\u200b\ufeff\ufffd\x00-\x08\x0b\x0e-\x1f\x7f]"
)


def end_punctuation(pair: Pair) -> Iterator[Finding]:
    source, target = last_mark(pair.source_prose), last_mark(pair.target_prose)
    code = language(pair.target_language)
    if code == "el" and target == ";":  # the Greek question mark
        target = "?"
    if language(pair.source_language) == "el" and source == ";":
        source = "?"
    if (
        source == target
        or not pair.target_prose.strip()
        or not pair.source_prose.strip()
    ):
        return
    if code in _NO_STOP and {source, target} <= {".", ""}:
        return
    end = len((pair.target or "").rstrip(_CLOSING))
    yield Finding(
        "end_punctuation",
        gettext_noop("It ends in %(found)s, and its source in %(expected)s."),
        {
            "found": quoted([target] if target else []),
            "expected": quoted([source] if source else []),
        },
        span=(max(0, end - 1), end),
    )


def arabic_punctuation(pair: Pair) -> Iterator[Finding]:
    """A Latin question mark or comma behind an Arabic letter."""
    target = pair.target or ""
    if "Arab" not in scripts_of(pair.target_language):
        return
    if match := _LATIN_MARK.search(target):
        yield Finding(
            "arabic_punctuation",
            gettext_noop("“%(found)s” stands where Arabic has “%(expected)s”."),
            {"found": match[1], "expected": {"?": "؟", ",": "،"}[match[1]]},
            span=match.span(1),
        )


def whitespace(pair: Pair) -> Iterator[Finding]:
    source, target = pair.source, pair.target or ""
    if _blank_ends(source) != _blank_ends(target):
        yield Finding(
            "whitespace",
            gettext_noop("The blanks at its start or end are not those of the source."),
        )


def control_chars(pair: Pair) -> Iterator[Finding]:
    target = pair.target or ""
    found = _CONTROLS.findall(target)
    if found:
        match = _CONTROLS.search(target)
        yield Finding(
            "control_chars",
            gettext_noop("Invisible characters that do harm: %(found)s."),
            {"found": ", ".join(f"U+{ord(c):04X}" for c in dict.fromkeys(found))},
            span=match.span() if match else None,
        )


def last_mark(prose: str) -> str:
    """The mark that a text ends in, behind quotes and brackets; empty if none."""
    text = prose.rstrip(_CLOSING)
    if text.endswith(("...", "…")):
        return "…"
    last = text[-1:]
    return _SAME.get(last, last) if last in _MARKS else ""


def _blank_ends(text: str) -> tuple[str, str]:
    stripped = text.strip()
    if not stripped:
        return "", ""
    start = text.index(stripped[0])
    return text[:start], text[len(text.rstrip()) :]
