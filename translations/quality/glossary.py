"""The glossary: its terms are used, and its forbidden ones are not."""

from collections.abc import Iterator

from translations.quality.findings import Finding, gettext_noop
from translations.quality.pair import Pair, language, quoted
from translations.quality.terms import Term, folded, occurs, pattern_of

PREFERRED_COST = 5


def glossary(pair: Pair) -> Iterator[Finding]:
    """glossary_missing and glossary_forbidden, for the terms that the source has."""
    if not pair.background.terms:
        return
    origin, to = language(pair.source_language), language(pair.target_language)
    source = folded(pair.source_prose, origin)
    target = folded(pair.target_prose, to)
    for term in pair.background.terms:
        if not term.is_for(pair.source_language, pair.target_language):
            continue
        if term.source_forms and not occurs(term.source_forms, origin, source):
            continue
        yield from _missing(term, target, to)
        yield from _forbidden(term, pair, target, to)


def kept_terms(pair: Pair) -> list[Term]:
    """Terms that stay as they are, in any language."""
    return [
        term
        for term in pair.background.terms
        if term.rule == "keep"
        and term.is_for(pair.source_language, pair.target_language)
    ]


def without_kept(text: str, pair: Pair) -> str:
    """The text without the terms that stay as they are."""
    for term in kept_terms(pair):
        for form in sorted(term.source_forms, key=len, reverse=True):
            text = pattern_of((form,), "").sub(" ", text.lower())
    return text


def _missing(term: Term, target: str, to: str) -> Iterator[Finding]:
    # What is kept stands there as it does in the source, also in Arabic.
    wanted = term.source_forms if term.rule == "keep" else term.preferred
    if not wanted or occurs(wanted, to, target):
        return
    if term.rule == "keep" and term.preferred and occurs(term.preferred, to, target):
        return
    yield Finding(
        "glossary_missing",
        gettext_noop("The glossary has “%(term)s” as %(expected)s."),
        {"term": term.name, "expected": quoted(wanted)},
        points=PREFERRED_COST if term.rule == "preferred" else None,
    )


def _forbidden(term: Term, pair: Pair, target: str, to: str) -> Iterator[Finding]:
    if not term.forbidden or not occurs(term.forbidden, to, target):
        return
    if term.preferred:  # a forbidden word may be part of a preferred term
        target = pattern_of(term.preferred, to).sub(" ", target)
    match = pattern_of(term.forbidden, to).search(target)
    if match is None:
        return
    start = folded(pair.target or "", to).find(match[0])
    # Where Arabic marks were taken off, positions are not those of the text.
    is_true = start >= 0 and len(folded(pair.target or "", to)) == len(
        pair.target or ""
    )
    yield Finding(
        "glossary_forbidden",
        gettext_noop(
            "The glossary forbids “%(found)s” for “%(term)s”: use %(expected)s."
        ),
        {
            "found": match[0],
            "term": term.name,
            "expected": quoted(term.preferred),
        },
        span=(start, start + len(match[0])) if is_true else None,
    )
