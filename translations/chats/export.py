"""Analyses as CSV and JSON Lines, with the fields that the earlier system had."""

import csv
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Any

import orjson
from django.db.models import QuerySet

from translations.chats.models import Analysis, ChatSession, Message, Role
from translations.exchange.tables import neutral

ROWS_AT_ONCE = 500
MOST_QUESTIONS = 5  # of a row, as the earlier system had them
COLUMNS = (
    *("account", "session_id", "source", "channel", "country"),
    *("start_time", "end_time", "messages_sent", "avg_response_seconds"),
    *("language", "languages", "sentiment", "sentiment_detail", "sentiment_end"),
    *("category", "secondary_categories", "resolution", "escalation"),
    *("escalation_reasons", "escalated", "forwarded_hr", "summary", "questions"),
    *("evidence", "taxonomy", "score", "findings", "is_stale", "is_sandbox"),
)
SHORT_SENTIMENT = {
    "very_negative": "NEGATIVE",
    "negative": "NEGATIVE",
    "neutral": "NEUTRAL",
    "positive": "POSITIVE",
    "very_positive": "POSITIVE",
}


def exported(sessions: QuerySet[ChatSession]) -> Iterator[dict[str, Any]]:
    """A row for each session with an analysis, in the order of their keys."""
    sessions = sessions.filter(analysis__isnull=False).select_related("analysis")
    page: list[ChatSession] = []
    for session in sessions.order_by("pk").iterator(chunk_size=ROWS_AT_ONCE):
        page.append(session)
        if len(page) == ROWS_AT_ONCE:
            yield from _rows(page)
            page = []
    yield from _rows(page)


def derived(analysis: Analysis) -> dict[str, Any]:
    """What the earlier system asked a model for, out of what is known.

    `escalated`: level high or urgent. `forwarded_hr`: a person has to go on with it,
    as it is escalated at any level and not resolved.
    """
    content = analysis.content
    level = content["escalation"]["level"]
    return {
        "sentiment": SHORT_SENTIMENT[content["sentiment"]],
        "escalated": level in ("high", "urgent"),
        "forwarded_hr": level != "none" and content["resolution"] != "resolved",
    }


def as_csv(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Lines; lists are JSON in their cell, and no cell is a formula."""
    yield "\ufeff" + _csv_line(COLUMNS)  # by this spreadsheets know UTF-8
    for row in rows:
        yield _csv_line([neutral(_cell(row[name])) for name in COLUMNS])


def as_jsonl(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield orjson.dumps(row).decode() + "\n"


WRITERS = {"csv": as_csv, "jsonl": as_jsonl}


def _rows(sessions: list[ChatSession]) -> Iterator[dict[str, Any]]:
    timings = _timings(sessions)
    for session in sessions:
        analysis = session.analysis
        assert analysis is not None  # noqa: S101 (what `exported` asks for)
        content = analysis.content
        sent, first, last, seconds = timings[session.pk]
        started_at = session.started_at or first
        ended_at = last or session.ended_at
        row = {
            "account": session.account,
            "session_id": session.external_id,
            "source": session.source,
            "channel": session.channel,
            "country": session.country,
            "start_time": started_at.isoformat() if started_at else None,
            "end_time": ended_at.isoformat() if ended_at else None,
            "messages_sent": sent,
            "avg_response_seconds": seconds,
            "language": content["primary_language"],
            "languages": content["languages"],
            "sentiment_detail": content["sentiment"],
            "sentiment_end": content["sentiment_end"],
            "category": content["category"],
            "secondary_categories": content["secondary_categories"],
            "resolution": content["resolution"],
            "escalation": content["escalation"]["level"],
            "escalation_reasons": content["escalation"]["reasons"],
            **derived(analysis),
            "summary": content["summary"],
            "questions": [one["text"] for one in content["questions"][:MOST_QUESTIONS]],
            "evidence": content["evidence"],
            "taxonomy": analysis.taxonomy,
            "score": analysis.score,
            "findings": [finding["code"] for finding in analysis.findings],
            "is_stale": session.is_stale,
            "is_sandbox": analysis.is_sandbox,
        }
        yield {name: row[name] for name in COLUMNS}


def _timings(
    sessions: list[ChatSession],
) -> dict[int, tuple[int, Any, Any, float | None]]:
    """{key: (messages of the customer, times of the first and the last message, mean
    seconds until the staff answers)}: computed, never asked of a model."""
    sent = {session.pk: 0 for session in sessions}
    first: dict[int, Any] = {}
    last: dict[int, Any] = {}
    waiting: dict[int, Any] = {}
    waits: dict[int, list[float]] = {session.pk: [] for session in sessions}
    rows = Message.objects.filter(session__in=sent).order_by("session_id", "index")
    for key, role, at in rows.values_list("session_id", "role", "sent_at").iterator(
        chunk_size=2_000
    ):
        if role == Role.CUSTOMER:
            sent[key] += 1
            if at:
                waiting.setdefault(key, at)
        elif role == Role.AGENT and at and key in waiting:
            waits[key].append((at - waiting.pop(key)).total_seconds())
        if at:
            first[key] = min(at, first.get(key, at))
            last[key] = max(at, last.get(key, at))
    return {
        key: (
            sent[key],
            first.get(key),
            last.get(key),
            round(sum(waits[key]) / len(waits[key]), 1) if waits[key] else None,
        )
        for key in sent
    }


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return orjson.dumps(value).decode()
    return str(value)


def _csv_line(cells: Iterable[str]) -> str:
    out = StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
