"""Storing judged answers in bulk: what is alike, what collides, what a row costs."""

import threading

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction

from batches.services.bulk import joining_whole_sets
from batches.workloads import Answer
from tests.batches.workers import in_thread, waiting_for_locks
from tests.sandbox.fixtures import wait_for
from translations.judging import Judged
from translations.lessons.models import Course, Lesson
from translations.models import DraftPart, Translation, TranslationVersion
from translations.registry import all_registered
from translations.segments import segment_hash, source_hash
from translations.staleness import current_hashes
from translations.storing import store_judged

pytestmark = pytest.mark.django_db


@pytest.fixture
def lesson():
    course = Course.objects.create(external_id="c", title="Koorso")
    return Lesson.objects.create(
        course=course,
        external_id="l",
        title="Cinwaan",
        body="<p>Jooji.</p>",
        body_format="html",
    )


def answered(lesson, *, field="body", language="ar", part=1, parts=1, hash_=None):
    """An answer about the lesson, and what judging made of it."""
    answer = Answer(
        item_id=part,
        provider="openai",
        model="m",
        is_sandbox=False,
        text="",
        content_type_id=ContentType.objects.get_for_model(Lesson).pk,
        object_id=str(lesson.pk),
    )
    entry = all_registered()[Lesson._meta.label_lower]
    judged = Judged(
        field=field,
        language=language,
        source_language="so",
        format="text",
        source_hash=hash_ or current_hashes(entry, lesson)[field],
        part=part,
        parts=parts,
        path="",
        text=f"[{field} {language} {part}]",
        segments=[{"id": "s1", "source": "Jooji.", "text": f"[{part}]"}],
    )
    return answer, judged


def test_many_units_of_a_row_are_made_and_versioned_at_once(
    lesson, django_assert_max_num_queries
):
    results = [
        answered(lesson, field=field, language=language)
        for field in ("title", "body")
        for language in ("ar", "en")
    ]

    with django_assert_max_num_queries(16):
        store_judged(results)

    versions = TranslationVersion.objects.order_by("pk")
    assert [version.text for version in versions] == [j.text for _, j in results]
    for version in versions:
        unit = version.translation
        assert (unit.latest_id, unit.versions_made, version.number) == (
            version.pk,
            1,
            1,
        )
        assert (unit.status, unit.is_stale) == ("pending_review", False)
        assert version.text == f"[{unit.field} {unit.language} 1]"
        assert version.segments == [
            {"id": "s1", "source_hash": segment_hash("Jooji."), "text": "[1]"}
        ]
        assert (version.findings, version.score) == ([], 100)


def test_two_answers_for_one_unit_make_two_versions(lesson):
    first, second = answered(lesson), answered(lesson)

    store_judged([first, second])
    store_judged([answered(lesson)])

    unit = Translation.objects.get()
    numbers = TranslationVersion.objects.order_by("pk").values_list("number", flat=True)
    assert list(numbers) == [1, 2, 3]
    assert unit.versions_made == 3
    assert unit.latest == TranslationVersion.objects.latest("pk")


def test_what_was_asked_of_another_source_or_format_arrives_stale(lesson):
    old = source_hash("<p>Jooji.</p>", "markdown")

    store_judged([answered(lesson, hash_=old), answered(lesson, field="title")])

    stale = Translation.objects.values_list("field", "is_stale")
    assert dict(stale) == {"body": True, "title": False}


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_jobs_that_make_the_same_unit_lose_no_part(lesson):
    first, second, third = (answered(lesson, part=part, parts=3) for part in (1, 2, 3))

    stored, commit = threading.Event(), threading.Event()

    def store_and_wait():
        with transaction.atomic():
            store_judged([first])
            stored.set()
            commit.wait(30)

    holder = in_thread(store_and_wait)
    assert stored.wait(30)
    other = in_thread(lambda: store_judged([second]))
    wait_for(lambda: waiting_for_locks() == 1)
    commit.set()
    holder.join(30)
    other.join(30)
    store_judged([third])

    assert TranslationVersion.objects.get().text == "[body ar 1][body ar 2][body ar 3]"
    assert Translation.objects.get().versions_made == 1
    assert not DraftPart.objects.exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_joining_whole_sets_lasts_as_long_as_its_block():
    with transaction.atomic(), connection.cursor() as cursor:
        with joining_whole_sets(cursor):
            cursor.execute("SHOW enable_nestloop")
            assert cursor.fetchone() == ("off",)
        cursor.execute("SHOW enable_nestloop")
        assert cursor.fetchone() == ("on",)
