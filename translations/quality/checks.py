"""The checks of a translation, in one table."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from translations.quality import markup, numbers, tokens
from translations.quality.findings import Finding, gettext_noop
from translations.quality.pair import Pair, quoted

Check = Callable[[Pair], Iterable[Finding]]

# A further check is a function in a module of its family, a line here, and its code in
# `findings.ERRORS` or `findings.WARNING_COSTS`.
CHECKS: tuple[Check, ...] = (
    markup.markup_malformed,
    markup.tags,
    tokens.placeholder_mismatch,
    tokens.url_mismatch,
    numbers.numbers,
)


def check_pair(pair: Pair) -> list[Finding]:
    """What the checks find in one segment, or in a whole text."""
    return [
        replace(finding, segment=finding.segment or pair.segment_id)
        for finding in _found(pair)
    ]


def check_segments(
    pairs: Sequence[Pair], answered: Iterable[str] = ()
) -> list[Finding]:
    """What the checks find in the segments of one text, in the order of `pairs`.

    `pairs` has one for each segment that was asked for, with None as target where the
    answer lacks it. `answered` are the ids of the answer as they came, to tell those
    that nobody asked for and those given twice.
    """
    findings = [finding for pair in pairs for finding in check_pair(pair)]
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


def _found(pair: Pair) -> Iterator[Finding]:
    if pair.target is None:
        yield Finding(
            "segments_missing",
            gettext_noop("The answer has no segment %(expected)s."),
            {"expected": quoted([pair.segment_id])},
        )
    elif pair.source.strip() and not pair.target.strip():
        yield Finding("empty", gettext_noop("The translation is empty."))
    else:
        for check in CHECKS:
            yield from check(pair)
