"""What may be approved, with what reason, and by whom."""

import pytest

from tests.translations.review.editing import latest_of
from translations.lessons.models import Lesson
from translations.models import (
    ReviewEntry,
    ReviewStatus,
)
from translations.reading import translated
from translations.review import acts, rules

pytestmark = pytest.mark.django_db


def test_fixed_approved_and_published_at_once(make_lesson, make_unit, amina):
    lesson = make_lesson()
    unit = make_unit("اختر 4 قواعد", lesson=lesson)

    acts.settle(
        unit,
        base=unit.latest_id,
        texts={"s1": "اختر 3 قواعد"},
        by=amina,
        publish=True,
    )

    assert translated(lesson, "title", "ar") == "اختر 3 قواعد"
    done = list(ReviewEntry.objects.order_by("pk").values_list("act", flat=True))
    assert done == ["edited", "approved", "published"]
    unit.refresh_from_db()
    assert (unit.status, unit.is_kept) == (ReviewStatus.PUBLISHED, True)


def test_an_error_blocks_approval_and_the_edit_is_kept(make_unit, amina):
    unit = make_unit("اختر 4 قواعد")

    with pytest.raises(rules.OpenErrors, match="number_mismatch") as caught:
        acts.settle(
            unit,
            base=unit.latest_id,
            texts={"s1": "اختر 9 قواعد"},
            by=amina,
            publish=True,
        )

    assert caught.value.codes == ["number_mismatch"]
    assert latest_of(unit).text == "اختر 9 قواعد"
    assert (unit.status, unit.published) == (ReviewStatus.PENDING_REVIEW, None)


def test_an_error_that_newer_checks_find_blocks_too(make_unit, amina):
    unit = make_unit("اختر 4 قواعد")  # stored with no finding and 100 points

    with pytest.raises(rules.OpenErrors):
        acts.approve_version(unit, base=unit.latest_id, by=amina)


def test_a_title_that_its_field_cannot_hold_is_blocked(make_unit, amina):
    unit = make_unit()
    length = Lesson._meta.get_field("title").max_length

    with pytest.raises(rules.OpenErrors, match="too_long"):
        acts.settle(
            unit,
            base=unit.latest_id,
            texts={"s1": "اختر 3 قواعد " + "نعم لا " * length},
            by=amina,
            publish=True,
        )


def test_an_error_is_waived_with_a_reason(make_unit, amina):
    unit = make_unit("اختر 4 قواعد")

    acts.approve_version(
        unit, base=unit.latest_id, by=amina, publish=True, waiver="the source is wrong"
    )

    unit.refresh_from_db()
    assert unit.status == ReviewStatus.PUBLISHED
    assert ReviewEntry.objects.get(act="approved").text == "the source is wrong"


@pytest.mark.parametrize("text", ["", "<b>اختر 3 قواعد"])
def test_what_is_empty_or_broken_is_never_waived(make_lesson, make_unit, amina, text):
    lesson = make_lesson(body="<p><b>Dooro</b> 3 xeer</p>", body_format="html")
    unit = make_unit("<b>اختر</b> 3 قواعد", lesson=lesson, field="body")

    with pytest.raises(rules.OpenErrors, match="Mend the text"):
        acts.settle(
            unit,
            base=unit.latest_id,
            texts={"s1": text},
            by=amina,
            publish=True,
            waiver="so it shall be",
        )


def test_text_of_the_sandbox_is_not_approved_beside_a_real_provider(
    make_unit, amina, settings
):
    settings.BATCH_PROVIDER, settings.OPENAI_API_KEY = "openai", "sk-x"
    unit = make_unit(is_sandbox=True)

    with pytest.raises(acts.ReviewRefused, match="a real provider is active"):
        acts.approve_version(unit, base=unit.latest_id, by=amina)


def test_what_is_out_of_date_is_not_approved(make_lesson, make_unit, amina):
    lesson = make_lesson()
    unit = make_unit(lesson=lesson)
    lesson.title = "Dooro 3 xeer oo cad"
    lesson.save()

    with pytest.raises(acts.ReviewRefused, match="The source has changed"):
        acts.approve_version(unit, base=unit.latest_id, by=amina)


def test_the_author_of_an_edit_does_not_approve_it_under_two_people(
    make_unit, amina, bilal, settings
):
    settings.REVIEW_TWO_PEOPLE = True
    unit = make_unit("اختر 4 قواعد")

    with pytest.raises(acts.NeedsAnother, match="somebody else has to approve"):
        acts.settle(
            unit,
            base=unit.latest_id,
            texts={"s1": "اختر 3 قواعد"},
            by=amina,
            publish=True,
        )
    unit.refresh_from_db()
    acts.approve_version(unit, base=unit.latest_id, by=bilal, publish=True)

    unit.refresh_from_db()
    assert unit.status == ReviewStatus.PUBLISHED


def test_a_machines_text_takes_one_person_under_two_people(make_unit, amina, settings):
    settings.REVIEW_TWO_PEOPLE = True
    unit = make_unit()

    acts.approve_version(unit, base=unit.latest_id, by=amina, publish=True)

    unit.refresh_from_db()
    assert unit.status == ReviewStatus.PUBLISHED
