"""The three addresses that ask for work on lessons and quizzes."""

from typing import Any

from ninja import Body, Router
from pydantic import Field

from batches.api.auth import ApiRequest, callers
from batches.api.batch_jobs.creation import Created, create_work
from batches.api.batch_jobs.schemas import (
    BODY,
    ERRORS,
    CreatedOut,
    ErrorOut,
    MessageOut,
    WorkIn,
)
from batches.api.idempotency import IdempotencyKey
from batches.models.api_key import Scope
from translations.lessons.models import Lesson

router = Router(by_alias=True, tags=["batch-jobs"])
SUBMIT: dict[str, Any] = {
    "auth": callers(Scope.SUBMIT),
    "response": {
        200: CreatedOut | MessageOut,
        202: CreatedOut,
        409: ErrorOut,
        **ERRORS,
        **BODY,
    },
}


class TranslationIn(WorkIn):
    languages: list[str] | None = Field(
        default=None,
        max_length=50,
        description="target languages; default TRANSLATION_LANGUAGES",
        examples=[["en", "ar"]],
    )


ALL_DEFAULTS = TranslationIn()
DEFAULT = WorkIn()


@router.post("/translation", summary="Translate lessons", **SUBMIT)
def create_translation(
    request: ApiRequest,
    body: Body[TranslationIn] = ALL_DEFAULTS,
    idempotency_key: IdempotencyKey = "",
) -> Created:
    options: dict[str, Any] = {"content": [Lesson._meta.label_lower]}
    if body.languages is not None:
        options["languages"] = body.languages
    return create_work(
        request,
        "translation",
        options,
        limit=body.limit,
        idempotency_key=idempotency_key,
    )


@router.post("/summary", summary="Summarise lessons", **SUBMIT)
def create_summary(
    request: ApiRequest,
    body: Body[WorkIn] = DEFAULT,
    idempotency_key: IdempotencyKey = "",
) -> Created:
    return create_work(
        request, "summary", {}, limit=body.limit, idempotency_key=idempotency_key
    )


@router.post("/quiz-improvement", summary="Improve quiz questions", **SUBMIT)
def create_quiz_improvement(
    request: ApiRequest,
    body: Body[WorkIn] = DEFAULT,
    idempotency_key: IdempotencyKey = "",
) -> Created:
    return create_work(
        request,
        "quiz_improvement",
        {},
        limit=body.limit,
        idempotency_key=idempotency_key,
    )
