"""Answers become proposals, in the transaction that ends their items."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Max

from batches import config
from batches.errors import SubjectGone
from batches.workloads import Answer
from translations.lessons.findings import CHECKS_VERSION
from translations.lessons.models import (
    Lesson,
    Proposal,
    ProposalKind,
    ProposalStatus,
    QuizQuestion,
)
from translations.lessons.proposals.acts import apply_proposal
from translations.lessons.proposals.contents import (
    source_hash_of,
    summary_in_use,
)
from translations.quality import Finding, score

AUTOMATIC = "QUIZ_AUTO_APPLY"


@dataclass(slots=True)
class Judged:
    """An answer that is of its schema, with what the checks say of it."""

    language: str
    source_hash: str
    content: dict[str, Any]
    before: dict[str, Any] | None = None
    findings: list[Finding] = field(default_factory=list)


def store_summaries(results: Sequence[tuple[Answer, Judged]]) -> None:
    """Each summary becomes a proposal beside the one in use."""
    lessons = Lesson.objects.select_for_update(no_key=True).only("pk")
    there = lessons.order_by("pk").in_bulk([int(a.object_id) for a, _ in results])
    _refuse_gone(results, there, "Lesson")
    kept = _kept(results, lesson__in=there)
    for answer, judged in results:
        if answer.item_id in kept:
            continue
        key = int(answer.object_id)
        judged.before = summary_in_use(key, judged.language)
        same = Proposal.objects.filter(lesson=key, language=judged.language)
        kind = ProposalKind.SUMMARY
        _store(answer, judged, same, kind=kind, lesson_id=key)


def store_questions(results: Sequence[tuple[Answer, Judged]]) -> None:
    """Each question becomes a proposal; where QUIZ_AUTO_APPLY allows, it is applied.

    Only what no check holds anything against is: then the key is where it was, and
    there are as many options.
    """
    questions = QuizQuestion.objects.select_for_update(no_key=True, of=("self",))
    there = (
        questions.select_related("quiz__lesson")
        .order_by("pk")
        .in_bulk([int(a.object_id) for a, _ in results])
    )
    _refuse_gone(results, there, "Quiz question")
    is_automatic = config.get(AUTOMATIC)
    kept = _kept(results, question__in=there)
    for answer, judged in results:
        if answer.item_id in kept:
            continue
        row = there[int(answer.object_id)]
        same = Proposal.objects.filter(question=row.pk)
        kind = ProposalKind.QUIZ
        proposal = _store(answer, judged, same, kind=kind, question_id=row.pk)
        is_clean = not judged.findings and source_hash_of(row) == judged.source_hash
        if is_automatic and is_clean:
            apply_proposal(proposal, by=AUTOMATIC)


def _refuse_gone(
    results: Sequence[tuple[Answer, Judged]], there: dict[int, Any], name: str
) -> None:
    gone = {
        answer.item_id: f"{name} {answer.object_id}"
        for answer, _ in results
        if int(answer.object_id) not in there
    }
    if gone:
        raise SubjectGone(gone)


def _kept(results: Sequence[tuple[Answer, Judged]], **of: Any) -> set[int]:
    """Items whose answers are proposals already: an answer makes one, however often it
    is stored."""
    items = [answer.item_id for answer, _ in results]
    there = Proposal.objects.filter(item_id__in=items, **of)
    return {key for key in there.values_list("item_id", flat=True) if key is not None}


def _store(answer: Answer, judged: Judged, same: Any, **of: Any) -> Proposal:
    """One more version; what waited before it is replaced by it."""
    last = same.aggregate(last=Max("number"))["last"] or 0
    same.filter(status=ProposalStatus.PENDING).update(status=ProposalStatus.SUPERSEDED)
    errors = sum(finding.severity == "error" for finding in judged.findings)
    return Proposal.objects.create(
        **of,
        language=judged.language,
        number=last + 1,
        content=judged.content,
        before=judged.before,
        source_hash=judged.source_hash,
        key_disputed=bool(judged.content.get("key_disputed")),
        findings=[finding.to_json() for finding in judged.findings],
        errors=errors,
        warnings=len(judged.findings) - errors,
        score=score(judged.findings),
        checks_version=CHECKS_VERSION,
        is_sandbox=answer.is_sandbox,
        item_id=answer.item_id,
        provider=answer.provider,
        model=answer.model,
        prompt_version_id=answer.prompt_version_id,
    )
