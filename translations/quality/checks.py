"""The checks of a translation, in one table."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from translations.quality import (
    consistency,
    copying,
    glossary,
    language,
    lengths,
    markup,
    numbers,
    preface,
    punctuation,
    repetition,
    safety,
    scripts,
    tokens,
)
from translations.quality.findings import Finding, gettext_noop
from translations.quality.pair import Pair, quoted

Check = Callable[[Pair], Iterable[Finding]]

# A further check is a function in a module of its family, a line here, and its code in
# `findings.ERRORS` or `findings.WARNING_COSTS`. These hold for any answer:
STRUCTURE: tuple[Check, ...] = (
    markup.markup_malformed,
    markup.tags,
    safety.unsafe_html,
    tokens.placeholder_mismatch,
    tokens.url_mismatch,
    numbers.numbers,
    lengths.too_long,
    punctuation.control_chars,
)
# What only a text can be held to that means to be a translation.
LANGUAGE: tuple[Check, ...] = (
    scripts.scripts,
    language.wrong_language,
    copying.untranslated,
    lengths.length,
    repetition.repetition_loop,
    repetition.doubled_word,
    preface.meta_text,
    glossary.glossary,
    consistency.inconsistent,
    punctuation.end_punctuation,
    punctuation.arabic_punctuation,
    punctuation.whitespace,
)
CHECKS = STRUCTURE + LANGUAGE


# What STRUCTURE finds, and what is found before any check.
_OF_STRUCTURE = frozenset(
    {
        *("segments_missing", "empty", "markup_malformed", "tags_mismatch"),
        *("tags_order", "unsafe_html", "placeholder_mismatch", "url_mismatch"),
        *("number_mismatch", "number_extra", "too_long", "control_chars"),
    }
)


def is_of_structure(finding: Finding) -> bool:
    """Whether a check of STRUCTURE found it: it holds for any answer."""
    return finding.code in _OF_STRUCTURE


def check_pair(pair: Pair, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """What the checks find in one segment, or in a whole text."""
    return _check(pair, checks) + _unchecked([pair], checks)


def check_segments(
    pairs: Sequence[Pair],
    answered: Iterable[str] = (),
    checks: Sequence[Check] = CHECKS,
) -> list[Finding]:
    """What the checks find in the segments of one text, in the order of `pairs`.

    `pairs` has one for each segment that was asked for, with None as target where the
    answer lacks it. `answered` are the ids of the answer as they came, to tell those
    that nobody asked for and those given twice.
    """
    findings = [finding for pair in pairs for finding in _check(pair, checks)]
    findings += _unchecked(pairs, checks)
    asked = {pair.segment_id for pair in pairs}
    seen: set[str] = set()
    odd: list[str] = []
    for segment_id in answered:
        if segment_id in seen or segment_id not in asked:
            odd.append(segment_id)
        seen.add(segment_id)
    if odd:
        findings.append(
            Finding(
                "segments_missing",
                gettext_noop("The answer has segments twice or unasked: %(found)s."),
                {"found": quoted(odd)},
            )
        )
    return findings


def _check(pair: Pair, checks: Sequence[Check]) -> list[Finding]:
    return [
        replace(finding, segment=finding.segment or pair.segment_id)
        for finding in _found(pair, checks)
    ]


def _unchecked(pairs: Sequence[Pair], checks: Sequence[Check]) -> list[Finding]:
    if language.wrong_language not in checks:
        return []
    return list(language.language_unchecked(pairs))


def _found(pair: Pair, checks: Sequence[Check]) -> Iterator[Finding]:
    if pair.target is None:
        yield Finding(
            "segments_missing",
            gettext_noop("The answer has no segment %(expected)s."),
            {"expected": quoted([pair.segment_id])},
        )
    elif pair.source.strip() and not pair.target.strip():
        yield Finding("empty", gettext_noop("The translation is empty."))
    else:
        for check in checks:
            yield from check(pair)
