"""Applying, rejecting and taking back: what it writes, and what it never does."""

import json

import pytest

from batches.errors import NotPossible
from batches.models import AuditEntry, ConfigOverride
from batches.services.collection import plan_run
from tests.lessons.proposals.conftest import example, request_for
from translations.lessons.models import LessonSummary, ProposalStatus
from translations.lessons.proposals.acts import (
    apply_proposal,
    possible_for_proposal,
    reject_proposal,
    revert_proposal,
)
from translations.review.models import REJECTED_BECAUSE

pytestmark = pytest.mark.django_db
BEFORE = ["8–10", "10–12", "10–13", "11–14"]
AFTER = ["6–8", "8–9", "10–13", "14–17"]


@pytest.fixture
def improved(propose, question):
    return propose("quiz_improvement", question, example("quiz_improvement", 0))


@pytest.fixture
def summarised(propose, lesson):
    return propose("summary", lesson, example("summary", 0))


def auto_apply():
    ConfigOverride.objects.create(name="QUIZ_AUTO_APPLY", value=True)


def test_a_proposal_changes_nothing_until_it_is_applied(improved, question):
    question.refresh_from_db()

    assert question.options == BEFORE
    assert improved.status == ProposalStatus.PENDING
    assert improved.before["options"] == BEFORE


def test_applying_writes_texts_and_leaves_the_key(improved, question):
    apply_proposal(improved, by="amina")

    question.refresh_from_db()
    assert (question.options, question.correct_answer) == (AFTER, 2)
    assert question.difficulty == "easy"
    assert "ayuu maalintii" in question.question
    improved.refresh_from_db()
    assert (improved.status, improved.decided_by) == (ProposalStatus.APPLIED, "amina")
    entry = AuditEntry.objects.get(action="proposal:apply")
    assert (entry.actor, entry.before["options"]) == ("amina", BEFORE)
    assert entry.after["options"] == AFTER


def test_options_in_another_order_come_back_in_that_of_their_letters(propose, question):
    output = example("quiz_improvement", 0)
    output["options"].reverse()
    proposal = propose("quiz_improvement", question, output)

    apply_proposal(proposal, by="amina")

    question.refresh_from_db()
    assert (question.options, question.correct_answer) == (AFTER, 2)


def test_what_is_applied_is_not_asked_about_again(improved, question):
    apply_proposal(improved, by="amina")

    assert plan_run("quiz_improvement", {"keys": [question.pk]}).items == 0
    question.refresh_from_db()
    question.explanation = "Wax kale."
    question.save()
    assert plan_run("quiz_improvement", {"keys": [question.pk]}).items == 1


def test_taking_back_writes_what_was_there(improved, question):
    apply_proposal(improved, by="amina")

    revert_proposal(improved, by="bashir")

    question.refresh_from_db()
    assert question.options == BEFORE
    assert question.difficulty == "medium"
    improved.refresh_from_db()
    assert (improved.status, improved.decided_by) == (
        ProposalStatus.REVERTED,
        "bashir",
    )
    assert AuditEntry.objects.filter(action="proposal:revert", actor="bashir").exists()
    assert plan_run("quiz_improvement", {"keys": [question.pk]}).items == 0


def test_a_persons_later_work_is_not_taken_back(improved, question):
    apply_proposal(improved, by="amina")
    question.refresh_from_db()
    question.explanation = "Qof baa qoray."
    question.save()

    with pytest.raises(NotPossible, match="was changed since"):
        revert_proposal(improved, by="bashir")

    question.refresh_from_db()
    assert question.explanation == "Qof baa qoray."


def rejected(proposal, *, by):
    reject_proposal(proposal, by=by, reason="style", explanation="Too long.")


def test_rejecting_changes_no_question(improved, question):
    rejected(improved, by="amina")

    question.refresh_from_db()
    assert question.options == BEFORE
    assert plan_run("quiz_improvement", {"keys": [question.pk]}).items == 0
    with pytest.raises(NotPossible, match="it is “Rejected” by now"):
        apply_proposal(improved, by="amina")


def test_why_it_was_rejected_goes_into_the_next_request(improved, question):
    rejected(improved, by="amina")

    request, _ = request_for("quiz_improvement", question, redo=True)

    message = json.loads(request.body["messages"][1]["content"])
    assert message[REJECTED_BECAUSE] == "style: Too long."


def test_a_rejection_needs_a_reason_that_is_one(improved):
    with pytest.raises(NotPossible, match="choose a reason"):
        reject_proposal(improved, by="amina", reason="because")

    improved.refresh_from_db()
    assert improved.status == ProposalStatus.PENDING


@pytest.mark.parametrize("act", [apply_proposal, rejected])
def test_nothing_is_decided_twice(improved, act):
    act(improved, by="amina")

    with pytest.raises(NotPossible):
        act(improved, by="amina")

    assert AuditEntry.objects.filter(target=str(improved)).count() == 1


