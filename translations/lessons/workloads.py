"""The workloads `summary` and `quiz_improvement`: proposals, for a person to apply."""

import logging
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import orjson
from django.conf import settings
from django.db.models import QuerySet
from pydantic import Field, field_validator

from batches.workloads import (
    Answer,
    FollowUp,
    Measure,
    Page,
    Reception,
    Request,
    RunOptions,
    Subject,
    Target,
    Verdict,
    Workload,
    register,
)
from translations.judging import error_codes
from translations.languages import known_tags
from translations.lessons.judging import judge_question, judge_summary
from translations.lessons.models import Lesson, Proposal, QuizQuestion
from translations.lessons.proposals.reception import receptions
from translations.lessons.proposals.storing import (
    Judged,
    store_questions,
    store_summaries,
)
from translations.lessons.quizzes import prompt as quizzes
from translations.lessons.selection import (
    Wanted,
    page_of,
    read_lessons,
    read_questions,
)
from translations.lessons.summaries import prompt as summaries
from translations.quality import score
from translations.quality.detection import preload
from translations.review.models import REJECTED_BECAUSE

log = logging.getLogger(__name__)

# Above this, one line in the log for a chunk, not one for each proposal.
LOGGED_ONE_BY_ONE = 100


class ProposalOptions(RunOptions):
    keys: list[int] = Field(
        default_factory=list,
        description="key of a row; default all rows",
        json_schema_extra={"flag": "key"},
    )
    redo: bool = Field(
        default=False, description="ask anew about what has a current result, too"
    )


class SummaryOptions(ProposalOptions):
    languages: list[str] = Field(
        default_factory=list,
        description="target language, a BCP 47 tag; of summaries the lesson's own",
        json_schema_extra={"flag": "language"},
    )

    @field_validator("languages")
    @classmethod
    def _languages_are_known(cls, tags: list[str]) -> list[str]:
        return known_tags(tags, such_as="so or en")


class ProposalWorkload(Workload):
    """What both have in common: one request a row, whose answer is a proposal."""

    target: ClassVar[str]

    def naming(self, key: str, given: dict[str, Any]) -> dict[str, Any]:
        return {**given, "keys": [key], "redo": True}

    def targets(self, subject: Subject, options: Any) -> Iterable[Target]:
        wanted: Wanted = subject.source
        for language in wanted.languages:
            yield Target(
                key=f"{self.target}:{language}",
                source=wanted,
                error_code=wanted.error_code,
                error_message=wanted.error_message,
            )

    def trait(self, target: str) -> str:
        return target.partition(":")[2]

    def build_request(
        self, subject: Subject, target: Target, options: Any, prompt: str
    ) -> Request:
        wanted: Wanted = target.source
        language = self.trait(target.key)
        message = {"language": language, **(wanted.message or {})}
        if why := wanted.rejections.get(language):
            message[REJECTED_BECAUSE] = why
        return Request(
            body=self.body(prompt, language, message),
            context={
                "language": language,
                "source_hash": wanted.source_hash,
                "before": wanted.before,
            },
        )

    @abstractmethod
    def body(
        self, prompt: str, language: str, message: dict[str, Any]
    ) -> dict[str, Any]: ...

    @abstractmethod
    def judged(self, answer: Answer, result: Any) -> Judged: ...

    def judge_one(self, answer: Answer) -> Verdict:
        verdict = self.read_result(answer)
        if not verdict.error_code:
            judged = verdict.result = self.judged(answer, verdict.result)
            verdict.errors = error_codes(judged.findings)
        return verdict

    def warm_up(self) -> None:
        preload(frozenset(settings.LANGUAGES_TOLD_APART))

    def prompt_values(self, body: dict[str, Any]) -> dict[str, str]:
        message = orjson.loads(body["messages"][1]["content"])
        return summaries.prompt_values(message["language"])

    def measure(self, result: Judged) -> Measure:
        text = orjson.dumps(result.content, option=orjson.OPT_SORT_KEYS).decode()
        return Measure(text, score(result.findings))

    def receptions(self, items: QuerySet[Any]) -> dict[int | None, Reception]:
        return receptions(items)

    def explain_result(
        self, *, content_type_id: int, object_id: str, target: str, item_id: int
    ) -> list[str]:
        return [
            f"Proposal {proposal.pk}, version {proposal.number}: "
            f"{proposal.get_status_display()}; automatic checks {proposal.score} of "
            f"100, {proposal.errors} errors, {proposal.warnings} warnings."
            for proposal in Proposal.objects.filter(item=item_id).order_by("pk")
        ]

    def _log(self, verdicts: Sequence[Verdict]) -> None:
        name = self.key.replace("_", " ")
        if len(verdicts) > LOGGED_ONE_BY_ONE:
            log.info("[Batch API] Stored %d proposals of %s", len(verdicts), name)
            return
        for verdict in verdicts:
            log.info(
                "[Batch API] Stored %s for %s %s",
                name,
                self.noun[0],
                verdict.answer.object_id,
            )


@register
class SummaryWorkload(ProposalWorkload):
    key = "summary"
    noun = ("lesson", "lessons")
    options = SummaryOptions
    result = summaries.SummaryResult
    prompt = summaries.SYSTEM_PROMPT
    target = "summary"

    def subjects(self, options: SummaryOptions, after: str, limit: int) -> Page:
        rows = Lesson.objects.select_related("course")
        return page_of(
            rows.filter(pk__in=options.keys) if options.keys else rows,
            lambda lessons: read_lessons(lessons, options.languages),
            after=after,
            limit=limit,
            redo=options.redo,
        )

    def usual_output(self, input_tokens: int, output_limit: int) -> tuple[int, int]:
        return summaries.USUAL_OUTPUT_TOKENS

    def body(
        self, prompt: str, language: str, message: dict[str, Any]
    ) -> dict[str, Any]:
        return summaries.build_body(prompt, self.response_format(), language, message)

    def judged(self, answer: Answer, result: summaries.SummaryResult) -> Judged:
        return judge_summary(answer, result)

    def store(self, verdicts: Sequence[Verdict]) -> list[FollowUp]:
        store_summaries([(verdict.answer, verdict.result) for verdict in verdicts])
        self._log(verdicts)
        return []


@register
class QuizImprovementWorkload(ProposalWorkload):
    key = "quiz_improvement"
    noun = ("quiz question", "quiz questions")
    options = ProposalOptions
    result = quizzes.QuizResult
    prompt = quizzes.SYSTEM_PROMPT
    target = "question"

    def subjects(self, options: ProposalOptions, after: str, limit: int) -> Page:
        rows = QuizQuestion.objects.select_related("quiz__lesson__course")
        return page_of(
            rows.filter(pk__in=options.keys) if options.keys else rows,
            read_questions,
            after=after,
            limit=limit,
            redo=options.redo,
        )

    def body(
        self, prompt: str, language: str, message: dict[str, Any]
    ) -> dict[str, Any]:
        return quizzes.build_body(prompt, self.response_format(), language, message)

    def judged(self, answer: Answer, result: quizzes.QuizResult) -> Judged:
        return judge_question(answer, result)

    def store(self, verdicts: Sequence[Verdict]) -> list[FollowUp]:
        store_questions([(verdict.answer, verdict.result) for verdict in verdicts])
        self._log(verdicts)
        return []
