"""What there is of each text in each language, counted."""

import pytest
from django.contrib.contenttypes.models import ContentType
from django.utils import timezone

from batches.models import BatchItem, OpenItem, Run
from batches.states import ItemStatus, Trigger
from tests.gallery.models import Photo
from tests.translations.publishing import ENTRY, answer, make_lesson
from translations.coverage import State, coverage, keys_to_send
from translations.coverage_tables import as_text
from translations.lessons.models import Lesson, LessonType
from translations.models import ReviewStatus, Translation
from translations.registry import find_kind

pytestmark = pytest.mark.django_db


def counts(language="ar", **given):
    """{group: {state: how many}} of lessons, without what is none."""
    return {
        line.group: {state.value: n for state, n in line.counts.items() if n}
        for line in coverage(languages=[language], entry=ENTRY, **given)
    }


def make_item(lesson, target, status):
    run = Run.objects.create(workload="translation", trigger=Trigger.COMMAND)
    about = {
        "run": run,
        "provider": "openai",
        "endpoint": "/v1/chat/completions",
        "model": "m",
        "workload": "translation",
        "content_type": ContentType.objects.get_for_model(Lesson),
        "object_id": str(lesson.pk),
        "target": target,
        "fingerprint": b"f" * 32,
    }
    is_open = status == ItemStatus.PENDING
    finished_at = None if is_open else timezone.now()
    item = BatchItem.objects.create(status=status, finished_at=finished_at, **about)
    if is_open:
        OpenItem.objects.create(item=item, **about)
    return item


def test_each_text_is_in_one_state(settings):
    settings.TRANSLATION_PUBLISH = "all"
    answer(make_lesson("Published"))
    changed = make_lesson("Before")
    answer(changed)
    changed.title = "After"
    changed.save()
    make_item(make_lesson("Failed"), "title:ar", ItemStatus.FAILED)
    make_item(make_lesson("Under way"), "title:ar#2", ItemStatus.PENDING)
    make_lesson("Missing")
    settings.TRANSLATION_PUBLISH = "review"
    answer(make_lesson("To review"))
    rejected = answer(make_lesson("Rejected"))
    Translation.objects.filter(pk=rejected.pk).update(status=ReviewStatus.REJECTED)

    assert counts() == {
        "Waalidnimo": {
            "published": 1,
            "waiting": 2,
            "stale": 1,
            "failed": 2,
            "missing": 1,
        }
    }


def test_a_newer_text_that_waits_for_review_is_not_yet_published(settings):
    settings.TRANSLATION_PUBLISH = "all"
    lesson = make_lesson("Before")
    answer(lesson)
    lesson.title = "After"
    lesson.save()
    settings.TRANSLATION_PUBLISH = "review"

    answer(lesson)

    assert counts() == {"Waalidnimo": {"waiting": 1}}


def test_only_what_is_to_be_translated_counts():
    make_lesson("Quiz", lesson_type=LessonType.QUIZ, body='{"a": 1}')
    make_lesson("Empty", description="", body=" \n\t ")
    make_lesson("Arabic already", source_language="ar")

    assert counts() == {"Waalidnimo": {"missing": 2}}


def test_groups_stand_apart_and_rows_to_send_are_those_of_one(settings):
    settings.TRANSLATION_PUBLISH = "all"
    here = make_lesson("Here")
    done = make_lesson("Done")
    there = make_lesson("There", course="caafimaad", description="Biyo")
    answer(done)

    assert counts() == {
        "Waalidnimo": {"published": 1, "missing": 1},
        "Caafimaad": {"missing": 2},
    }
    assert keys_to_send(ENTRY, "ar", str(here.course_id)) == [str(here.pk)]
    assert keys_to_send(ENTRY, "ar") == [str(here.pk), str(there.pk)]
    assert keys_to_send(ENTRY, "ar", "no key") == []


def test_content_without_groups_and_with_other_keys_is_counted():
    Photo.objects.create(title="Sea")
    entry = find_kind("photo")

    (line,) = coverage(languages=["ar"], entry=entry)

    assert (line.group, line.counts[State.MISSING], line.percent) == ("", 1, 0)


def test_pretended_text_counts_as_missing_once_a_real_provider_answers(settings):
    settings.TRANSLATION_PUBLISH = "all"
    answer(make_lesson(), pretended=True)
    assert counts() == {"Waalidnimo": {"published": 1}}

    settings.BATCH_PROVIDER = "openai"
    settings.OPENAI_API_KEY = "sk-test"

    assert counts() == {"Waalidnimo": {"missing": 1}}


def test_windows_are_gone_through_to_the_end(monkeypatch):
    monkeypatch.setattr("translations.coverage.WINDOW", 2)
    for number in range(5):
        make_lesson(f"Lesson {number}")

    assert counts() == {"Waalidnimo": {"missing": 5}}


def test_the_number_of_queries_does_not_grow_with_rows(django_assert_max_num_queries):
    for number in range(20):
        make_lesson(f"Lesson {number}", body="<p>Hurdo</p>")

    with django_assert_max_num_queries(7):
        coverage(languages=["ar", "en"], entry=ENTRY)


def test_the_text_is_a_table_with_sums():
    make_lesson("One", course="a\nb")

    head, line, last = as_text(coverage(languages=["ar"], entry=ENTRY)).splitlines()

    assert head.split()[:3] == ["content", "group", "language"]
    assert line.split() == ["lesson", "A", "B", "ar", *"000001", "1", "0", "%"]
    assert last.split() == ["all", "-", "-", *"000001", "1", "0", "%"]
