"""What is being typed is kept; who else is there is known."""

from datetime import timedelta

import pytest
from django.utils import timezone

from translations.models import ReviewDraft
from translations.review import acts, drafts

pytestmark = pytest.mark.django_db


def draft_of(user):
    return ReviewDraft.objects.get(editor=user)


def test_a_draft_is_one_a_person_and_text(make_unit, amina, bilal):
    unit = make_unit()
    for user, text in ((amina, "a"), (bilal, "b"), (amina, "aa")):
        drafts.save_draft(unit, base=unit.latest_id, by=user, texts={"s1": text})

    assert draft_of(amina).texts == {"s1": "aa"}
    assert draft_of(bilal).texts == {"s1": "b"}


def test_being_there_leaves_the_draft_alone(make_unit, amina):
    unit = make_unit()
    drafts.save_draft(unit, base=unit.latest_id, by=amina, texts={"s1": "a"})

    drafts.save_draft(unit, base=unit.latest_id, by=amina)

    assert draft_of(amina).texts == {"s1": "a"}


def test_what_was_typed_on_an_earlier_version_is_set_aside(make_unit, amina, bilal):
    unit = make_unit()
    old = unit.latest_id
    drafts.save_draft(unit, base=old, by=amina, texts={"s1": "mine"})
    made = acts.edit(unit, base=old, texts={"s1": "اختر 3"}, by=bilal)

    drafts.save_draft(unit, base=made.pk, by=amina, texts={"s1": "new"})
    assert draft_of(amina).texts == {"s1": "new"}
    assert draft_of(amina).set_aside == {"s1": "mine"}
    drafts.save_draft(unit, base=old, by=amina, texts={"s1": "later, in an old tab"})

    assert draft_of(amina).texts == {"s1": "new"}
    assert draft_of(amina).set_aside == {"s1": "later, in an old tab"}
    unit.refresh_from_db()
    drafts.drop_set_aside(unit, by=amina)
    assert (draft_of(amina).texts, draft_of(amina).set_aside) == ({"s1": "new"}, {})


def test_a_version_of_another_text_is_refused(make_unit, amina):
    unit, other = make_unit(), make_unit()

    with pytest.raises(ValueError, match="is no version of translation"):
        drafts.save_draft(unit, base=other.latest_id, by=amina, texts={})

    assert not ReviewDraft.objects.exists()


def test_others_are_seen_while_their_page_is_open(make_unit, amina, bilal):
    unit = make_unit()
    bilal.first_name = "Bilal Nuur"
    bilal.save()
    drafts.save_draft(unit, base=unit.latest_id, by=amina)
    drafts.save_draft(unit, base=unit.latest_id, by=bilal)

    (seen,) = drafts.others_editing(unit, besides=amina)
    assert (seen.name, seen.since) == ("Bilal Nuur", draft_of(bilal).opened_at)
    later = timezone.now() + drafts.GONE_AFTER + timedelta(seconds=1)
    assert drafts.others_editing(unit, besides=amina, now=later) == []


def test_who_comes_back_is_there_since_then(make_unit, amina):
    unit = make_unit()
    drafts.save_draft(unit, base=unit.latest_id, by=amina)
    before = timezone.now() - timedelta(hours=3)
    ReviewDraft.objects.update(opened_at=before, seen_at=before)

    drafts.save_draft(unit, base=unit.latest_id, by=amina)

    assert draft_of(amina).opened_at > before


def test_a_visit_without_a_word_leaves_nothing_for_long(make_unit, amina):
    seen, typed, now = make_unit(), make_unit(), make_unit()
    drafts.save_draft(seen, base=seen.latest_id, by=amina)
    drafts.save_draft(typed, base=typed.latest_id, by=amina, texts={"s1": "a"})
    before = timezone.now() - timedelta(hours=1)
    ReviewDraft.objects.update(seen_at=before)

    drafts.save_draft(now, base=now.latest_id, by=amina)

    assert set(ReviewDraft.objects.values_list("translation", flat=True)) == {
        typed.pk,
        now.pk,
    }
