"""The checks of a summary with its objectives; pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from translations.lessons.findings import LessonFinding
from translations.lessons.summaries.bloom import begins_with, fits, is_vague
from translations.lessons.summaries.prompt import SummaryResult
from translations.lessons.texts import (
    empty_fields,
    general,
    invented_numbers,
    is_quoted,
    overlap,
)
from translations.quality import Finding
from translations.quality.findings import gettext_noop
from translations.quality.pair import language, quoted, shortened, words

FEWEST_WORDS, MOST_WORDS = 40, 120
MOST_SHARE = 0.8  # of the lesson's words, where it has so many
SHARE_FROM_WORDS = 60
MOST_SHORT_CHARACTERS = 200
POINTS, OBJECTIVES = (3, 6), (2, 5)
QUOTE_WORDS = 3
ALIKE = 0.8
GRAM, MOST_COPIED = 8, 0.3
RAREST, LEAST_COVERED = 10, 0.25


def check_summary(
    result: SummaryResult,
    asked: dict[str, Any],
    *,
    wanted: str,
    told_apart: Sequence[str],
) -> list[Finding]:
    """What is wrong with a summary; `asked` is the lesson as the model saw it."""
    source = lesson_of(asked)
    is_same_language = language(wanted) == language(asked["source_language"])
    text = "\n".join([result.summary_short, result.summary, *result.key_points])
    text += "\n" + "\n".join(objective.text for objective in result.objectives)
    quotes = [objective.evidence_quote for objective in result.objectives]
    everything = "\n".join([text, *(q for q in quotes if not is_quoted(q, source))])
    languages = {"source_language": asked["source_language"], "wanted": wanted}
    findings = [
        *empty_fields(
            {
                "summary_short": result.summary_short,
                "summary": result.summary,
                **{f"key_points {n}": p for n, p in enumerate(result.key_points, 1)},
                **{
                    f"objectives {number}": objective.text
                    for number, objective in enumerate(result.objectives, 1)
                },
            }
        ),
        *general(
            text,
            source=source,
            said=result.language,
            told_apart=told_apart,
            **languages,
        ),
        *invented_numbers(everything, source=source, **languages),
        *_counts(result),
        *_lengths(result, source),
        *_objectives(result, source, wanted),
        *_twins(result),
    ]
    if is_same_language:
        findings += _copied(result.summary, source)
        findings += _coverage(text, source)
    return findings


def lesson_of(asked: dict[str, Any]) -> str:
    """All that the lesson says: what quotes and numbers are looked for in."""
    lesson = asked["lesson"]
    return "\n".join([lesson["title"], lesson["description"], lesson["text"]])


def _counts(result: SummaryResult) -> Iterator[Finding]:
    if not result.objectives:
        yield LessonFinding(
            "no_objectives", gettext_noop("It has no objectives."), segment="objectives"
        )
    for name, found, (least, most) in (
        ("key_points", len(result.key_points), POINTS),
        ("objectives", len(result.objectives) or OBJECTIVES[0], OBJECTIVES),
    ):
        if not least <= found <= most:
            yield LessonFinding(
                "counts",
                gettext_noop("There are %(found)s, not %(least)s to %(most)s."),
                {"found": str(found), "least": str(least), "most": str(most)},
                segment=name,
            )


def _lengths(result: SummaryResult, source: str) -> Iterator[Finding]:
    found, of = len(words(result.summary)), len(words(source))
    if not FEWEST_WORDS <= found <= MOST_WORDS or (
        of >= SHARE_FROM_WORDS and found > MOST_SHARE * of
    ):
        yield LessonFinding(
            "length",
            gettext_noop(
                "It has %(found)s words, of a lesson of %(of)s; 40 to 120 are wanted, "
                "and no more than 80 %% of the lesson's."
            ),
            {"found": str(found), "of": str(of)},
            segment="summary",
        )
    if len(result.summary_short) > MOST_SHORT_CHARACTERS:
        yield LessonFinding(
            "length",
            gettext_noop("It has %(found)s characters; at most 200 are wanted."),
            {"found": str(len(result.summary_short))},
            segment="summary_short",
        )


def _objectives(result: SummaryResult, source: str, wanted: str) -> Iterator[Finding]:
    for number, objective in enumerate(result.objectives, 1):
        place = f"objectives {number}"
        quote, verb = objective.evidence_quote, objective.verb
        shown = {"found": shortened(quote)}
        if len(quote.split()) < QUOTE_WORDS or not is_quoted(quote, source):
            yield LessonFinding(
                "evidence_not_in_source",
                gettext_noop(
                    "“%(found)s” is no quote of three words or more from the lesson."
                ),
                shown,
                segment=place,
            )
        if is_vague(verb, wanted) or is_vague(objective.text, wanted):
            yield LessonFinding(
                "vague_objective_verb",
                gettext_noop("Nobody can observe “%(verb)s”."),
                {"verb": shortened(verb)},
                segment=place,
            )
        elif not fits(verb, objective.bloom_level, wanted):
            yield LessonFinding(
                "bloom_mismatch",
                gettext_noop("“%(verb)s” is no verb of the level %(level)s."),
                {"verb": shortened(verb), "level": objective.bloom_level},
                segment=place,
            )
        if not begins_with(objective.text, verb, wanted):
            yield LessonFinding(
                "verb_not_first",
                gettext_noop("It does not begin with “%(verb)s”."),
                {"verb": shortened(verb)},
                segment=place,
            )


def _twins(result: SummaryResult) -> Iterator[Finding]:
    objectives = [objective.text for objective in result.objectives]
    for code, name, texts in (
        ("duplicate_objective", "objectives", objectives),
        ("duplicate_point", "key_points", result.key_points),
    ):
        for one, other in combinations(texts, 2):
            if overlap(words(one), words(other)) >= ALIKE:
                yield LessonFinding(
                    code,
                    gettext_noop("Two say the same: %(found)s."),
                    {"found": quoted([shortened(one), shortened(other)])},
                    segment=name,
                )
                break


def _copied(summary: str, source: str) -> Iterator[Finding]:
    grams, known = _grams(summary), set(_grams(source))
    copied = sum(gram in known for gram in grams)
    if grams and copied > MOST_COPIED * len(grams):
        yield LessonFinding(
            "copied",
            gettext_noop("%(share)s %% of it is copied from the lesson."),
            {"share": str(copied * 100 // len(grams))},
            segment="summary",
        )


def _grams(text: str) -> list[tuple[str, ...]]:
    found = words(text)
    return list(zip(*(found[start:] for start in range(GRAM)), strict=False))


def _coverage(text: str, source: str) -> Iterator[Finding]:
    """Words that a lesson says again, but not all the time, are its subject."""
    counted = Counter(words(source))
    repeated = [word for word, times in counted.items() if times > 1 and len(word) > 1]
    rarest = sorted(repeated, key=lambda word: (counted[word], word))[:RAREST]
    there = set(words(text))
    covered = sum(word in there for word in rarest)
    if rarest and covered < LEAST_COVERED * len(rarest):
        yield LessonFinding(
            "low_coverage",
            gettext_noop("It leaves out what the lesson speaks of: %(missing)s."),
            {"missing": quoted(word for word in rarest if word not in there)},
        )
