"""The door through which content apps enter: what a kind of work must say of itself.

A workload is one class in the `workloads.py` of the app that owns the content, under
`@register`. The engine finds it there, and knows nothing else of the app.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import msgspec
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
    there is no item at all. `source` is the workload's own.
    """

    key: str
    source: Any = None
    error_code: str = ""
    error_message: str = ""
    skipped: str = ""


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

    `body` and `context` are those of the request. What it is about (the last four) is
    known when its verdict is stored, not yet when it is judged: what judging needs of
    the subject belongs into the request's context.
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
    item.
    """

    answer: Answer
    result: Any = None
    error_code: str = ""
    error_message: str = ""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A further item that an answer asks for; joins the same run in the same commit."""

    parent_item_id: int
    subject: Subject
    target: str
    request: Request


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
    prompt: ClassVar[str] = ""

    def nouns(self, options: Any) -> tuple[str, str]:
        """What a run's subjects are called, one and many."""
        return self.noun

    def subjects(self, options: Any, after: str, limit: int) -> Page:
        """The next page of at most `limit` subjects that need work; '' is the start."""
        raise NotImplementedError

    def targets(self, subject: Subject, options: Any) -> Iterable[Target]:
        """The parts of a subject that need work."""
        raise NotImplementedError

    def build_request(
        self, subject: Subject, target: Target, options: Any, prompt: str
    ) -> Request:
        raise NotImplementedError

    def judge(self, answers: Sequence[Answer]) -> list[Verdict]:
        """Parse, validate and check; pure: no database, the same twice is alike."""
        return [self.judge_one(answer) for answer in answers]

    def judge_one(self, answer: Answer) -> Verdict:
        return self.read_result(answer)

    def store(self, verdicts: Sequence[Verdict]) -> list[FollowUp]:
        """Write results in bulk, inside the transaction that ends their items."""
        raise NotImplementedError

    def split(self, answer: Answer) -> list[FollowUp]:
        """The same work in smaller requests, for an answer that was cut off twice.

        None where it cannot be cut: then the item fails.
        """
        return []

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

    def read_result(self, answer: Answer) -> Verdict:
        """Judge the transport: whole, not refused, JSON, and of the schema's shape."""
        if answer.refusal or answer.finish_reason == "content_filter":
            said = answer.refusal or "the provider's content filter stopped it"
            return Verdict(answer, None, "refused", f"The model refused: {said}"[:500])
        if answer.finish_reason == "length":
            return Verdict(
                answer, None, "truncated", "The answer was cut off at its output limit."
            )
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
    autodiscover_modules("workloads")
    return dict(sorted(_registered.items()))


def get_workload(key: str) -> Workload:
    """A workload by key; raises UnknownWorkload naming the keys that exist."""
    known = all_workloads()
    if key not in known:
        raise UnknownWorkload(
            f"No workload is called {key!r}; there are {', '.join(known) or 'none'}."
        )
    return known[key]
