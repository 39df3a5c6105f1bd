"""Faults put into good translations, kind by kind: what the checks must find.

Prints how many of each kind they do:

    python -m tests.translations.seeded_faults
"""

import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from tests.translations.catalogues import catalogue_pairs, is_long, measured_pairs
from translations.quality import Pair, check_pair
from translations.segments.runs import PLACEHOLDER

SAMPLES = Path(__file__).parents[2] / "translations" / "lessons" / "samples"
PER_KIND = 120  # where there is so much to make them of
LOST = {"untranslated", "partly_untranslated"}
PREFACES = (
    "Here is the translation: ",
    "Sure, here you go: ",
    "Translation: ",
    "Here's the translated text:\n",
    "As an AI language model, I translate this as ",
    "إليك الترجمة: ",
    "الترجمة: ",
    "Voici la traduction : ",
    "Hier ist die Übersetzung: ",
)
SCRIPTS = (
    "<script>alert(1)</script>",
    '<img src="x" onerror="alert(1)">',
    "<svg/onload=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    '<iframe src="https://a.example"></iframe>',
)

Kind = Callable[[random.Random, list[Pair]], Iterator[Pair]]


@lru_cache
def good_pairs() -> list[Pair]:
    """Long entries of catalogues, and the segments of the shipped lessons."""
    pairs = [pair for pair in measured_pairs() if is_long(pair)]
    for path in sorted(SAMPLES.glob("so-*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            pair = Pair(**row, format="html")
            if len(pair.source.split()) >= 6 and not check_pair(pair):
                pairs.append(pair)
    return pairs


def number(rng: random.Random, pairs: list[Pair]) -> Iterator[Pair]:
    for pair in pairs:
        if match := re.search(r"(?<![\w%{.])\d+(?![\w}.])", pair.target):
            wrong = str(int(match[0]) + rng.randint(13, 40))
            yield _put(pair, match, wrong)
        else:
            right = rng.randint(13, 99)
            yield replace(
                pair,
                source=f"{right}: {pair.source}",
                target=f"{right + rng.randint(1, 9)}: {pair.target}",
            )


def placeholder(rng: random.Random, pairs: list[Pair]) -> Iterator[Pair]:
    for pair in pairs:
        if not PLACEHOLDER.search(pair.target):
            pair = replace(
                pair,
                source=f"{{name}}: {pair.source}",
                target=f"{{name}}: {pair.target}",
            )
        match = PLACEHOLDER.search(pair.target)
        instead = rng.choice(["", "{magac}", match[0] * 2])
        yield _put(pair, match, instead)


def tag(rng: random.Random, pairs: list[Pair]) -> Iterator[Pair]:
    for pair in pairs:
        marked = f"<strong>{pair.target}</strong>"
        wrong = rng.choice(
            [
                pair.target,
                marked.removesuffix("</strong>"),
                marked.replace("strong", "em"),
                f"<p>{marked}</p>",
            ]
        )
        source = f"<strong>{pair.source}</strong>"
        yield replace(pair, source=source, target=wrong, format="html")


def url(rng: random.Random, pairs: list[Pair]) -> Iterator[Pair]:
    for pair in pairs:
        right = f"https://academy.example/so/{rng.randint(1, 99)}"
        wrong = rng.choice([right.replace("/so/", "/en/"), right + "x", "/home"])
        if rng.random() < 0.5:
            yield replace(
                pair, source=f"{pair.source} {right}", target=f"{pair.target} {wrong}"
            )
        else:
            yield replace(
                pair,
                source=f'<a href="{right}">{pair.source}</a>',
                target=f'<a href="{wrong}">{pair.target}</a>',
                format="html",
            )


def wrong_language(rng: random.Random, pairs: list[Pair]) -> Iterator[Pair]:
    """A translation into another language, in the same script."""
    for group in _by_source(pairs):
        latin = [pair for pair in group if pair.target_language in ("de", "es", "fr")]
        for pair in latin:
            others = [other for other in latin if other is not pair]
            if others and len(pair.target_words) >= 8:
                other = rng.choice(others)
                if len(other.target_words) >= 8:
                    yield replace(pair, target=other.target)


def wrong_script(rng: random.Random, pairs: list[Pair]) -> Iterator[Pair]:
    for group in _by_source(pairs):
        arabic = [pair for pair in group if pair.target_language == "ar"]
        for pair in group:
            if pair.target_language != "ar" and arabic:
                yield replace(pair, target=arabic[0].target)
                yield replace(arabic[0], target=pair.target)


def untranslated(rng: random.Random, pairs: list[Pair]) -> Iterator[Pair]:
    for pair in pairs:
        yield replace(pair, target=pair.source)


def half_untranslated(rng: random.Random, pairs: list[Pair]) -> Iterator[Pair]:
    """Two texts side by side, of which one stays in the source's language."""
    of_language = defaultdict(list)
    for pair in pairs:
        if not pair.target.rstrip().endswith((":", ",")):
            of_language[pair.source_language, pair.target_language].append(pair)
    for group in of_language.values():
        for one, two in zip(group, group[1:], strict=False):
            halves = [f"{one.target.strip()}\n", two.source.strip()]
            yield replace(
                one,
                source=f"{one.source.strip()}\n{two.source.strip()}",
                target="".join(halves),
            )


def loop(rng: random.Random, pairs: list[Pair]) -> Iterator[Pair]:
    for pair in pairs:
        words = pair.target.split()
        size = rng.choice([1, 2, 3])
        times = rng.randint(4, 12)
        tail = " ".join(words[-size:])
        if len(re.findall(r"[^\W\d_]+", tail)) == size:
            yield replace(pair, target=" ".join(words + [tail] * times))


def meta_text(rng: random.Random, pairs: list[Pair]) -> Iterator[Pair]:
    for pair in pairs:
        yield replace(pair, target=rng.choice(PREFACES) + pair.target)


def script(rng: random.Random, pairs: list[Pair]) -> Iterator[Pair]:
    for pair in pairs:
        bad = rng.choice(SCRIPTS)
        yield replace(
            pair, target=f"{pair.target} {bad}", format=rng.choice(["html", "text"])
        )


# Each kind, and the codes of which one must be found.
KINDS: dict[str, tuple[Kind, set[str]]] = {
    "number": (number, {"number_mismatch"}),
    "placeholder": (placeholder, {"placeholder_mismatch"}),
    "tag": (tag, {"tags_mismatch", "markup_malformed"}),
    "url": (url, {"url_mismatch"}),
    "wrong_language": (wrong_language, {"wrong_language"}),
    "wrong_script": (wrong_script, {"wrong_script"}),
    "untranslated": (untranslated, {"untranslated"}),
    "half_untranslated": (half_untranslated, LOST),
    "loop": (loop, {"repetition_loop"}),
    "meta_text": (meta_text, {"meta_text"}),
    "script": (script, {"unsafe_html"}),
}


def seeded(kind: str) -> list[Pair]:
    """At most PER_KIND faulty pairs, the same ones each time."""
    rng = random.Random(kind)  # noqa: S311 (no secret)
    pairs = good_pairs()
    if kind in ("wrong_language", "wrong_script"):
        pairs = [p for p in catalogue_pairs(tuned_on=False) if is_long(p)]
    shuffled = rng.sample(pairs, len(pairs))
    return list(KINDS[kind][0](rng, shuffled))[:PER_KIND]


def missed(kind: str, pairs: list[Pair]) -> list[Pair]:
    wanted = KINDS[kind][1]
    return [
        pair
        for pair in pairs
        if wanted.isdisjoint(finding.code for finding in check_pair(pair))
    ]


def _put(pair: Pair, match: re.Match[str], instead: str) -> Pair:
    start, end = match.span()
    return replace(pair, target=pair.target[:start] + instead + pair.target[end:])


def _by_source(pairs: list[Pair]) -> list[list[Pair]]:
    groups = defaultdict(list)
    for pair in pairs:
        groups[pair.source].append(pair)
    return list(groups.values())


if __name__ == "__main__":
    for kind in KINDS:
        pairs = seeded(kind)
        lost = missed(kind, pairs)
        sys.stdout.write(f"{kind:18} {len(pairs) - len(lost):4} of {len(pairs)}\n")
        for pair in lost[: int(sys.argv[1]) if len(sys.argv) > 1 else 0]:
            sys.stdout.write(
                f"    {pair.target_language} {pair.source!r} {pair.target!r}\n"
            )
