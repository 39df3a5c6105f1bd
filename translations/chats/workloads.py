"""The workload `session_analysis`: what a chat is about, for the staff."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

import orjson
from django.conf import settings

from batches.workloads import (
    Answer,
    FollowUp,
    Page,
    Request,
    Subject,
    Target,
    Verdict,
    Workload,
    register,
)
from translations.chats.explaining import explain_analysis
from translations.chats.judging import (
    FEWEST_CUSTOMER_WORDS,
    Kept,
    judge_analysis,
    without_model,
)
from translations.chats.masking import digests
from translations.chats.models import ChatSession, Role
from translations.chats.options import SessionOptions
from translations.chats.prompt import (
    SYSTEM_PROMPT,
    USUAL_OUTPUT_TOKENS,
    SentMessage,
    build_body,
    prepare,
)
from translations.chats.selection import sessions_in_need
from translations.chats.shapes import ChatAnalysis, reader_of
from translations.chats.storing import store_analyses
from translations.chats.taxonomies import Taxonomy, default_taxonomy, taxonomy_of
from translations.judging import error_codes
from translations.quality.detection import preload
from translations.quality.pair import words

log = logging.getLogger(__name__)

ANALYSIS = "analysis"
TOO_SHORT = "fewer than 2 words of the customer; put under the last category unasked"


@register
class SessionAnalysis(Workload):
    """One request a chat: masked, its messages as data in a message of their own."""

    key = "session_analysis"
    noun = ("chat session", "chat sessions")
    options = SessionOptions
    result = ChatAnalysis  # its categories are those asked with: shapes.reader_of
    prompt = SYSTEM_PROMPT

    def subjects(self, options: SessionOptions, after: str, limit: int) -> Page:
        return sessions_in_need(options, after, limit)

    def targets(self, subject: Subject, options: SessionOptions) -> Iterable[Target]:
        session, messages = _source(subject)
        if _customer_words(messages) >= FEWEST_CUSTOMER_WORDS:
            yield Target(ANALYSIS)
            return
        judged = without_model(
            _taxonomy(options), source_hash=session.source_hash, language="und"
        )
        yield Target(ANALYSIS, skipped=TOO_SHORT, ready=judged)

    def usual_output(self, input_tokens: int, output_limit: int) -> tuple[int, int]:
        return USUAL_OUTPUT_TOKENS

    def build_request(
        self, subject: Subject, target: Target, options: SessionOptions, prompt: str
    ) -> Request:
        session, messages = _source(subject)
        taxonomy = _taxonomy(options)
        staff_language = options.staff_language or settings.CHAT_STAFF_LANGUAGE
        left_out = session.messages_count - len(messages)
        prepared = prepare(messages, session.names, left_out=left_out)
        kept = Kept(
            source_hash=session.source_hash,
            taxonomy=taxonomy.version,
            categories=taxonomy.categories,
            staff_language=staff_language,
            told_apart=settings.LANGUAGES_TOLD_APART,
            left_out=prepared.left_out,
            known=digests(prepared.masked.names()),
        )
        body = build_body(
            prompt,
            reader_of(taxonomy).response_format(),
            staff_language=staff_language,
            taxonomy=taxonomy,
            channel=session.channel,
            prepared=prepared,
        )
        return Request(body=body, context=dict(kept))

    def judge_one(self, answer: Answer) -> Verdict:
        kept = orjson.loads(answer.context)
        taxonomy = Taxonomy(kept["taxonomy"], tuple(kept["categories"]))
        verdict = reader_of(taxonomy).read_result(answer)
        if not verdict.error_code:
            judged = verdict.result = judge_analysis(answer, verdict.result)
            verdict.errors = error_codes(judged.findings)
        return verdict

    def warm_up(self) -> None:
        preload(frozenset(settings.LANGUAGES_TOLD_APART))

    def store(self, verdicts: Sequence[Verdict]) -> list[FollowUp]:
        store_analyses([(int(one.answer.object_id), one.result) for one in verdicts])
        codes = Counter(
            finding.code for one in verdicts for finding in one.result.findings
        )
        log.info(
            "[Batch API] Stored %d analyses of chats; findings: %s",
            len(verdicts),
            dict(codes) or "none",
        )
        return []

    def store_ready(self, ready: Sequence[tuple[Subject, Target]]) -> None:
        store_analyses(
            [(int(subject.object_id), target.ready) for subject, target in ready]
        )

    def explain_result(
        self, *, content_type_id: int, object_id: str, target: str, item_id: int
    ) -> list[str]:
        return explain_analysis(item_id, object_id)


def _source(subject: Subject) -> tuple[ChatSession, list[SentMessage]]:
    session, messages = subject.source
    return session, messages


def _taxonomy(options: SessionOptions) -> Taxonomy:
    if options.categories:
        return taxonomy_of(options.categories)
    return default_taxonomy(settings.CHAT_CATEGORIES)


def _customer_words(messages: Sequence[SentMessage]) -> int:
    """How many there are, counted no further than is asked for."""
    count = 0
    for message in messages:
        if message.role == Role.CUSTOMER:
            count += len(words(message.text))
        if count >= FEWEST_CUSTOMER_WORDS:
            break
    return count
