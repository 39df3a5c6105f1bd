"""Approving many at once: only good ones, a hundred at most, some looked at again."""

import pytest

from translations.models import ReviewEntry, ReviewStatus, Translation
from translations.review import acts, bulk, queue

pytestmark = pytest.mark.django_db

ERROR = {"code": "number_mismatch", "severity": "error", "message": "x", "segment": ""}


def plan(reader):
    return bulk.plan_bulk(queue.waiting(queue.Filters(), reader=reader))


def chosen(units):
    return [(unit.pk, unit.latest_id) for unit in units]


def test_the_plan_says_what_is_left_out_and_why(make_unit, make_lesson, amina):
    good, edge = make_unit(score=100), make_unit(score=90)
    make_unit(score=89)
    make_unit(score=49, errors=1, findings=[ERROR])
    stale = make_unit()
    Translation.objects.filter(pk=stale.pk).update(is_stale=True)

    made = plan(amina)

    assert made.units == [good, edge]
    assert made.left_out == {
        "with an error": 1,
        "with a score under 90": 1,
        "out of date": 1,
    }
    assert made.second_looks == 1


def test_no_more_than_a_hundred(make_lesson, make_unit, amina):
    lesson = make_lesson()
    for number in range(bulk.MOST + 2):
        make_unit(lesson=lesson, language=f"x{number}")

    made = plan(amina)

    assert len(made.units) == bulk.MOST
    assert made.left_out == {"beyond the first hundred": 2}


def test_many_are_approved_and_one_in_ten_is_drawn(make_lesson, make_unit, amina):
    units = [
        make_unit("Choose 3 rules", lesson=make_lesson(), language="en")
        for _ in range(12)
    ]
    result = bulk.approve_many(chosen(units), by=amina, publish=True)

    assert (result.approved, result.second_looks, result.refused) == (12, 2, [])
    assert Translation.objects.filter(status=ReviewStatus.PUBLISHED).count() == 12
    entries = ReviewEntry.objects.filter(act="approved")
    assert entries.filter(is_bulk=True).count() == 12
    drawn = queue.waiting(queue.Filters(shelf=queue.LOOK_AGAIN), reader=amina)
    assert drawn.count() == 2
    unit = drawn[0]
    acts.settle(unit, base=unit.latest_id, texts={}, by=amina, publish=True)
    assert drawn.all().count() == 1
    assert ReviewEntry.objects.filter(act="looked_at", translation=unit).exists()


def test_what_is_wrong_by_now_is_refused_and_the_others_go_on(make_unit, amina, bilal):
    good, wrong, edited, poor = (
        make_unit(),
        make_unit("اختر 4 قواعد"),
        make_unit(),
        make_unit(score=50),
    )
    seen = chosen([good, wrong, edited, poor])
    acts.edit(edited, base=edited.latest_id, texts={"s1": "اختر 3"}, by=bilal)

    result = bulk.approve_many(seen, by=amina)

    assert result.approved == 1
    assert len(result.refused) == 3
    said = " ".join(result.refused)
    for words in ("number_mismatch", "was made meanwhile", "a score under 90"):
        assert words in said
    good.refresh_from_db()
    assert good.status == ReviewStatus.APPROVED


def test_a_text_that_is_gone_is_passed_over(make_unit, amina):
    unit = make_unit()
    seen = chosen([unit])
    unit.delete()

    assert bulk.approve_many(seen, by=amina).approved == 0
