"""Proposals in the admin: what is shown, who may decide, and that it is asked first."""

import re

import pytest
from django.contrib.auth.models import Group

from batches.admin.display import list_url, row_url
from batches.models import AuditEntry
from translations.admin.everything import everything_url
from translations.lessons.models import (
    LessonSummary,
    Proposal,
    ProposalStatus,
)
from translations.lessons.proposals.acts import apply_proposal

pytestmark = pytest.mark.django_db

EVIL = "<script>alert('x')</script>"


def act(client, proposals, name):
    """Choose an act in the list; the answer is the page that asks."""
    data = {"action": name, "_selected_action": [p.pk for p in proposals], "index": 0}
    return client.post(list_url(Proposal), data, follow=True)


def confirm(client, asked, **answers):
    return client.post(asked.request["PATH_INFO"], answers, follow=True)


def test_the_list_says_what_waits_and_filters_it(page, make_proposal):
    good = make_proposal()
    bad = make_proposal(errors=2, status=ProposalStatus.SUPERSEDED, score=20)

    html = page(list_url(Proposal))
    assert row_url(Proposal, good.pk) in html and row_url(Proposal, bad.pk) in html
    for filters in (
        {"checks": "clean"},
        {"status__exact": "pending_review"},
        {"q": str(good.pk)},
    ):
        html = page(list_url(Proposal, **filters))
        assert row_url(Proposal, good.pk) in html, filters
        assert row_url(Proposal, bad.pk) not in html, filters
    html = page(list_url(Proposal, checks="errors"))
    assert row_url(Proposal, bad.pk) in html and row_url(Proposal, good.pk) not in html
    assert row_url(Proposal, good.pk) in page(list_url(Proposal, q="q1"))
    assert row_url(Proposal, good.pk) not in page(
        list_url(Proposal, kind__exact="summary")
    )


def test_empty_lists_are_pages_too(page):
    assert "result_list" not in page(list_url(Proposal))
    assert "0 lesson summaries" in page(list_url(LessonSummary))


def test_the_list_takes_few_queries(
    admin_client, make_proposal, django_assert_max_num_queries
):
    for _ in range(5):
        make_proposal()

    with django_assert_max_num_queries(6):
        admin_client.get(list_url(Proposal))


def test_the_page_shows_what_would_change_and_the_key(page, make_proposal):
    html = page(row_url(Proposal, make_proposal().pk))

    assert "<del>la sameeyaa</del><ins>fiican</ins>" in html
    assert "<ins> badan</ins>" in html
    assert "As it was: explanation, difficulty." in html
    assert "The right answer is “b”. Applying this does not move it." in html
    assert "unclear wording" in html
    assert 'lang="so"' in html and "<script>" not in html


def test_a_disputed_key_is_seen(page, make_proposal):
    proposal = make_proposal(key_disputed=True)
    for option in proposal.content["options"]:
        option["is_correct"] = option["id"] == "c"
    proposal.save()

    html = page(row_url(Proposal, proposal.pk))

    assert "key disputed" in html
    assert "right, says the model" in html and "wrong, it says" in html


def test_right_to_left_text_has_its_direction(page, summary):
    html = page(row_url(Proposal, summary.pk))

    assert 'dir="rtl" lang="ar"' in html
    assert "There was none before." in html


def test_what_others_wrote_is_shown_and_not_run(page, make_proposal, question):
    question.question = EVIL
    question.save()
    proposal = make_proposal(EVIL + "!", model=EVIL)
    proposal.findings = [{"code": EVIL, "severity": "error", "message": EVIL}]
    proposal.save()

    for html in (page(row_url(Proposal, proposal.pk)), page(list_url(Proposal))):
        assert EVIL not in html
        assert "&lt;script&gt;" in html


def test_applying_is_asked_first_and_done_once(admin_client, make_proposal, question):
    proposal = make_proposal()

    asked = act(admin_client, [proposal], "apply")
    question.refresh_from_db()
    assert question.question == "Maxaa la sameeyaa?"
    assert "1 proposal." in asked.content.decode()
    done = confirm(admin_client, asked)

    question.refresh_from_db()
    assert (question.question, question.correct_answer) == ("Maxaa fiican?", 1)
    assert "Applied: 1 of 1 proposal." in done.content.decode()
    assert AuditEntry.objects.get(action="proposal:apply").actor == "admin"
    again = confirm(admin_client, asked)
    assert "done already" in again.content.decode()