def test_errors_keep_a_proposal_from_being_applied(propose, question):
    proposal = propose("quiz_improvement", question, example("quiz_improvement", 1))

    assert possible_for_proposal(proposal) == {"reject"}
    with pytest.raises(NotPossible, match="found 2 errors"):
        apply_proposal(proposal, by="amina")


def test_what_was_made_for_another_wording_is_not_applied(improved, question):
    question.question = "Su'aal kale?"
    question.save()

    with pytest.raises(NotPossible, match="was changed since it was asked for"):
        apply_proposal(improved, by="amina")


def test_a_key_that_a_person_moved_is_not_overwritten(improved, question):
    question.correct_answer = 1
    question.save()

    with pytest.raises(NotPossible):
        apply_proposal(improved, by="amina")

    question.refresh_from_db()
    assert (question.correct_answer, question.options) == (1, BEFORE)


def test_a_disputed_key_is_shown_and_never_moved(propose, question):
    output = example("quiz_improvement", 0)
    output["key_disputed"] = True
    for option in output["options"]:
        option["is_correct"] = option["id"] == "d"
    proposal = propose("quiz_improvement", question, output)

    assert proposal.key_disputed
    assert [f["code"] for f in proposal.findings] == ["key_disputed"]
    with pytest.raises(NotPossible, match="marks another option as right"):
        apply_proposal(proposal, by="amina")
    question.refresh_from_db()
    assert (question.correct_answer, question.options) == (2, BEFORE)


def test_two_options_never_become_four(propose, question):
    question.options, question.correct_answer = ["Haa", "Maya"], 0
    question.save()
    output = example("quiz_improvement", 0)

    proposal = propose("quiz_improvement", question, output)

    assert "options_lost" in [finding["code"] for finding in proposal.findings]
    with pytest.raises(NotPossible):
        apply_proposal(proposal, by="amina")


# --- QUIZ_AUTO_APPLY ------------------------------------------------------------------


def test_a_flawless_question_is_applied_at_once_where_that_is_allowed(
    propose, question
):
    auto_apply()

    proposal = propose("quiz_improvement", question, example("quiz_improvement", 0))

    assert (proposal.status, proposal.decided_by) == (
        ProposalStatus.APPLIED,
        "QUIZ_AUTO_APPLY",
    )
    question.refresh_from_db()
    assert (question.options, question.correct_answer) == (AFTER, 2)
    assert AuditEntry.objects.get().actor == "QUIZ_AUTO_APPLY"
    revert_proposal(proposal, by="amina")
    question.refresh_from_db()
    assert question.options == BEFORE


def disputed(output):
    output["key_disputed"] = True


def with_a_warning(output):
    output["evidence_quote"] = None


def with_an_error(output):
    output["explanation"] = ""


@pytest.mark.parametrize("change", [disputed, with_a_warning, with_an_error])
def test_what_has_any_finding_waits_for_a_person(propose, question, change):
    auto_apply()
    output = example("quiz_improvement", 0)
    change(output)

    proposal = propose("quiz_improvement", question, output)

    assert proposal.status == ProposalStatus.PENDING
    question.refresh_from_db()
    assert question.options == BEFORE


def test_what_the_sandbox_made_up_waits_for_a_person(propose, question):
    auto_apply()
    output = example("quiz_improvement", 0)

    proposal = propose(
        "quiz_improvement", question, output, fingerprint="sandbox_pseudo"
    )

    assert proposal.status == ProposalStatus.PENDING


# --- Summaries ------------------------------------------------------------------------


def test_a_summary_is_used_once_it_is_applied(summarised, lesson):
    assert not LessonSummary.objects.exists()

    apply_proposal(summarised, by="amina")

    summary = LessonSummary.objects.get(lesson=lesson, language="so")
    assert summary.summary_short == "Dhegaysiga fiican wuxuu ilmaha tusaa jacayl."
    assert len(summary.key_points) == 3
    assert summary.objectives[1]["bloom_level"] == "apply"


def test_the_first_summary_taken_back_leaves_none(summarised, lesson):
    apply_proposal(summarised, by="amina")

    revert_proposal(summarised, by="amina")

    assert not LessonSummary.objects.exists()


def test_the_second_summary_taken_back_leaves_the_first(summarised, lesson, propose):
    apply_proposal(summarised, by="amina")
    output = example("summary", 0) | {"summary_short": "Si fiican u dhegayso."}
    second = propose("summary", lesson, output, redo=True)
    assert second.before["summary_short"].startswith("Dhegaysiga")

    apply_proposal(second, by="amina")
    with pytest.raises(NotPossible, match="was changed since"):
        revert_proposal(summarised, by="amina")
    revert_proposal(second, by="amina")

    assert LessonSummary.objects.get().summary_short.startswith("Dhegaysiga")


def test_a_summary_of_a_lesson_that_changed_is_not_applied(summarised, lesson):
    lesson.body = "<p>Wax kale oo dhan.</p>"
    lesson.save()

    with pytest.raises(NotPossible, match="Have a new one made"):
        apply_proposal(summarised, by="amina")
