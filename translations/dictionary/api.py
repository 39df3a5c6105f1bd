"""POST /api/v1/ai/batch: words, and which of seven things to tell of each."""

from typing import Annotated

from ninja import Body, Schema
from ninja.responses import Status
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from batches.api.auth import ApiRequest, Circle, callers
from batches.api.batch_jobs.creation import audit_created
from batches.api.batch_jobs.schemas import BODY, ERRORS, ErrorOut
from batches.api.idempotency import IdempotencyKey, start_asked
from batches.api.user_batches.routes import router
from batches.api.user_batches.schemas import AcceptedOut, PriorityWord
from batches.api.user_batches.shapes import plain_status
from batches.models.api_key import Scope
from batches.services.collection import collect_run
from batches.services.lifecycle import run_figures
from batches.states import Priority
from translations.dictionary.features import FEATURES
from translations.dictionary.options import LONGEST_CONTEXT
from translations.dictionary.ordering import (
    MAX_RETRIES,
    MAX_WORDS,
    WORKLOAD,
    features_of,
    order_options,
)


class Strict(Schema):
    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class ContextIn(Strict):
    """What the words stand in."""

    sentence: str = Field(default="", max_length=LONGEST_CONTEXT)
    paragraph: str = Field(default="", max_length=LONGEST_CONTEXT)
    domain: str = Field(default="", max_length=100)
    language: str = Field(
        default="en", max_length=35, description="the language of the words"
    )
    translate_into: list[Annotated[str, Field(max_length=35)]] = Field(
        default_factory=list,
        max_length=20,
        description="languages for translation_context",
    )


class OptionsIn(Strict):
    priority: PriorityWord = "normal"
    context: ContextIn = ContextIn()
    notify_progress: bool = Field(
        default=True, description="tell of progress among the job's events"
    )
    max_retries: Annotated[int, Field(strict=True, ge=0, le=MAX_RETRIES)] | None = (
        Field(
            default=None,
            description="after the first attempt; default BATCH_MAX_ATTEMPTS less one",
        )
    )


class WordsIn(Strict):
    words: list[Annotated[str, Field(max_length=200)]] = Field(
        min_length=1, max_length=MAX_WORDS, examples=[["patience", "serendipity"]]
    )
    features: dict[str, Annotated[bool, Field(strict=True)]] = Field(
        description=f"which of {', '.join(FEATURES)}",
        examples=[{"smart_summary": True, "etymology": False}],
    )
    options: OptionsIn = OptionsIn()


# On the engine's router: an address answers to the methods of one router alone.
@router.post(
    "",
    response={202: AcceptedOut, 409: ErrorOut, **ERRORS, **BODY},
    summary="Ask for up to seven things about up to 100 words",
    auth=callers(Scope.SUBMIT, Circle.USERS),
)
def ask_about_words(
    request: ApiRequest, body: Body[WordsIn], idempotency_key: IdempotencyKey = ""
) -> Status[AcceptedOut]:
    context, options = body.options.context, body.options
    retries = options.max_retries
    run, is_new = start_asked(
        request,
        WORKLOAD,
        order_options(
            words=body.words,
            features=features_of(body.features),
            language=context.language,
            translate_into=context.translate_into,
            sentence=context.sentence,
            paragraph=context.paragraph,
            domain=context.domain,
            notify_progress=options.notify_progress,
        ),
        key=idempotency_key,
        priority=Priority[options.priority.upper()],
        max_attempts=None if retries is None else retries + 1,
    )
    if is_new:
        audit_created(request, run)
        collect_run(run)
        run.refresh_from_db()
    items = run_figures(run).items
    return Status(
        202,
        AcceptedOut(
            job_id=run.public_id,
            total_items=items,
            status=plain_status(run),
            message=f"Batch job submitted with {items} items.",
        ),
    )
