"""Who answers a request: `sample` and `pseudo` here, `upstream` on another server."""

from typing import Any, Protocol

from batches.sandbox import bodies, models
from batches.sandbox.bodies import Answer, Outcome
from batches.sandbox.refusals import refusal


class Responder(Protocol):
    """Answers one request of an endpoint.

    `at_once` is how many lines it works on at the same time; 0 means that it answers
    from memory, and whole chunks of lines are settled together.
    """

    at_once: int
    any_model: bool

    def models(self) -> list[str]: ...

    def stop(self) -> None: ...

    def respond(
        self,
        endpoint: str,
        body: dict[str, Any],
        *,
        input_tokens: int,
        cached_tokens: int = 0,
        change: "Change | None" = None,
    ) -> Outcome: ...


class Change(Protocol):
    """A fault's hand on an answer, before it is dressed and billed."""

    def __call__(self, answer: Answer, body: dict[str, Any]) -> Answer: ...


class LocalResponder:
    """What `sample` and `pseudo` share: an answer's text, dressed for the endpoint."""

    at_once = 0
    any_model = False

    def models(self) -> list[str]:
        return list(models.LISTED)

    def stop(self) -> None:
        """Nothing is under way between two answers."""

    def answer(self, body: dict[str, Any]) -> Answer:
        raise NotImplementedError

    def respond(
        self,
        endpoint: str,
        body: dict[str, Any],
        *,
        input_tokens: int,
        cached_tokens: int = 0,
        change: Change | None = None,
    ) -> Outcome:
        refused = refusal(endpoint, body, input_tokens)
        if refused is not None:
            return Outcome(400, refused)
        if endpoint == "/v1/embeddings":
            return bodies.embeddings(body, input_tokens=input_tokens)
        answer = self.answer(body)
        if change is not None:
            answer = change(answer, body)
        return bodies.dress(
            endpoint,
            body,
            answer,
            input_tokens=input_tokens,
            cached_tokens=cached_tokens,
        )
