"""One queue of all that waits for a person."""

import pytest
from django.contrib.auth.models import Group

from batches.admin.display import row_url
from tests.factories import make_entry
from translations.admin.everything import everything_url
from translations.admin.review_queue import review_url
from translations.dictionary.models import Entry
from translations.lessons.models import Proposal, ProposalStatus
from translations.models import ReviewStatus, Translation

pytestmark = pytest.mark.django_db

EVIL = "<script>alert('x')</script>"


@pytest.fixture
def waiting(make_lesson, make_translation, make_proposal, summary):
    """One of each kind, by the order in which they ought to stand."""
    unit = make_translation(make_lesson(), score=70)
    Translation.objects.update(status=ReviewStatus.PENDING_REVIEW, published=None)
    return {
        "quiz": row_url(Proposal, make_proposal(errors=1, score=40).pk),
        "entry": row_url(Entry, make_entry(score=60).pk),
        "translation": review_url(unit.pk),
        "summary": row_url(Proposal, summary.pk),
    }


def test_all_kinds_stand_in_it_the_riskiest_first(page, waiting):
    html = page(everything_url())

    places = [html.index(f'class="open-one" href="{url}"') for url in waiting.values()]
    assert places == sorted(places)
    for label in ("Translations (1)", "Summaries (1)", "Quiz questions (1)"):
        assert label in html
    assert "Dictionary entries (1)" in html


def test_it_is_filtered_by_kind(page, waiting):
    html = page(everything_url("summary"))

    assert waiting["summary"] in html
    assert waiting["quiz"] not in html and waiting["entry"] not in html


def test_what_is_decided_is_not_in_it(page, waiting):
    Proposal.objects.filter(errors=1).update(status=ProposalStatus.SUPERSEDED)

    html = page(everything_url())

    assert waiting["quiz"] not in html
    assert "Quiz questions (0)" in html


def test_empty_it_says_so(page):
    html = page(everything_url())

    assert "Nothing is left here." in html
    assert "Start with the first" not in html


def test_a_kind_is_shown_to_those_who_may_see_it(client, django_user_model, waiting):
    user = django_user_model.objects.create_user("amina", is_staff=True)
    client.force_login(user)
    assert client.get(everything_url()).status_code == 403
    user.groups.add(Group.objects.get(name="reviewer"))
    assert waiting["entry"] in client.get(everything_url()).content.decode()


def test_content_is_shown_and_not_run(page, question, make_proposal):
    question.question = EVIL
    question.save()
    make_proposal()

    assert EVIL not in page(everything_url())


def test_it_takes_few_queries(admin_client, waiting, django_assert_max_num_queries):
    for word in ("calm", "quiet", "still"):
        make_entry(word)

    with django_assert_max_num_queries(24):
        admin_client.get(everything_url())
