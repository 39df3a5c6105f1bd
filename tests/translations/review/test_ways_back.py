"""Texts taken back, restored, rejected, and kept."""

import pytest

from tests.translations.review.editing import latest_of
from translations.models import (
    ReviewEntry,
    ReviewStatus,
)
from translations.reading import translated
from translations.review import acts

pytestmark = pytest.mark.django_db


def test_a_published_text_is_taken_back_and_published_again(
    make_lesson, make_unit, amina
):
    lesson = make_lesson()
    unit = make_unit(lesson=lesson)
    acts.approve_version(unit, base=unit.latest_id, by=amina, publish=True)

    acts.unpublish(unit, by=amina)
    unit.refresh_from_db()
    assert unit.status == ReviewStatus.APPROVED
    assert translated(lesson, "title", "ar") == lesson.title
    acts.publish_version(unit, base=unit.latest_id, by=amina)

    assert translated(lesson, "title", "ar") == "اختر 3 قواعد"
    with pytest.raises(acts.ReviewRefused, match="only approved text is published"):
        acts.publish_version(unit, base=unit.latest_id, by=amina)


def test_taking_back_needs_something_published(make_unit, amina):
    with pytest.raises(acts.ReviewRefused, match="Nothing of this text"):
        acts.unpublish(make_unit(), by=amina)


def test_an_edit_of_a_published_text_waits_while_the_old_one_is_shown(
    make_lesson, make_unit, amina
):
    lesson = make_lesson()
    unit = make_unit(lesson=lesson)
    acts.approve_version(unit, base=unit.latest_id, by=amina, publish=True)

    acts.edit(unit, base=unit.latest_id, texts={"s1": "اختر 3 قواعد فقط"}, by=amina)

    unit.refresh_from_db()
    assert unit.status == ReviewStatus.PENDING_REVIEW
    assert translated(lesson, "title", "ar") == "اختر 3 قواعد"


def test_a_version_is_restored_as_a_new_one(make_unit, amina):
    unit = make_unit("اختر 3 قواعد")
    first = unit.latest
    acts.edit(unit, base=first.pk, texts={"s1": "اختر 4 قواعد"}, by=amina)
    unit.refresh_from_db()

    made = acts.restore(unit, base=unit.latest_id, version=first, by=amina)

    assert (made.number, made.text, made.parent) == (3, first.text, first)
    assert made.segments == first.segments
    assert latest_of(unit) == made
    assert ReviewEntry.objects.filter(act="restored", version=made).exists()


def test_a_version_of_another_text_is_not_restored(make_unit, amina):
    unit, other = make_unit(), make_unit()

    with pytest.raises(acts.ReviewRefused):
        acts.restore(unit, base=unit.latest_id, version=other.latest, by=amina)


def test_a_rejection_needs_a_reason(make_unit, amina):
    unit = make_unit()

    for reason in ("", "because"):
        with pytest.raises(acts.ReviewRefused, match="choose a reason"):
            acts.reject(unit, base=unit.latest_id, by=amina, reason=reason)
    acts.reject(unit, base=unit.latest_id, by=amina, reason="style", text="too stiff")

    unit.refresh_from_db()
    assert unit.status == ReviewStatus.REJECTED
    entry = ReviewEntry.objects.get()
    assert (entry.reason, entry.text) == ("style", "too stiff")
    with pytest.raises(acts.ReviewRefused, match="only what waits for review"):
        acts.reject(unit, base=unit.latest_id, by=amina, reason="style")


def test_a_rejected_text_comes_back_by_an_edit(make_unit, amina):
    unit = make_unit()
    acts.reject(unit, base=unit.latest_id, by=amina, reason="style")

    acts.edit(unit, base=unit.latest_id, texts={"s1": "اختر 3 قواعد فقط"}, by=amina)

    unit.refresh_from_db()
    assert unit.status == ReviewStatus.PENDING_REVIEW


def test_a_rejected_proposal_gives_way_to_what_a_person_keeps(
    make_lesson, make_unit, answer_again, amina
):
    lesson = make_lesson()
    unit = make_unit(lesson=lesson)
    acts.approve_version(unit, base=unit.latest_id, by=amina, publish=True)
    kept = latest_of(unit)
    proposal = answer_again(unit, "انتق 3 قواعد")

    acts.reject(unit, base=proposal.pk, by=amina, reason="wrong_term")

    assert latest_of(unit) == kept
    assert (unit.status, unit.is_kept) == (ReviewStatus.PUBLISHED, True)
    assert translated(lesson, "title", "ar") == kept.text


def test_approved_text_that_was_not_published_is_kept_too(
    make_unit, answer_again, amina
):
    unit = make_unit()
    acts.approve_version(unit, base=unit.latest_id, by=amina)
    kept = latest_of(unit)
    proposal = answer_again(unit, "انتق 3 قواعد")

    acts.reject(unit, base=proposal.pk, by=amina, reason="style")

    assert latest_of(unit) == kept
    assert unit.status == ReviewStatus.APPROVED


def test_an_approved_proposal_takes_the_place_of_the_kept_text(
    make_lesson, make_unit, answer_again, amina
):
    lesson = make_lesson()
    unit = make_unit(lesson=lesson)
    acts.approve_version(unit, base=unit.latest_id, by=amina, publish=True)
    proposal = answer_again(unit, "انتق 3 قواعد")

    acts.approve_version(unit, base=proposal.pk, by=amina, publish=True)

    assert translated(lesson, "title", "ar") == "انتق 3 قواعد"
