"""What waits for a person, what of it first, and what is left out."""

import pytest
from django.core.cache import cache
from django.utils import timezone

from translations.models import ReviewEntry, ReviewStatus, Translation
from translations.review import acts, comments, queue

pytestmark = pytest.mark.django_db

ERROR = {"code": "number_mismatch", "severity": "error", "message": "x", "segment": ""}


def waiting(reader, **filters):
    return list(queue.waiting(queue.Filters(**filters), reader=reader))


def test_the_riskiest_comes_first(make_unit, amina):
    fine = make_unit(score=100)
    poor = make_unit(score=60)
    wrong = make_unit(score=49, errors=1, findings=[ERROR])
    stale = make_unit(score=60)
    Translation.objects.filter(pk=stale.pk).update(is_stale=True)

    assert waiting(amina) == [wrong, stale, poor, fine]


def test_of_equal_ones_the_oldest_comes_first(make_unit, amina):
    first, second = make_unit(), make_unit()
    Translation.objects.filter(pk=first.pk).update(updated_at=timezone.now())

    assert waiting(amina) == [second, first]


def test_what_is_approved_published_or_rejected_waits_no_more(make_unit, amina):
    approved, published, rejected, left = (make_unit() for _ in range(4))
    acts.approve_version(approved, base=approved.latest_id, by=amina)
    acts.approve_version(published, base=published.latest_id, by=amina, publish=True)
    acts.reject(rejected, base=rejected.latest_id, by=amina, reason="style")

    assert waiting(amina) == [left]
    assert waiting(amina, shelf=queue.TO_PUBLISH) == [approved]
    assert waiting(amina, shelf=queue.REJECTED) == [rejected]


def test_published_text_whose_source_changed_is_on_a_shelf_of_its_own(
    make_lesson, make_unit, amina
):
    lesson = make_lesson()
    unit = make_unit(lesson=lesson)
    acts.approve_version(unit, base=unit.latest_id, by=amina, publish=True)
    lesson.title = "Wax kale"
    lesson.save()

    assert waiting(amina, shelf=queue.OUT_OF_DATE) == [unit]


def test_a_text_with_an_open_question_waits_for_the_answer(make_unit, amina):
    unit = make_unit()
    question = comments.ask(unit, by=amina, text="Three or four?")
    assert waiting(amina) == []
    assert waiting(amina, shelf=queue.ASKED) == [unit]

    comments.answer(question, by=amina, text="Three.")

    assert waiting(amina) == [unit]
    with pytest.raises(acts.ReviewRefused, match="answered already"):
        comments.answer(question, by=amina, text="Four.")


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_question_has_words(make_unit, amina, text):
    with pytest.raises(acts.ReviewRefused):
        comments.ask(make_unit(), by=amina, text=text)


def test_the_queue_is_filtered_by_pair_kind_course_and_code(
    make_lesson, make_unit, amina
):
    arabic = make_unit(lesson=make_lesson(course="one"))
    english = make_unit("Choose 3 rules", language="en")
    wrong = make_unit(findings=[ERROR], errors=1)
    course = f"translations_lessons.lesson:{make_lesson(course='one').course_id}"

    assert waiting(amina, pair="so>en") == [english]
    assert waiting(amina, kind="gallery.photo") == []
    assert waiting(amina, kind="translations_lessons.lesson") == [
        wrong,
        arabic,
        english,
    ]
    assert waiting(amina, kind=course) == [arabic]
    assert waiting(amina, code="number_mismatch") == [wrong]
    assert waiting(amina, kind="nothing.here", code="x") == []
    assert waiting(amina, kind=f"{course}x") == []


def test_a_code_is_no_pattern(make_unit, amina):
    make_unit(findings=[ERROR], errors=1)

    for code in ("%", "_umber_mismatch", '"', "\\"):
        assert waiting(amina, code=code) == []


def test_the_author_does_not_meet_the_own_edit_under_two_people(
    make_unit, amina, bilal, settings
):
    unit = make_unit()
    acts.edit(unit, base=unit.latest_id, texts={"s1": "اختر 3 قواعد فقط"}, by=amina)
    settings.REVIEW_TWO_PEOPLE = True

    assert waiting(amina) == []
    assert waiting(bilal) == [unit]


def test_pretended_text_waits_only_while_the_sandbox_is_what_there_is(
    make_unit, amina, settings
):
    make_unit(is_sandbox=True)
    assert len(waiting(amina)) == 1

    settings.BATCH_PROVIDER, settings.OPENAI_API_KEY = "openai", "sk-x"

    assert waiting(amina) == []


def test_what_was_skipped_is_passed_over(make_unit, amina):
    first, second = make_unit(score=60), make_unit(score=90)
    units = queue.waiting(queue.Filters(), reader=amina)

    assert queue.next_after(units) == first
    assert queue.next_after(units, skipped=[first.pk]) == second
    assert queue.next_after(units, skipped=[first.pk, second.pk]) is None


def test_filters_from_an_address_are_harmless():
    read = queue.Filters.read({"shelf": "drop table", "pair": "x"})

    assert read == queue.Filters(pair="x")
    assert read.as_query == {"pair": "x"}


def test_a_draft_of_a_long_text_is_not_in_the_queue(make_unit, amina):
    unit = make_unit()
    Translation.objects.filter(pk=unit.pk).update(
        status=ReviewStatus.DRAFT, latest=None
    )

    assert waiting(amina) == []


def test_who_is_gone_is_still_named(make_unit, amina):
    unit = make_unit()
    acts.approve_version(unit, base=unit.latest_id, by=amina)

    amina.delete()

    entry = ReviewEntry.objects.get()
    assert (entry.actor, entry.actor_name) == (None, "amina")


def test_menus_of_few_units_are_read_each_time(make_unit, amina):
    cache.clear()
    units = queue.units_of(queue.Filters(), reader=amina)
    make_unit()
    assert queue.pairs_of(units, "review") == ["so>ar"]
    assert queue.languages_there() == ["ar"]

    Translation.objects.update(language="en")

    assert queue.pairs_of(units, "review") == ["so>en"]
    assert queue.languages_there() == ["en"]


def test_menus_of_very_many_units_are_kept_for_a_while(
    make_unit, amina, monkeypatch, django_assert_num_queries
):
    cache.clear()
    monkeypatch.setattr(queue, "MOST_IN_ORDER", 2)
    units = queue.units_of(queue.Filters(), reader=amina)
    make_unit()
    make_unit()
    there = queue.pairs_of(units, "review")
    Translation.objects.update(language="en")

    with django_assert_num_queries(1):  # of the cache's table
        assert queue.pairs_of(units, "review") == there == ["so>ar"]
    assert queue.pairs_of(units, "another") == ["so>en"]
