"""Which chat sessions a run is about: those named, or all that lack an analysis."""

from django.contrib.contenttypes.models import ContentType
from django.db.models import F, Q, QuerySet

from batches.providers.registry import active_provider, is_sandbox
from batches.workloads import Page, Subject
from translations.chats.models import ChatSession, Message
from translations.chats.options import SessionOptions
from translations.chats.prompt import (
    FIRST_MESSAGES,
    LAST_MESSAGES,
    MOST_MESSAGES,
    SentMessage,
)

NOT_HERE = "its transcript is not imported yet"
CURRENT = "it is analysed already"
UNKNOWN = "there is no such session"


def is_current() -> Q:
    """Sessions with an analysis of the messages they have; a pretended one counts only
    where pretended work is what this installation does."""
    found = Q(analysis__isnull=False, analysis_source_hash=F("source_hash"))
    if is_sandbox(active_provider()):
        return found
    return found & Q(analysis_is_sandbox=False)


def sessions_in_need(options: SessionOptions, after: str, limit: int) -> Page:
    """Sessions in the order in which they were stored; the cursor is a key."""
    asked = ChatSession.objects.all()
    if options.of_account is not None:
        asked = asked.filter(account=options.of_account)
    if options.sessions:
        asked = asked.filter(external_id__in=options.sessions)
    wanted = asked.filter(has_transcript=True)
    if not options.redo:
        wanted = wanted.exclude(is_current())
    skipped = _skipped(options, asked) if not after else {}
    page = list(wanted.filter(pk__gt=int(after or 0)).order_by("pk")[:limit])
    cursor = str(page[-1].pk) if len(page) == limit else None
    messages = messages_of(page)
    kind = ContentType.objects.get_for_model(ChatSession).pk
    return Page(
        [
            Subject(kind, str(session.pk), (session, messages[session.pk]))
            for session in page
        ],
        cursor,
        skipped,
    )


def messages_of(sessions: list[ChatSession]) -> dict[int, list[SentMessage]]:
    """{key of the session: its messages in order}, in one query.

    Of a chat of more than `MOST_MESSAGES` only its beginning and its end.
    """
    sent = Q(session__messages_count__lte=MOST_MESSAGES)
    sent |= Q(index__lt=FIRST_MESSAGES)
    sent |= Q(index__gte=F("session__messages_count") - LAST_MESSAGES)
    found: dict[int, list[SentMessage]] = {session.pk: [] for session in sessions}
    rows = Message.objects.filter(sent, session__in=found)
    rows = rows.order_by("session_id", "index")
    for row in rows.iterator(chunk_size=2_000):
        found[row.session_id].append(
            SentMessage(row.index, row.role, row.text, row.sent_at)
        )
    return found


def _skipped(options: SessionOptions, asked: QuerySet[ChatSession]) -> dict[str, int]:
    """Why sessions that were meant are left out, counted once for the whole run."""
    counts = {NOT_HERE: asked.filter(has_transcript=False).count()}
    if options.sessions:
        there = set(asked.values_list("external_id", flat=True))
        counts[UNKNOWN] = len(set(options.sessions) - there)
        if not options.redo:
            counts[CURRENT] = asked.filter(is_current(), has_transcript=True).count()
    return {reason: count for reason, count in counts.items() if count}
