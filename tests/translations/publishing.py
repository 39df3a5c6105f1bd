"""Lessons with translations, stored the way answers are."""

import itertools

from django.contrib.contenttypes.models import ContentType

from batches.workloads import Answer
from translations.judging import Judged, StoredSegment
from translations.lessons.models import Course, Lesson
from translations.models import Translation
from translations.registry import all_registered
from translations.segments import join_pieces, segments_of, source_hash, split_text
from translations.storing import store_judged

numbers = itertools.count(1)
ENTRY = all_registered()[Lesson._meta.label_lower]


def make_lesson(title="Hurdada ilmaha", course="waalidnimo", **given) -> Lesson:
    found, _ = Course.objects.get_or_create(
        external_id=course, defaults={"title": course.title()}
    )
    given.setdefault("external_id", f"lesson-{next(numbers)}")
    return Lesson.objects.create(course=found, title=title, **given)


def answer(lesson, field="title", language="ar", word="نص", *, pretended=False):
    """Store an answer whose every segment is the word and a number; returns its unit.

    TRANSLATION_PUBLISH says whether it is published.
    """
    text = getattr(lesson, field)
    format = ENTRY.format_of(lesson, field)
    pieces = split_text(text, format)
    texts = {s.id: f"{word} {n}" for n, s in enumerate(segments_of(pieces), start=1)}
    judged = Judged(
        field=field,
        language=language,
        source_language="so",
        format=format,
        source_hash=source_hash(text, format),
        part=1,
        parts=1,
        path="",
        text=join_pieces(pieces, texts),
        segments=[
            StoredSegment(id=s.id, source=s.text, text=texts[s.id])
            for s in segments_of(pieces)
        ],
    )
    told = Answer(
        item_id=next(numbers),
        provider="sandbox" if pretended else "openai",
        model="m",
        is_sandbox=pretended,
        text="",
        content_type_id=ContentType.objects.get_for_model(Lesson).pk,
        object_id=str(lesson.pk),
    )
    store_judged([(told, judged)])
    return Translation.objects.select_related("latest", "published").get(
        object_id=str(lesson.pk), field=field, language=language
    )
