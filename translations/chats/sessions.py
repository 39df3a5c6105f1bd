"""Writing chat sessions and their messages: created or updated by account and id."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.db.models import Q
from django.utils import timezone

from translations.chats.models import Attention, ChatSession, Message, Role, Source
from translations.chats.risks import risks_in
from translations.chats.transcripts import Said
from translations.importing import BadRow, Stored

Key = tuple[str, str]  # account, external id
MESSAGES_AT_ONCE = 1_000


@dataclass(slots=True)
class SessionData:
    """What somebody says of a session; None for messages leaves those that are there.

    `values` are columns of the session, `told` what is only kept beside it.
    """

    key: Key
    values: dict[str, Any]
    told: dict[str, Any]
    messages: list[Said] | None = None


def store_sessions(rows: Sequence[tuple[int, SessionData]]) -> Stored:
    """Create or update sessions, inside a transaction; the same again changes nothing.

    (line, session) pairs; a session that stands there twice is taken once, and the
    second reported.
    """
    stored = Stored()
    wanted: dict[Key, SessionData] = {}
    for line, data in rows:
        if data.key in wanted:
            stored.bad.append(
                BadRow(
                    line, "id", data.key[1], "It stands there already; leave it out."
                )
            )
        else:
            wanted[data.key] = data
    there = _locked(wanted)
    new = [
        ChatSession(
            account=account, external_id=external_id, source=data.values["source"]
        )
        for (account, external_id), data in sorted(
            wanted.items(), key=lambda one: one[0]
        )
        if (account, external_id) not in there
    ]
    ChatSession.objects.bulk_create(new, ignore_conflicts=True)
    sessions = _locked(wanted) if new else there
    changed: list[ChatSession] = []
    rewritten: list[tuple[ChatSession, list[Said]]] = []
    for key, data in wanted.items():
        session = sessions[key]
        is_changed = _update(session, data)
        if data.messages is not None and _take_messages(session, data.messages):
            rewritten.append((session, data.messages))
            is_changed = True
        if key not in there:
            stored.created += 1
        elif is_changed:
            stored.updated += 1
        else:
            stored.unchanged += 1
            continue
        session.updated_at = timezone.now()
        changed.append(session)
    ChatSession.objects.bulk_update(changed, _COLUMNS, batch_size=100)
    _write_messages(rewritten)
    return stored


_COLUMNS = [
    *("source", "channel", "country", "language", "started_at", "ended_at", "told"),
    *("customer_names", "agent_names", "has_transcript", "messages_count"),
    *("source_hash", "risks", "attention", "updated_at"),
]


def _locked(wanted: Iterable[Key]) -> dict[Key, ChatSession]:
    """{key: session}, locked in the order of keys until the transaction ends."""
    by_account: dict[str, list[str]] = {}
    for account, external_id in wanted:
        by_account.setdefault(account, []).append(external_id)
    either = Q(pk__in=[])
    for account, ids in by_account.items():
        either |= Q(account=account, external_id__in=ids)
    rows = ChatSession.objects.select_for_update(no_key=True).filter(either)
    return {(row.account, row.external_id): row for row in rows.order_by("pk")}


def _update(session: ChatSession, data: SessionData) -> bool:
    values = dict(data.values)
    if session.pk and session.has_transcript and values["source"] == Source.LEGACY:
        values.pop("source")  # a line of a table does not make other data legacy
    told = {**session.told, **data.told}
    is_changed = told != session.told
    session.told = told
    for name, value in values.items():
        if getattr(session, name) != value:
            setattr(session, name, value)
            is_changed = True
    fresh = source_hash(session, None)
    if session.has_transcript and session.source_hash[:32] != fresh[:32]:
        session.source_hash = fresh[:32] + session.source_hash[32:]
    return is_changed


def _take_messages(session: ChatSession, messages: Sequence[Said]) -> bool:
    """Whether they are others than are there; then the session knows of them."""
    fresh = source_hash(session, messages)
    if session.has_transcript and session.source_hash == fresh:
        return False
    session.has_transcript = True
    session.source_hash = fresh
    session.messages_count = len(messages)
    session.risks = risks_in(
        said.text for said in messages if said.role == Role.CUSTOMER
    )
    session.attention = max(session.attention, attention_of_risks(session.risks))
    return True


def attention_of_risks(risks: Mapping[str, str]) -> Attention:
    """What words of risk alone are worth; they never lower anything."""
    if "harm" in risks:
        return Attention.URGENT
    return Attention.HIGH if risks else Attention.NONE


def source_hash(session: ChatSession, messages: Sequence[Said] | None) -> str:
    """Two halves: of channel and names, and of the messages; what an analysis is of."""
    about = [session.channel, session.customer_names, session.agent_names]
    first = hashlib.sha256(orjson.dumps(about)).hexdigest()[:32]
    if messages is None:
        return first
    said = [
        (one.role, one.text, one.sent_at.isoformat() if one.sent_at else None)
        for one in messages
    ]
    return first + hashlib.sha256(orjson.dumps(said)).hexdigest()[:32]


def _write_messages(rewritten: Sequence[tuple[ChatSession, list[Said]]]) -> None:
    keys = [session.pk for session, _ in rewritten]
    Message.objects.filter(session__in=keys).delete()
    Message.objects.bulk_create(
        (
            Message(
                session=session,
                index=index,
                role=said.role,
                text=said.text,
                sent_at=said.sent_at,
            )
            for session, messages in rewritten
            for index, said in enumerate(messages)
        ),
        batch_size=MESSAGES_AT_ONCE,
    )
