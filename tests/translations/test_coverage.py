"""What there is of each text in each language, counted."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.contenttypes.models import ContentType
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from batches.models import BatchItem, OpenItem, Run
from batches.states import ItemStatus, Trigger
from tests.gallery.models import Photo
from tests.translations.publishing import ENTRY, answer, make_lesson
from translations import coverage_counts
from translations.coverage import State, coverage, keys_to_send
from translations.coverage_counts import COUNT, count_all, told_coverage
from translations.coverage_tables import as_text
from translations.lessons.models import Lesson, LessonType
from translations.models import CoverageCount, ReviewStatus, Translation
from translations.registry import all_registered, find_kind
from translations.tasks import count_coverage

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


# --- very much content ----------------------------------------------------------------


NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def much(monkeypatch, settings):
    """Lessons in three courses and each state, so many that they are not counted live;
    windows are of two."""
    monkeypatch.setattr("translations.coverage_counts.LITTLE_TEXTS", 3)
    monkeypatch.setattr("translations.coverage.WINDOW", 2)
    settings.TRANSLATION_PUBLISH = "all"
    for number in range(7):
        lesson = make_lesson(f"Lesson {number}", course=f"course-{number % 3}")
        if number % 2:
            answer(lesson)
    make_item(make_lesson("Failed"), "title:ar", ItemStatus.FAILED)
    Photo.objects.create(title="Sea")


def told(now=NOW, **given):
    return told_coverage(all_registered().values(), now=now, **given)


def plain(lines):
    return [
        (line.entry.label, line.group, line.language, line.counts) for line in lines
    ]


def test_what_the_worker_counted_in_pieces_agrees_with_a_full_count(much):
    looks = itertools.count(1)
    while not all(one.counted_at for one in CoverageCount.objects.all()) or (
        CoverageCount.objects.count() < len(all_registered())
    ):
        # Over at every second look: one window in each piece.
        list(count_all(now=NOW, is_over=lambda: next(looks) % 2 == 0))

    found = told()

    assert plain(found.lines) == plain(coverage())
    assert sum(line.counts[State.PUBLISHED] for line in found.lines) == 3
    assert (found.counted_at, found.uncounted) == (NOW, [])
    assert next(looks) > 8
    assert plain(told(languages=["ar"]).lines) == plain(coverage(["ar"]))


def test_a_look_counts_nothing_and_asks_the_worker(much, monkeypatch):
    monkeypatch.setattr("translations.coverage_counts.count_window", None)

    assert told().lines == []
    assert told().uncounted == list(all_registered().values())

    assert [one.task["func"] for one in OrmQ.objects.all()] == [COUNT]


def test_the_worker_counts_what_was_asked_for_and_later_again(much):
    count_coverage()
    first = told(timezone.now())
    answer(make_lesson("New", course="course-0"))
    assert plain(told(timezone.now()).lines) == plain(first.lines)
    assert not OrmQ.objects.exists()

    later = timezone.now() + timedelta(minutes=11)
    assert plain(told(later).lines) == plain(first.lines)
    assert OrmQ.objects.count() == 1
    list(count_all(now=later))

    assert plain(told(later).lines) == plain(coverage()) != plain(first.lines)
    assert CoverageCount.objects.count() == len(all_registered())


def test_a_piece_that_two_count_at_once_is_added_once(much, monkeypatch):
    first_window = coverage_counts.count_window
    is_first = itertools.chain([True], itertools.repeat(False))

    def another_is_quicker(*given):
        if next(is_first):
            list(count_all(now=NOW))
        return first_window(*given)

    monkeypatch.setattr(coverage_counts, "count_window", another_is_quicker)
    list(count_all(now=NOW))

    assert plain(told().lines) == plain(coverage())


def test_pretended_text_is_counted_apart(much, settings):
    list(count_all(now=NOW))
    settings.BATCH_PROVIDER = "openai"
    settings.OPENAI_API_KEY = "sk-test"

    assert told().uncounted == list(all_registered().values())


def test_the_page_tells_when_it_was_counted(much, admin_client):
    url = reverse("admin:translations_coverage")
    assert "for the first time" in admin_client.get(url).content.decode()
    count_coverage()

    page = admin_client.get(url)

    assert "for the first time" not in page.content.decode()
    assert "As of" in page.content.decode()
    assert sum(len(section.bars) for section in page.context["sections"]) == len(
        coverage()
    )


def test_many_bars_are_shown_page_by_page(much, admin_client, monkeypatch):
    monkeypatch.setattr("translations.admin.coverage.BARS_SHOWN", 2)
    count_coverage()
    url = reverse("admin:translations_coverage")
    first = admin_client.get(url)
    shown = []
    for number in range(1, first.context["page"].paginator.num_pages + 1):
        page = admin_client.get(f"{url}?page={number}")
        bars = [bar for section in page.context["sections"] for bar in section.bars]
        assert len(bars) <= 2
        shown += [(bar.name, bar.language) for bar in bars]

    assert len(shown) == len(coverage())
    assert "?page=2" in first.content.decode()


def test_the_page_takes_few_queries_of_much_content(
    much, admin_client, django_assert_max_num_queries
):
    count_coverage()
    url = reverse("admin:translations_coverage")
    admin_client.get(url)

    with django_assert_max_num_queries(15):
        admin_client.get(url)
