"""From a workload's request to the very bytes that are sent, counted and priced."""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from batches.errors import BatchError
from batches.providers.pricing import Rate
from batches.providers.tokens import EMBEDDINGS, count_request
from batches.workloads import Request

OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")

# Around the body: {"custom_id":"…","method":"POST","url":"…","body":…} and a newline.
LINE_BYTES = 120


@dataclass(frozen=True, slots=True)
class Rendered:
    """One request ready to store: the body's text, and what bounds its cost."""

    body: str
    fingerprint: bytes
    input_tokens: int
    output_limit: int

    @property
    def line_bytes(self) -> int:
        return len(self.body.encode()) + LINE_BYTES


def render(request: Request, *, provider: str, endpoint: str, model: str) -> Rendered:
    """Render a body in one canonical form, so that equal work has equal bytes.

    Raises BatchError for a request without a bound on its output: what it might cost
    could not be reserved.
    """
    limit = output_limit(endpoint, request.body)
    body = orjson.dumps({**request.body, "model": model}, option=orjson.OPT_SORT_KEYS)
    fingerprint = hashlib.sha256(
        b"\0".join((provider.encode(), endpoint.encode(), body))
    )
    return Rendered(
        body=body.decode(),
        fingerprint=fingerprint.digest(),
        input_tokens=count_request(endpoint, model, request.body),
        output_limit=limit,
    )


def output_limit(endpoint: str, body: dict[str, Any]) -> int:
    """A request's own bound on its output, in tokens; BatchError where it has none.

    An embedding has no output that is paid for.
    """
    if endpoint == EMBEDDINGS:
        return 0
    limits = [body[name] for name in OUTPUT_LIMITS if name in body]
    if len(limits) != 1 or type(limits[0]) is not int or limits[0] < 1:
        raise BatchError(
            f"A request must bound its output with one of {', '.join(OUTPUT_LIMITS)}; "
            "without it its cost cannot be reserved."
        )
    if body.get("n", 1) != 1:
        raise BatchError(
            f"A request asks for one answer, but n is {body['n']!r}. Send one for each."
        )
    return limits[0]


def worst_case_nanos(rate: Rate, *, input_tokens: int, output_limit: int) -> int:
    """The most a request can cost: counted input × 1.1 and all of its output limit."""
    return rate.nanos_up(-(-input_tokens * 11 // 10), output_limit)
