"""Lessons to translate by the thousand, with the right answers: for the benchmark."""

import statistics
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import orjson

from batches.benchmark.data import Content
from batches.models import Run
from batches.services.collection import collect_run, start_run
from batches.states import Trigger
from translations.lessons.models import Course, Lesson, TextFormat
from translations.models import DraftPart, Translation, TranslationVersion
from translations.quality import Pair, check_pair

LANGUAGES = ("en", "ar")
ITEMS_PER_LESSON = 3 * len(LANGUAGES)  # title, description and body
BODY_SEGMENTS = 12
PAGE = 1_000
CHECKED_CHARACTERS = 500
CHECK_ROUNDS = 30
SAMPLES = Path(__file__).parent / "samples"


def collect_lessons(items: int) -> Run:
    """Make lessons and collect a run of at most so many items, the least being six."""
    course, _ = Course.objects.get_or_create(external_id="benchmark", title="Benchmark")
    texts = list(_samples("en"))
    Lesson.objects.bulk_create(
        [
            Lesson(
                course=course,
                external_id=f"benchmark-{number}",
                title=texts[number % len(texts)],
                description=texts[number * 7 % len(texts)],
                body="".join(
                    f"<p>{texts[(number * 11 + place) % len(texts)]}</p>"
                    for place in range(BODY_SEGMENTS)
                ),
                body_format=TextFormat.HTML,
            )
            for number in range(max(1, items // ITEMS_PER_LESSON))
        ],
        batch_size=PAGE,
    )
    run = start_run(
        "translation",
        {"languages": list(LANGUAGES), "content": [Lesson._meta.label_lower]},
        trigger=Trigger.COMMAND,
        force_refresh=True,  # many of these texts are equal
        canary=False,
    )
    collect_run(run)
    return run


def right_answer(body: str) -> str:
    """What a good translator answers to a request's body."""
    asked = orjson.loads(orjson.loads(body)["messages"][1]["content"])
    samples = _samples(asked["target_language"])
    segments = [
        {"id": segment["id"], "text": samples[segment["text"]]}
        for segment in asked["segments"]
    ]
    return orjson.dumps({"segments": segments, "uncertain": []}).decode()


def check_milliseconds() -> float:
    """The median CPU time of all checks on a text of about 500 characters."""
    spent = []
    for number in range(CHECK_ROUNDS):
        for pair in _long_pairs():  # new ones: a pair keeps what was read of it
            before = time.process_time()
            check_pair(pair)
            if number:  # the first round loads what the checks need
                spent.append(time.process_time() - before)
    return round(1000 * statistics.median(spent), 3)


def _long_pairs() -> Iterator[Pair]:
    for language in LANGUAGES:
        source, target = "", ""
        for one, other in _samples(language).items():
            source, target = f"{source} {one}".strip(), f"{target} {other}".strip()
            if len(target) >= CHECKED_CHARACTERS:
                yield Pair(source, target, "so", language, "html")
                source, target = "", ""


@lru_cache
def _samples(language: str) -> dict[str, str]:
    """{source: translation} of the sample texts that are plain prose.

    Those with a placeholder are left out as well: one of them has a planted fault.
    """
    with (SAMPLES / f"so-{language}.jsonl").open("rb") as file:
        pairs = [orjson.loads(line) for line in file]
    return {
        pair["source"]: pair["target"]
        for pair in pairs
        if not set("<>&*[]{}") & set(pair["source"])
    }


LESSONS = Content(
    workload="translation",
    collect=collect_lessons,
    answer=right_answer,
    results=(Translation, TranslationVersion, DraftPart),
    check=check_milliseconds,
)