def test_of_several_those_that_cannot_be_are_named(admin_client, make_proposal):
    good, bad = make_proposal(), make_proposal(errors=1)

    done = confirm(admin_client, act(admin_client, [good, bad], "apply"))

    html = done.content.decode()
    assert "Applied: 1 of 2 proposals." in html
    assert "found 1 error. Reject it" in html


def test_reject_and_take_back(admin_client, make_proposal, question):
    first, second = make_proposal(), make_proposal("Maxaa habboon?")
    apply_proposal(first, by="amina")

    confirm(admin_client, act(admin_client, [first], "revert"))
    asked = act(admin_client, [second], "reject")
    confirm(admin_client, asked, reason="other", explanation="Two questions in one.")

    question.refresh_from_db()
    assert question.question == "Maxaa la sameeyaa?"
    statuses = Proposal.objects.order_by("pk").values_list("status", flat=True)
    assert list(statuses) == [ProposalStatus.REVERTED, ProposalStatus.REJECTED]
    second.refresh_from_db()
    assert (second.reason, second.explanation) == ("other", "Two questions in one.")


def test_a_rejection_without_a_reason_asks_again(admin_client, make_proposal):
    proposal = make_proposal()

    asked = act(admin_client, [proposal], "reject")
    again = confirm(admin_client, asked, explanation="No.")

    assert "This field is required." in again.content.decode()
    proposal.refresh_from_db()
    assert proposal.status == ProposalStatus.PENDING
    confirm(admin_client, asked, reason="style")
    proposal.refresh_from_db()
    assert proposal.status == ProposalStatus.REJECTED


def test_what_is_decided_leads_to_the_next_that_waits(admin_client, make_proposal):
    first, second = make_proposal(), make_proposal(score=90)

    done = confirm(admin_client, act(admin_client, [first], "apply"))
    last = confirm(admin_client, act(admin_client, [second], "reject"), reason="other")

    assert done.redirect_chain[-1][0] == row_url(Proposal, second.pk)
    assert last.redirect_chain[-1][0] == everything_url()


@pytest.mark.parametrize(
    ("given", "offered"),
    [
        ({}, {"apply", "reject"}),
        ({"errors": 1}, {"reject"}),
        ({"status": ProposalStatus.SUPERSEDED}, set()),
    ],
)
def test_a_page_offers_what_is_possible(page, make_proposal, given, offered):
    html = page(row_url(Proposal, make_proposal(**given).pk))

    buttons = re.findall(r'data-act="(\w+)"( hidden)?', html)
    assert {name for name, hidden in buttons if not hidden} == offered


def test_a_proposal_that_is_out_of_date_says_so(page, make_proposal, question):
    proposal = make_proposal()
    question.explanation = "Wax kale oo dhan."
    question.save()

    assert "was changed since this was asked" in page(row_url(Proposal, proposal.pk))


@pytest.mark.parametrize(
    ("group", "may_see", "may_apply"),
    [
        ("reviewer", True, True),
        ("editor", True, False),
        ("operator", True, False),
        ("auditor", True, False),
    ],
)
def test_who_may_decide(
    client, django_user_model, make_proposal, question, group, may_see, may_apply
):
    user = django_user_model.objects.create_user("hodan", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)
    proposal = make_proposal()

    html = client.get(row_url(Proposal, proposal.pk)).content.decode()
    assert ('data-act="apply"' in html) == may_apply
    assert ("Maxaa" in html) == may_see
    asked = act(client, [proposal], "apply")
    if may_apply:
        confirm(client, asked)
    proposal.refresh_from_db()
    assert (proposal.status == ProposalStatus.APPLIED) == may_apply


def test_the_summary_in_use_is_shown(page, summary):
    apply_proposal(summary, by="amina")
    row = LessonSummary.objects.get()

    assert row_url(LessonSummary, row.pk) in page(list_url(LessonSummary))
    html = page(row_url(LessonSummary, row.pk))
    assert "درس قصير." in html and 'dir="rtl"' in html
    assert row_url(Proposal, summary.pk) in html


def test_the_first_page_counts_what_waits(page, make_proposal):
    make_proposal()

    assert "Proposals to review" in page("/admin/")
