"""The checks of a question: of its writing, and of what became of it; pure.

`check_writing` also holds for a question as a person wrote it.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from translations.lessons.findings import LessonFinding
from translations.lessons.quizzes.prompt import QuizResult
from translations.lessons.texts import (
    empty_fields,
    general,
    is_quoted,
    likeness,
    plain,
    substance,
)
from translations.quality import Finding
from translations.quality.findings import gettext_noop
from translations.quality.pair import letters, quoted, shortened, words

ALL_OR_NONE = (
    *("all of the above", "none of the above", "dhammaan kuwa", "kuwa kor ku xusan"),
    *("جميع ما سبق", "لا شيء مما سبق"),
)
_NEGATIVE = re.compile(
    r"\b(?:not|except|never|aan (?:fiicnayn|ahayn)|ma aha|ليس|عدا)\b", re.IGNORECASE
)
_BOLD = re.compile(r"\*\*.+?\*\*|__.+?__|<(b|strong)\b.*?</\1>", re.DOTALL)
_RANGE = re.compile(r"(\d+(?:[.,]\d+)?)\s*[-–—]\s*(\d+(?:[.,]\d+)?)")
# Two options that are all there can be.
TRUE_FALSE = frozenset(
    {
        *("true", "false", "yes", "no", "haa", "maya", "run", "been"),
        *("صح", "خطأ", "نعم", "لا"),
    }
)
OPTIONS = (3, 5)
CUE_TIMES, CUE_LETTERS = 1.5, 10
UNEVEN_FROM, UNEVEN_TIMES = 20, 3
EXPLANATION_WORDS = 4
STEM_SHARE, STEM_SHARE_OF_OTHERS = 0.6, 0.3
CONTENT_LETTERS = 4  # shorter words are mostly grammar
BIAS_FROM, BIAS_SHARE = 8, 0.5
SAME_OPTION = 0.3
# Rewording within this is no change of substance; who reviews sees it in the diff.
SAME_SUBSTANCE = 0.6


def check_question(
    result: QuizResult, asked: dict[str, Any], *, told_apart: Sequence[str]
) -> list[Finding]:
    """What is wrong with an improved question; `asked` is what the model was given."""
    options = [option.text for option in result.options]
    keys = [at for at, option in enumerate(result.options) if option.is_correct]
    texts = {f"options {option.id}": option.text for option in result.options}
    return [
        *empty_fields({"question": result.question, **texts}),
        *general(
            "\n".join([result.question, result.explanation]),
            source="\n".join([asked["question"], asked["explanation"]]),
            source_language=asked["language"],
            wanted=asked["language"],
            said=result.language,
            told_apart=told_apart,
        ),
        *_structure(result, asked),
        *_key(result, asked),
        *check_writing(
            result.question,
            options,
            keys[0] if len(keys) == 1 else None,
            result.explanation,
        ),
        *_evidence(result, asked),
        *_position(asked),
        *_silent(result, asked),
    ]


def check_writing(
    question: str, options: Sequence[str], key: int | None, explanation: str
) -> Iterator[Finding]:
    """What is wrong with a question as it is written; `key` None where unclear."""
    plainest = [substance(option) or plain(option) for option in options]
    twins = [text for text, times in Counter(plainest).items() if times > 1]
    if twins:
        yield LessonFinding(
            "duplicate_options",
            gettext_noop("Options say the same: %(found)s."),
            {"found": quoted(map(shortened, twins))},
            segment="options",
        )
    yield from _overlapping(options)
    all_or_none = [at for at, option in enumerate(options) if _is_all_or_none(option)]
    if all_or_none:
        yield LessonFinding(
            "all_or_none_of_above",
            gettext_noop("“%(found)s” tells more about the question than the lesson."),
            {"found": shortened(options[all_or_none[0]])},
            segment="options",
        )
    yield from _negative(question)
    if key is not None and key not in all_or_none:
        yield from _length_cue(options, key)
    counts = sorted(letters(option) for option in options)
    if counts and counts[-1] >= UNEVEN_FROM and counts[-1] > UNEVEN_TIMES * counts[0]:
        yield LessonFinding(
            "options_uneven",
            gettext_noop("The longest option has %(long)s letters, another %(short)s."),
            {"long": str(counts[-1]), "short": str(counts[0])},
            segment="options",
        )
    is_true_false = {plain(option) for option in options} <= TRUE_FALSE
    if not OPTIONS[0] <= len(options) <= OPTIONS[1] and not (
        len(options) == 2 and is_true_false
    ):
        yield LessonFinding(
            "option_count",
            gettext_noop("There are %(found)s options; 3 to 5 are best."),
            {"found": str(len(options))},
            segment="options",
        )
    if len(words(explanation)) < EXPLANATION_WORDS:
        yield LessonFinding(
            "missing_explanation",
            gettext_noop("There is no explanation of four words or more."),
            segment="explanation",
        )
    if key is not None:
        yield from _answer_in_stem(question, options, key)


def _structure(result: QuizResult, asked: dict[str, Any]) -> Iterator[Finding]:
    wanted = Counter(option["id"] for option in asked["options"])
    found = Counter(option.id for option in result.options)
    if wanted != found:
        lost, added = wanted - found, found - wanted
        yield LessonFinding(
            "options_lost",
            gettext_noop("Options differ: lost %(lost)s, extra %(added)s."),
            {"lost": quoted(lost.elements()), "added": quoted(added.elements())},
            segment="options",
        )
    marked = sum(option.is_correct for option in result.options)
    if marked != 1:
        yield LessonFinding(
            "no_key",
            gettext_noop("%(found)s options are marked as right; one must be."),
            {"found": str(marked)},
            segment="options",
        )


def _key(result: QuizResult, asked: dict[str, Any]) -> Iterator[Finding]:
    marked = {option.id for option in result.options if option.is_correct}
    if result.key_disputed:
        yield LessonFinding(
            "key_disputed",
            gettext_noop(
                "The model thinks that another option than “%(key)s” is right. Look at "
                "its reasons; the key is changed in the question alone, by you."
            ),
            {"key": ", ".join(asked["correct_ids"])},
            segment="options",
        )
    elif marked and marked != set(asked["correct_ids"]):
        yield LessonFinding(
            "key_changed",
            gettext_noop("It marks “%(found)s” as right; the key is “%(key)s”."),
            {
                "found": ", ".join(sorted(marked)),
                "key": ", ".join(asked["correct_ids"]),
            },
            segment="options",
        )
    elif found := _swapped(result, asked):
        yield LessonFinding(
            "key_changed",
            gettext_noop(
                "What was the right option stands under another letter: “%(found)s”."
            ),
            {"found": shortened(found)},
            segment="options",
        )


def _swapped(result: QuizResult, asked: dict[str, Any]) -> str:
    """The wrong option that is more like the old right one than its successor is."""
    old = {option["id"]: option["text"] for option in asked["options"]}
    new = {option.id: option.text for option in result.options}
    for key in asked["correct_ids"]:
        if key not in new:
            continue
        kept = likeness(old[key], new[key])
        if kept >= SAME_OPTION:
            continue
        for other, text in new.items():
            if other != key and likeness(old[key], text) > kept:
                return text
    return ""


def _overlapping(options: Sequence[str]) -> Iterator[Finding]:
    ranges = []
    for option in options:
        if (found := _RANGE.search(option)) is not None:
            ends = sorted(float(end.replace(",", ".")) for end in found.groups())
            ranges.append((ends[0], ends[1], option))
    for (low, high, one), (low2, high2, other) in combinations(ranges, 2):
        if one != other and min(high, high2) > max(low, low2):
            yield LessonFinding(
                "overlapping_options",
                gettext_noop("Options overlap: %(found)s."),
                {"found": quoted([shortened(one), shortened(other)])},
                segment="options",
            )
            return


def _is_all_or_none(option: str) -> bool:
    return any(phrase in plain(option) for phrase in ALL_OR_NONE)


def _negative(question: str) -> Iterator[Finding]:
    unmarked = _BOLD.sub(" ", question)
    for match in _NEGATIVE.finditer(unmarked):
        if match[0].upper() == match[0] != match[0].lower():
            continue  # in capitals
        yield LessonFinding(
            "negative_stem",
            gettext_noop("“%(found)s” is easily read over; write it in capitals."),
            {"found": match[0]},
            segment="question",
        )
        return


def _length_cue(options: Sequence[str], key: int) -> Iterator[Finding]:
    right = letters(options[key])
    longest = max((letters(o) for at, o in enumerate(options) if at != key), default=0)
    if right >= CUE_TIMES * longest and right >= longest + CUE_LETTERS:
        yield LessonFinding(
            "length_cue",
            gettext_noop("The right option is by far the longest."),
            segment="options",
        )


def _answer_in_stem(
    question: str, options: Sequence[str], key: int
) -> Iterator[Finding]:
    stem = set(words(question))
    shares = [_share(option, stem) for option in options]
    others = [share for at, share in enumerate(shares) if at != key]
    if shares[key] >= STEM_SHARE and max(others, default=0) < STEM_SHARE_OF_OTHERS:
        yield LessonFinding(
            "answer_in_stem",
            gettext_noop("The question has the words of its right option alone."),
            segment="question",
        )


def _share(option: str, stem: set[str]) -> float:
    found = [word for word in words(option) if len(word) >= CONTENT_LETTERS]
    return sum(word in stem for word in found) / len(found) if found else 0.0


def _evidence(result: QuizResult, asked: dict[str, Any]) -> Iterator[Finding]:
    quote = result.evidence_quote
    if quote is None:
        yield LessonFinding(
            "not_in_lesson",
            gettext_noop("The lesson does not say which option is right."),
            segment="evidence_quote",
        )
        return
    lesson = asked["lesson"]
    text = "\n".join([lesson["title"], lesson["description"], lesson["text"]])
    if not is_quoted(quote, text):
        yield LessonFinding(
            "evidence_not_in_source",
            gettext_noop("“%(found)s” is no quote from the lesson."),
            {"found": shortened(quote)},
            segment="evidence_quote",
        )


def _position(asked: dict[str, Any]) -> Iterator[Finding]:
    """More than half of a quiz's keys in one place, and this one with them."""
    keys = Counter(asked["keys_of_quiz"])
    key = asked["correct_ids"][0]
    if keys.total() >= BIAS_FROM and keys[key] > BIAS_SHARE * keys.total():
        yield LessonFinding(
            "position_bias",
            gettext_noop("In %(found)s of %(all)s questions “%(key)s” is right."),
            {"found": str(keys[key]), "all": str(keys.total()), "key": key},
        )


def _silent(result: QuizResult, asked: dict[str, Any]) -> Iterator[Finding]:
    named = {change.field for change in result.changes}
    old = {option["id"]: option["text"] for option in asked["options"]}
    options = [(old.get(o.id, ""), o.text) for o in result.options]
    for field, pairs in (
        ("question", [(asked["question"], result.question)]),
        ("options", options),
        ("explanation", [(asked["explanation"], result.explanation)]),
    ):
        if field in named or all(likeness(*pair) >= SAME_SUBSTANCE for pair in pairs):
            continue
        yield LessonFinding(
            "silent_change",
            gettext_noop("It was changed, and no reason is given."),
            segment=field,
        )
