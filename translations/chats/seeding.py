"""Chats and their analyses by the ten thousand, for a seeded load."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from batches.benchmark.load import Content, Done
from batches.benchmark.writing import insert_whole
from batches.providers.registry import is_sandbox
from batches.services.bulk import Row, reserve_keys, update_rows
from translations.chats.models import (
    Analysis,
    Attention,
    ChatSession,
    Message,
    Role,
    Source,
)
from translations.chats.taxonomies import ACADEMY
from translations.chats.workloads import ANALYSIS

SAID = (
    (
        Role.CUSTOMER,
        "Asc, shalay ayaan lacagta bixiyay koorsada, welina way xiran tahay.",
    ),
    (Role.AGENT, "Waad salaaman tahay. Waan eegayaa, fadlan sug."),
)
CATEGORIES = ("payment_billing", "account_access", "certificate", "course_content")
LOOKED_AT = 15  # one in so many needs a person


class SeededChats(Content):
    """Sessions of two messages, each with an analysis."""

    workload = "session_analysis"
    model = "gpt-4o-mini"
    weight = 5

    def __init__(self) -> None:
        self.sessions: list[int] = []

    def subject_model(self) -> type[ChatSession]:
        return ChatSession

    def write_subjects(self, upto: int, *, now: datetime) -> None:
        lacking = upto - len(self.sessions)
        if lacking <= 0:
            return
        keys = list(reserve_keys(ChatSession, lacking))
        self.sessions += keys
        insert_whole(
            ChatSession,
            ("id", "external_id", "started_at", "source_hash", "attention"),
            [_session(key, now) for key in keys],
            source=Source.FILE.value,
            channel="whatsapp",
            has_transcript=True,
            messages_count=len(SAID),
            updated_at=now,
        )
        insert_whole(
            Message,
            ("session", "index", "role", "text"),
            [
                (key, index, role.value, text)
                for key in keys
                for index, (role, text) in enumerate(SAID)
            ],
        )

    def subject(self, position: int) -> tuple[str, str]:
        return str(self.sessions[position]), ANALYSIS

    def store(self, done: Sequence[Done]) -> None:
        keys = reserve_keys(Analysis, len(done))
        rows = [
            self._analysis(key, answer) for key, answer in zip(keys, done, strict=True)
        ]
        insert_whole(
            Analysis,
            ANALYSIS_FIELDS,
            rows,
            number=1,
            sentiment="negative",
            escalation="none",
            resolution="unresolved",
            language="so",
            taxonomy=ACADEMY.version,
            score=95,
            checks_version=1,
        )
        update_rows(
            ChatSession,
            (
                "analysis",
                "analysis_source_hash",
                "analysis_is_sandbox",
                "analyses_made",
            ),
            [(row[1], row[0], row[4], row[8], 1) for row in rows],
        )

    def _analysis(self, key: int, answer: Done) -> Row:
        session = self.sessions[answer.position]
        category = CATEGORIES[answer.position % len(CATEGORIES)]
        return (
            key,
            session,
            _content(category),
            category,
            _hash(session),
            answer.item_id,
            answer.provider,
            answer.model,
            is_sandbox(answer.provider),
            answer.at,
        )


ANALYSIS_FIELDS = (
    "id",
    "session",
    "content",
    "category",
    "source_hash",
    "item",
    "provider",
    "model",
    "is_sandbox",
    "created_at",
)


def _hash(session: int) -> str:
    return hashlib.sha256(f"load {session}".encode()).hexdigest()


def _session(key: int, now: datetime) -> Row:
    attention = Attention.HIGH if key % LOOKED_AT == 0 else Attention.NONE
    began = now - timedelta(minutes=key % 100_000)
    return (key, f"load-{key}", began, _hash(key), attention.value)


def _content(category: str) -> dict[str, Any]:
    return {
        "primary_language": "so",
        "languages": ["so"],
        "sentiment": "negative",
        "sentiment_end": "same",
        "category": category,
        "secondary_categories": [],
        "resolution": "unresolved",
        "escalation": {"level": "none", "reasons": ["none"]},
        "summary": "The customer paid for a course that is still closed.",
        "questions": [],
        "evidence": [
            {"label": "category", "message_index": 0, "quote": "lacagta bixiyay"}
        ],
    }
