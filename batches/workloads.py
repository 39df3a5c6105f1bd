"""The door through which content apps enter: what a kind of work must say of itself.

A workload is one class in the `workloads.py` of the app that owns the content, under
`@register`. The engine finds it there, and knows nothing else of the app.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, TypeVar

import msgspec
from django.db.models import QuerySet
from django.utils.module_loading import autodiscover_modules
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from batches.errors import BadOptions, UnknownWorkload
from batches.wire_schema import strict_schema

CHAT = "/v1/chat/completions"


class RunOptions(BaseModel):
    """What may be asked of any run; a workload's own options extend it."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(default="", description="model to use; default OPENAI_MODEL")
    endpoint: str = Field(
        default="", description="provider endpoint; default the workload's"
    )
    prompt: int | None = Field(
        default=None,
        description="number of the prompt version for all of it; default the one in "
        "production, and those on trial by their weight",
    )


@dataclass(frozen=True, slots=True)
class Subject:
    """One content row that items are about. `source` is the workload's own."""

    content_type_id: int
    object_id: str
    source: Any = None


@dataclass(frozen=True, slots=True)
class Page:
    """Subjects that need work, in a stable order, and where to go on.

    `cursor` is the workload's own words for the next page, None after the last one;
    `skipped` counts what was passed over, by reason.
    """

    subjects: list[Subject]
    cursor: str | None
    skipped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """The part of a subject that one item is about.

    With `error_code` no request is made: the item ends failed before it is sent, and
    `error_message` says why. With `skipped`, a reason that the run's report counts,
    there is no item at all; `ready` beside it is a result that the workload has
    without one, for `store_ready`. `source` is the workload's own.
    """

    key: str
    source: Any = None
    error_code: str = ""
    error_message: str = ""
    skipped: str = ""
    ready: Any = None


@dataclass(frozen=True, slots=True)
class Request:
    """What to send, and what to keep beside it until the answer comes.

    `body` is the endpoint's body without the model, and must bound its output in
    tokens. `context` is never sent.
    """

    body: dict[str, Any]
    context: dict[str, Any] = field(default_factory=dict)


class Answer(msgspec.Struct, gc=False):
    """One answer as it came, with all that is needed to judge it without a database.

    `body` and `context` are those of the request; the body is blank where an answer is
    judged by its context, and again when its verdict is stored. What it is about (the
    last four) is known then, not yet when it is judged: what judging needs of the
    subject belongs into the request's context.
    """

    item_id: int
    provider: str
    model: str
    is_sandbox: bool
    text: str
    finish_reason: str = ""
    refusal: str = ""
    fingerprint: str = ""
    body: str = ""
    context: str = ""
    content_type_id: int = 0
    object_id: str = ""
    target: str = ""
    prompt_version_id: int | None = None


