"""What people do to proposals: apply, reject, take back. Each may be repeated."""

from django.db import transaction
from django.utils import timezone

from batches.errors import NotPossible
from batches.services.events import audit
from translations.lessons.models import (
    Proposal,
    ProposalStatus,
    QuizQuestion,
)
from translations.lessons.proposals.contents import (
    Row,
    in_order,
    present,
    proposed,
    row_of,
    source_hash_of,
    write,
)
from translations.review.models import Reason

APPLY, REJECT, REVERT = "apply", "reject", "revert"


def possible_for_proposal(proposal: Proposal) -> set[str]:
    """The acts that its status and its findings allow; others may still be refused."""
    if proposal.status == ProposalStatus.APPLIED:
        return {REVERT}
    if proposal.status != ProposalStatus.PENDING:
        return set()
    return {REJECT} if proposal.errors else {APPLY, REJECT}


def apply_proposal(proposal: Proposal, *, by: str) -> Proposal:
    """Write what is proposed into its row, never a question's key.

    Raises NotPossible where it has an error, is no longer to review, marks another
    option as right, or was made for what is not there any more.
    """
    with transaction.atomic():
        row, proposal = _locked(proposal, ProposalStatus.PENDING, "applied")
        _refuse_to_apply(proposal, row)
        values = proposed(proposal)
        proposal.replaced = present(row, proposal.language)
        write(row, proposal.language, values)
        proposal.applied_hash = source_hash_of(row)
        _decide(proposal, ProposalStatus.APPLIED, by)
        audit(
            "proposal:apply",
            actor=by,
            target=str(proposal),
            before=proposal.replaced,
            after=values,
        )
    return proposal


def reject_proposal(
    proposal: Proposal, *, by: str, reason: str, explanation: str = ""
) -> Proposal:
    """Put it aside; its row stays as it is, and the next request for it says why.

    Raises NotPossible once it is decided.
    """
    if reason not in Reason.values:
        raise NotPossible("Say why it is rejected: choose a reason.")
    with transaction.atomic():
        _, proposal = _locked(proposal, ProposalStatus.PENDING, "rejected")
        proposal.reason, proposal.explanation = reason, explanation
        _decide(proposal, ProposalStatus.REJECTED, by)
        after = {"reason": reason, "explanation": explanation}
        audit("proposal:reject", actor=by, target=str(proposal), after=after)
    return proposal


def revert_proposal(proposal: Proposal, *, by: str) -> Proposal:
    """Write again what it replaced.

    Raises NotPossible where its row was changed since: that work is not overwritten.
    """
    with transaction.atomic():
        row, proposal = _locked(proposal, ProposalStatus.APPLIED, "taken back")
        values = proposed(proposal)
        if present(row, proposal.language) != values:
            raise NotPossible(
                f"{proposal} cannot be taken back: what it wrote was changed since. "
                "Change the row itself; what it replaced stands on the proposal's page."
            )
        write(row, proposal.language, proposal.replaced)
        _decide(proposal, ProposalStatus.REVERTED, by)
        audit(
            "proposal:revert",
            actor=by,
            target=str(proposal),
            before=values,
            after=proposal.replaced,
        )
    return proposal


def _locked(
    proposal: Proposal, status: ProposalStatus, verb: str
) -> tuple[Row, Proposal]:
    """Both locked, the content's row first: storing does it in that order, too."""
    row = row_of(proposal, lock=True)
    proposal = Proposal.objects.select_for_update().get(pk=proposal.pk)
    if proposal.status != status:
        raise NotPossible(
            f"{proposal} cannot be {verb}: it is "
            f"“{proposal.get_status_display()}” by now."
        )
    return row, proposal


def _refuse_to_apply(proposal: Proposal, row: Row) -> None:
    if proposal.errors:
        raise NotPossible(
            f"{proposal} cannot be applied: the automatic checks found "
            f"{proposal.errors} error{'s' * (proposal.errors != 1)}. Reject it, and "
            f"have a new one made: {_again(proposal)}."
        )
    if source_hash_of(row) != proposal.source_hash:
        raise NotPossible(
            f"{proposal} cannot be applied: the lesson or the question was changed "
            f"since it was asked for. Have a new one made: {_again(proposal)}."
        )
    if isinstance(row, QuizQuestion) and marked(proposal) != [row.correct_answer]:
        raise NotPossible(
            f"{proposal} cannot be applied: it marks another option as right than the "
            "question does. If the model is right, change the question's key yourself, "
            f"and have a new one made: {_again(proposal)}."
        )


def _again(proposal: Proposal) -> str:
    """The command that asks about its row anew."""
    key = proposal.lesson_id or proposal.question_id
    return f"manage.py run_workload {proposal.kind} --key {key} --redo"


def marked(proposal: Proposal) -> list[int]:
    """The places of the options that the model marks as right."""
    options = in_order(proposal.content["options"])
    return [at for at, option in enumerate(options) if option["is_correct"]]


def _decide(proposal: Proposal, status: ProposalStatus, by: str) -> None:
    proposal.status = status
    proposal.decided_by = by[:150]
    proposal.decided_at = timezone.now()
    names = ["status", "decided_by", "decided_at", "replaced", "applied_hash"]
    names += ["reason", "explanation"]
    proposal.save(update_fields=names)
