"""Questions of customers, each once however many sessions ask it.

Two are the same when at least 80 % of the words of either are words of both. Candidates
are found by the few words of which two such questions must share one: sorted in one
order, the first `n - ceil(0.8 n) + 1` of each (prefix filtering; Chaudhuri, Ganti and
Kaushik, ICDE 2006). So a new question is compared with a handful, not with all.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import F

from translations.chats.checks import SAME_QUESTION, overlap
from translations.chats.models import (
    ChatSession,
    Question,
    QuestionWord,
    SessionQuestion,
)
from translations.languages import is_known
from translations.quality.pair import words

MOST_CANDIDATES = 200
LONGEST_WORD = 64
UNKNOWN_LANGUAGE = "und"


def link_questions(
    sessions: Sequence[tuple[ChatSession, Sequence[dict[str, Any]]]],
) -> None:
    """Make each session ask these questions and no others; (session, questions) pairs.

    A question that none asks any more is deleted.
    """
    keys = [session.pk for session, _ in sessions]
    old = SessionQuestion.objects.filter(session__in=keys)
    fewer = Counter(old.values_list("question_id", flat=True))
    old.delete()
    more: Counter[int] = Counter()
    links = []
    for session, asked in sessions:
        linked: set[int] = set()
        for position, told in enumerate(asked):
            question = _find_or_make(session.account, told["language"], told["text"])
            if question is None or question.pk in linked:
                continue
            linked.add(question.pk)
            more[question.pk] += 1
            links.append(
                SessionQuestion(
                    session=session,
                    question=question,
                    position=position,
                    message_index=told["message_index"],
                    is_answered=told["answered"],
                )
            )
    SessionQuestion.objects.bulk_create(links, batch_size=500)
    for key in sorted({*fewer, *more}):
        if change := more[key] - fewer[key]:
            row = Question.objects.filter(pk=key)
            row.update(times_asked=F("times_asked") + change)
    Question.objects.filter(pk__in=list(fewer), times_asked=0).delete()


def _find_or_make(account: str, language: str, text: str) -> Question | None:
    """The question that asks the same; None for a text without words."""
    text = " ".join(text.split())
    said = sorted(set(words(text)))
    if not said:
        return None
    language = language if is_known(language) else UNKNOWN_LANGUAGE
    known = _alike(account, language, said)
    if known:
        return known
    question, is_new = Question.objects.get_or_create(
        account=account,
        language=language,
        key=hashlib.sha256(" ".join(said).encode()).hexdigest(),
        defaults={"text": text},
    )
    if is_new:
        QuestionWord.objects.bulk_create(
            QuestionWord(question=question, word=word) for word in prefix(said)
        )
    return question


def _alike(account: str, language: str, said: Sequence[str]) -> Question | None:
    """The likest of those that are the same question."""
    rows = Question.objects.filter(
        account=account, language=language, words__word__in=prefix(said)
    )
    best: tuple[float, Question] | None = None
    for candidate in rows.distinct().order_by("-times_asked", "pk")[:MOST_CANDIDATES]:
        alike = overlap(said, words(candidate.text))
        if alike >= SAME_QUESTION and (best is None or alike > best[0]):
            best = alike, candidate
    return best[1] if best else None


def prefix(said: Iterable[str]) -> list[str]:
    """The words by which a question is found: long ones first, as they are rarer."""
    ordered = sorted(set(said), key=lambda word: (-len(word), word))
    # 0.8 has no exact float; a hundredth less only makes a prefix longer.
    needed = math.ceil((SAME_QUESTION - 0.01) * len(ordered))
    return [word[:LONGEST_WORD] for word in ordered[: len(ordered) - needed + 1]]
