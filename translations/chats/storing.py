"""Writing analyses, inside the transaction of their items."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from batches.errors import SubjectGone
from translations.chats.findings import CHECKS_VERSION
from translations.chats.judging import Judged
from translations.chats.models import Analysis, Attention, ChatSession
from translations.chats.questions import link_questions
from translations.chats.sessions import attention_of_risks
from translations.quality import Finding, score

LOOK_BELOW = 75  # automatic checks below this want a look
_OF_LEVEL = {
    "none": Attention.NONE,
    "low": Attention.LOOK,
    "high": Attention.HIGH,
    "urgent": Attention.URGENT,
}


def store_analyses(results: Sequence[tuple[int, Judged]]) -> None:
    """(key of the session, analysis) pairs: each becomes the latest of its session.

    Raises SubjectGone for answers whose session was deleted meanwhile; nothing is
    stored then.
    """
    now = timezone.now()
    sessions = _locked(results)
    results = _new(results)
    asked: dict[int, list[dict[str, Any]]] = {}
    rows = [_new_row(sessions[key], judged, now) for key, judged in results]
    Analysis.objects.bulk_create(rows, batch_size=100)
    for (key, judged), row in zip(results, rows, strict=True):
        session = sessions[key]
        session.analysis = row
        session.analysis_source_hash = row.source_hash
        session.analysis_is_sandbox = row.is_sandbox
        session.attention = attention_of(judged, session.risks)
        asked[key] = [] if _is_unfit(judged) else judged.content["questions"]
    ChatSession.objects.bulk_update(
        sessions.values(),
        [
            *("analysis", "analysis_source_hash", "analysis_is_sandbox"),
            *("analyses_made", "attention"),
        ],
    )
    link_questions([(sessions[key], told) for key, told in asked.items()])


def _new(
    results: Sequence[tuple[int, Judged]],
) -> Sequence[tuple[int, Judged]]:
    """Without answers that are stored: one makes one analysis, however often it comes.

    What was put together without a request has no item, and comes once, in the commit
    of its page.
    """
    items = [judged.answer.item_id for _, judged in results if judged.answer]
    there = Analysis.objects.filter(
        session__in=[key for key, _ in results], item_id__in=items
    )
    known = set(there.values_list("item_id", flat=True))
    return [
        (key, judged)
        for key, judged in results
        if judged.answer is None or judged.answer.item_id not in known
    ]


def attention_of(judged: Judged, risks: dict[str, str]) -> Attention:
    """Words of risk and low scores raise it whatever the model says, and never lower
    what the model says."""
    told = Attention.NONE
    if not judged.is_pretended:
        told = _OF_LEVEL[judged.content["escalation"]["level"]]
        if score(judged.findings) < LOOK_BELOW:
            told = max(told, Attention.LOOK)
    return Attention(max(told, attention_of_risks(risks)))


def _is_unfit(judged: Judged) -> bool:
    """Whether its questions may not stand among those that customers ask."""
    return judged.is_pretended or any(
        finding.code in ("pii_in_summary", "question_bad_index")
        for finding in judged.findings
    )


def _new_row(session: ChatSession, judged: Judged, now: datetime) -> Analysis:
    session.analyses_made += 1
    content = judged.content
    row = Analysis(
        session=session,
        number=session.analyses_made,
        content=content,
        category=content["category"],
        sentiment=content["sentiment"],
        escalation=content["escalation"]["level"],
        resolution=content["resolution"],
        language=content["primary_language"][:35],
        taxonomy=judged.taxonomy,
        left_out=judged.left_out,
        source_hash=judged.source_hash,
        findings=[finding.to_json() for finding in judged.findings],
        errors=_count(judged.findings, "error"),
        warnings=_count(judged.findings, "warning"),
        score=score(judged.findings),
        checks_version=CHECKS_VERSION,
        created_at=now,
    )
    if answer := judged.answer:
        row.item_id = answer.item_id
        row.provider = answer.provider
        row.model = answer.model
        row.prompt_version_id = answer.prompt_version_id
        row.is_sandbox = answer.is_sandbox
    return row


def _count(findings: Sequence[Finding], severity: str) -> int:
    return sum(finding.severity == severity for finding in findings)


def _locked(results: Sequence[tuple[int, Judged]]) -> dict[int, ChatSession]:
    """Sessions by key, locked in its order."""
    wanted = {key for key, _ in results}
    rows = ChatSession.objects.select_for_update(no_key=True).filter(pk__in=wanted)
    sessions = {row.pk: row for row in rows.order_by("pk")}
    gone = {
        judged.answer.item_id: f"Chat session {key}"
        for key, judged in results
        if key not in sessions and judged.answer
    }
    if gone:
        raise SubjectGone(gone)
    return sessions