class Verdict(msgspec.Struct):
    """What a workload makes of one answer.

    With `error_code` the item ends failed with it; else it is complete and `result`
    goes to `store`. Errors of content are findings in the result: they never fail an
    item. `errors` names the error-level checks that it did not pass, by code and with
    commas between them: such an answer is not reused, and many of them stop a run.
    """

    answer: Answer
    result: Any = None
    error_code: str = ""
    error_message: str = ""
    errors: str = ""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A further item that an answer asks for; joins the same run in the same commit."""

    parent_item_id: int
    subject: Subject
    target: str
    request: Request


@dataclass(frozen=True, slots=True)
class Reception:
    """How results of one prompt were received.

    `score_sum` adds up scores of 0 to 100, one a result. Of the results some were
    `approved` by a person as they are, some `edited`, some `rejected`; nobody has
    decided about the others.
    """

    results: int = 0
    score_sum: int = 0
    approved: int = 0
    edited: int = 0
    rejected: int = 0

    @property
    def undecided(self) -> int:
        return self.results - self.approved - self.edited - self.rejected

    @property
    def score(self) -> float | None:
        return self.score_sum / self.results if self.results else None


@dataclass(frozen=True, slots=True)
class Measure:
    """What a judged answer says, to be held against a reference; score is 0 to 100."""

    text: str
    score: int | None = None


class Workload:
    """A kind of work. Subclasses say what to do; the engine does it once and safely."""

    key: ClassVar[str]
    noun: ClassVar[tuple[str, str]] = (
        "subject",
        "subjects",
    )  # one, many: for log lines
    options: ClassVar[type[RunOptions]] = RunOptions
    result: ClassVar[type[BaseModel]]
    endpoints: ClassVar[tuple[str, ...]] = (CHAT,)
    # Whether a run over everything is started every night (NIGHTLY_SCHEDULE).
    runs_nightly: ClassVar[bool] = False
    # Whether `judge` needs `Answer.body` and `.context`; reading them costs a query.
    reads_request: ClassVar[bool] = True
    # Whether `.context` alone will do for that: bodies are by far the more to read.
    judges_by_context: ClassVar[bool] = False
    # The fewest and the most items of a job, between which its size is learned from how
    # many succeed; None for BATCH_MAX_REQUESTS.
    job_size_bounds: ClassVar[tuple[int, int] | None] = None
    # Whether each run is owed an answer of its own, also to what another run is asking.
    owes_own_answer: ClassVar[bool] = False
    prompt: ClassVar[str] = ""

    def nouns(self, options: Any) -> tuple[str, str]:
        """What a run's subjects are called, one and many."""
        return self.noun

    def in_short(self, options: dict[str, Any]) -> str:
        """What a run is about, in a few words for whoever asked for it; may be ''."""
        return ""

    def subject_name(self, key: str) -> tuple[str, str]:
        """How people read the key of a subject, and its language where it is a text."""
        return key, ""

    def asks(self, options: Any) -> Sequence[str]:
        """What is asked of each subject, by name: for figures on what is used."""
        return [self.key]

    def subjects(self, options: Any, after: str, limit: int) -> Page:
        """The next page of at most `limit` subjects that need work; '' is the start."""
        raise NotImplementedError

    def naming(self, key: str, given: dict[str, Any]) -> dict[str, Any]:
        """The same options for the one subject with this key, be it current or not.

        As they are where it has no such options: then a subject is looked for among
        those that need work.
        """
        return given

    def targets(self, subject: Subject, options: Any) -> Iterable[Target]:
        """The parts of a subject that need work."""
        raise NotImplementedError

    def trait(self, target: str) -> str:
        """What sets targets apart in the length and quality of their answers.

        One word, such as the target language: how long answers turn out is learned for
        each, and a sample of a run has some of each.
        """
        return ""

    def usual_output(self, input_tokens: int, output_limit: int) -> tuple[int, int]:
        """How many tokens an answer has in the middle and nine times of ten.

        For estimates, until enough answers are there to learn it from.
        """
        return output_limit // 2, output_limit * 9 // 10

    def build_request(
        self, subject: Subject, target: Target, options: Any, prompt: str
    ) -> Request:
        raise NotImplementedError

    def chat_request(
        self,
        prompt: str,
        content: str,
        *,
        output_limit: int,
        context: dict[str, Any] | None = None,
    ) -> Request:
        """A chat request for this workload's result, of at most `output_limit` tokens.

        Instructions and content go in messages of their own: content is data, whatever
        it asks for.
        """
        body = {
            "messages": [
                {"role": "system", "content": prompt},
                {"role": "user", "content": content},
            ],
            "response_format": self.response_format(),
            "max_completion_tokens": output_limit,
        }
        return Request(body=body, context=context or {})

    def judge(self, answers: Sequence[Answer]) -> list[Verdict]:
        """Parse, validate and check; pure: no database, the same twice is alike."""
        return [self.judge_one(answer) for answer in answers]

    def judge_one(self, answer: Answer) -> Verdict:
        return self.read_result(answer)

    def warm_up(self) -> None:
        """Load what judging needs beforehand; else the first answer waits for it."""

    def store(self, verdicts: Sequence[Verdict]) -> list[FollowUp]:
        """Write results in bulk, inside the transaction that ends their items."""
        raise NotImplementedError

    def store_ready(self, ready: Sequence[tuple[Subject, Target]]) -> None:
        """Write results that targets came with, in the transaction of their page."""
        raise NotImplementedError

    def split(self, answer: Answer) -> list[FollowUp]:
        """The same work in smaller requests, for an answer that was cut off twice.

        None where it cannot be cut: then the item fails.
        """
        return []

    def scope(self, run_id: int) -> str:
        """Within what the same work is under way only once: everything, or its run."""
        return str(run_id) if self.owes_own_answer else ""

    def wholes(self, target: str) -> Sequence[str]:
        """The targets that this one is a piece of, if it came of a split.

        They are under way while it is, and not asked for again.
        """
        return ()

    def store_again(self, verdicts: Sequence[Verdict]) -> list[FollowUp]:
        """Write results of items that are done already, from the same answers judged
        anew: what is the same stays one, and a person's work stays.

        Called where it is defined (`manage.py reapply` without `--only failed`).
        """
        raise NotImplementedError

    @property
    def can_store_again(self) -> bool:
        return type(self).store_again is not Workload.store_again

    def explain_result(
        self, *, content_type_id: int, object_id: str, target: str, item_id: int
    ) -> list[str]:
        """What became of an item's answer in the workload's rows, for a person."""
        return []

    def prompted_as(self, options: Any) -> str:
        """The key of the workload whose prompts its requests carry."""
        return self.key

    def prompt_values(self, body: dict[str, Any]) -> dict[str, str]:
        """What a prompt's $names stand for in a request of this workload."""
        return {}

    def measure(self, result: Any) -> Measure:
        """A verdict's result for the golden set."""
        is_model = isinstance(result, BaseModel)
        return Measure(result.model_dump_json() if is_model else str(result))

    def receptions(self, items: QuerySet[Any]) -> dict[int | None, Reception]:
        """By prompt version: how the results of these items were received."""
        return {}

    def unusable(self, answer: Answer) -> Verdict | None:
        """What there is to say of an answer that was refused or cut off; else None."""
        if answer.refusal or answer.finish_reason == "content_filter":
            said = answer.refusal or "the provider's content filter stopped it"
            return Verdict(answer, None, "refused", f"The model refused: {said}"[:500])
        if answer.finish_reason == "length":
            return Verdict(
                answer, None, "truncated", "The answer was cut off at its output limit."
            )
        return None

    def read_result(self, answer: Answer) -> Verdict:
        """Judge the transport: whole, not refused, JSON, and of the schema's shape."""
        if verdict := self.unusable(answer):
            return verdict
        try:
            return Verdict(answer, self.result.model_validate_json(answer.text))
        except ValidationError as err:
            first = err.errors(include_url=False, include_input=False)[0]
            if first["type"] == "json_invalid":
                return Verdict(
                    answer,
                    None,
                    "invalid_json",
                    f"The answer is not JSON: {first['msg']}.",
                )
            where = ".".join(str(part) for part in first["loc"]) or "the answer"
            return Verdict(
                answer,
                None,
                "schema_mismatch",
                f"The answer is not of the schema: {where}: {first['msg']}.",
            )

    def read_options(self, given: dict[str, Any]) -> Any:
        """Validate options; raises BadOptions naming option, value and rule."""
        try:
            options = self.options.model_validate(given)
        except ValidationError as err:
            first = err.errors(include_url=False)[0]
            name = ".".join(str(part) for part in first["loc"]) or "options"
            rule = first["msg"].removeprefix("Value error, ")
            raise BadOptions(f"{self.key}: {name} {first['input']!r}: {rule}") from err
        if options.endpoint and options.endpoint not in self.endpoints:
            raise BadOptions(
                f"{self.key}: endpoint {options.endpoint!r} cannot be used; "
                f"it works with {', '.join(self.endpoints)}."
            )
        return options

    def response_format(self) -> dict[str, Any]:
        """The chat API's `response_format` for this workload's result."""
        return {
            "type": "json_schema",
            "json_schema": {
                "name": self.key,
                "strict": True,
                "schema": strict_schema(self.result),
            },
        }


_registered: dict[str, Workload] = {}

W = TypeVar("W", bound=type[Workload])


def register(workload: W) -> W:
    """Class decorator: make a workload known under its key, which must be free."""
    if workload.key in _registered:
        raise ValueError(
            f"The workload key {workload.key!r} is taken by "
            f"{type(_registered[workload.key]).__qualname__}; choose another."
        )
    _registered[workload.key] = workload()
    return workload


@contextmanager
def registered(workload: type[Workload]) -> Iterator[Workload]:
    """Make a workload known while the block runs, and no longer."""
    register(workload)
    try:
        yield _registered[workload.key]
    finally:
        del _registered[workload.key]


def all_workloads() -> dict[str, Workload]:
    """Every workload by key."""
    _discover()
    return dict(sorted(_registered.items()))


@cache
def _discover() -> None:
    # Asked for with every item: looking through the apps again is not free.
    autodiscover_modules("workloads")


def get_workload(key: str) -> Workload:
    """A workload by key; raises UnknownWorkload naming the keys that exist."""
    known = all_workloads()
    if key not in known:
        raise UnknownWorkload(
            f"No workload is called {key!r}; there are {', '.join(known) or 'none'}."
        )
    return known[key]
