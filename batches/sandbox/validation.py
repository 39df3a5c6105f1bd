"""Reading an input file: where its lines are, and everything that is wrong with them.

The whole file is read once, line by line; memory holds two numbers and a custom_id a
line, for at most 50,000 lines.
"""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from batches.sandbox import models, tokens

MAXIMUM_LINES = 50_000
MAXIMUM_BYTES = 209_715_200
MAXIMUM_ERRORS = 100  # OpenAI's cap is not public
ANSWERED = ("/v1/chat/completions", "/v1/responses", "/v1/embeddings")
SUPPORTED = (
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/videos",
)

LineError = dict[str, Any]


@dataclass
class Lines:
    """What is known of an input file: byte offset, length and tokens of each line."""

    offsets: "array[int]" = field(default_factory=lambda: array("Q"))
    lengths: "array[int]" = field(default_factory=lambda: array("Q"))
    tokens: "array[int]" = field(default_factory=lambda: array("Q"))
    openings: "array[int]" = field(default_factory=lambda: array("Q"))
    model: str | None = None
    errors: list[LineError] = field(default_factory=list)

    @property
    def input_tokens(self) -> int:
        return sum(self.tokens)


def batch_error(
    code: str, message: str, *, param: str | None = None, line: int | None = None
) -> LineError:
    return {"code": code, "message": message, "param": param, "line": line}


def cannot_find_file(file_id: str) -> LineError:
    return batch_error(
        "invalid_request",
        f"Cannot find file {file_id}, or organization org-sandbox does not have access "
        "to it.",
        param="file_id",
    )


def token_limit_error(model: str, limit: int, *, is_told: bool) -> LineError:
    told = f" Limit: {limit:,} enqueued tokens." if is_told else ""
    return batch_error(
        "token_limit_exceeded",
        f"Enqueued token limit reached for {model} in organization org-sandbox.{told} "
        "Please try again once some in_progress batches have been completed.",
    )


def raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(byte offset, line without its line feed); lines end at the byte 10 and nowhere
    else, whatever Unicode calls a line."""
    offset = 0
    with path.open("rb") as stream:
        for line in stream:
            yield offset, line.rstrip(b"\r\n")
            offset += len(line)


def read_lines(
    path: Path,
    endpoint: str,
    *,
    any_model: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Lines:
    """Validate a whole input file; `errors` is empty if and only if it may run.

    `any_model` is for the upstream responder, whose server knows its own models.
    """
    lines = Lines()
    size = path.stat().st_size
    if size > MAXIMUM_BYTES:
        # The text is from a public run log; its code is not public.
        lines.errors.append(
            batch_error(
                "file_too_large",
                f"The batch input file is larger than the {MAXIMUM_BYTES} maximum for "
                "the model.",
            )
        )
        return lines
    check = _LineCheck(endpoint, any_model)
    blank: list[int] = []
    for number, (offset, raw) in enumerate(raw_lines(path), start=1):
        if number % 1000 == 0 and stopped():
            break
        if not raw.strip():
            blank.append(number)  # allowed at the end of the file only
            continue
        for line in blank[:MAXIMUM_ERRORS]:
            lines.errors.append(_unparseable(line))
        blank.clear()
        if len(lines.offsets) >= MAXIMUM_LINES:
            # Only Azure's name for this refusal is public.
            lines.errors.append(
                batch_error(
                    "too_many_tasks",
                    "The number of requests in the batch exceeds the maximum of "
                    f"{MAXIMUM_LINES}.",
                )
            )
            break
        error, body = check.error_of(raw, number)
        if error is not None:
            lines.errors.append(error)
            if len(lines.errors) >= MAXIMUM_ERRORS:
                break
        elif body is not None:
            count, opening = tokens.input_tokens(endpoint, body)
            lines.offsets.append(offset)
            lines.lengths.append(len(raw))
            lines.tokens.append(count)
            lines.openings.append(opening)
    lines.model = check.model
    if not lines.offsets and not lines.errors:
        lines.errors.append(
            batch_error(
                "empty_file",
                "The input file is empty. Please ensure that the batch contains at "
                "least one request.",
            )
        )
    return lines


def _unparseable(line: int) -> LineError:
    return batch_error(
        "invalid_json_line", "This line is not parseable as valid JSON.", line=line
    )


class _LineCheck:
    """The rules of one line, and those that hold between the lines of a file."""

    def __init__(self, endpoint: str, any_model: bool) -> None:
        self.endpoint = endpoint
        self.any_model = any_model
        self.model: str | None = None
        self.seen: set[str] = set()
        self.embedding_inputs = 0

    def error_of(
        self, raw: bytes, line: int
    ) -> tuple[LineError | None, dict[str, Any] | None]:
        """The first thing wrong with a line, or its body."""
        try:
            request = orjson.loads(raw)
        except orjson.JSONDecodeError:
            request = None
        if not isinstance(request, dict):
            return _unparseable(line), None
        for name in ("custom_id", "method", "url", "body"):
            if request.get(name) is None:
                return _missing(name, name, line), None
        custom_id, body = request["custom_id"], request["body"]
        if not isinstance(custom_id, str) or not custom_id:
            return _wrong_type("custom_id", "a non-empty string", line), None
        if not isinstance(body, dict):
            return _wrong_type("body", "an object", line), None
        if custom_id in self.seen:
            message = (
                "The custom_id for this request is a duplicate of another request. The "
                "custom_id parameter must be unique for each request in a batch."
            )
            param = "custom_id"
            return batch_error(
                "duplicate_custom_id", message, param=param, line=line
            ), None
        self.seen.add(custom_id)
        if request["method"] != "POST":
            message = "Invalid method: only 'POST' is supported."
            return batch_error(
                "invalid_method", message, param="method", line=line
            ), None
        if request["url"] != self.endpoint:
            message = (
                "The URL provided for this request does not match the batch endpoint."
            )
            return batch_error("invalid_url", message, param="url", line=line), None
        return self._error_of_body(body, line), body

    def _error_of_body(self, body: dict[str, Any], line: int) -> LineError | None:
        model = body.get("model")
        if model is None:
            return _missing("model", "body.model", line)
        if not isinstance(model, str):
            return _wrong_type("body.model", "a string", line)
        if self.endpoint == "/v1/chat/completions" and not body.get("messages"):
            return _missing("messages", "body.messages", line)
        if self.endpoint == "/v1/embeddings" and body.get("input") is None:
            return _missing("input", "body.input", line)
        if body.get("stream") is True:
            name = {"/v1/responses": "Responses"}.get(self.endpoint, "Chat Completions")
            return batch_error(
                "streaming_unsupported",
                f"{name}: Streaming is not supported in the Batch API.",
                param="body.stream",
                line=line,
            )
        if not self.any_model and not models.is_known(model):
            return batch_error(
                "model_not_found",
                f"The provided model '{model}' is not supported by the Batch API.",
                param="body.model",
                line=line,
            )
        if self.model is None:
            self.model = model
        elif model != self.model:
            return batch_error(
                "mismatched_model",
                f"The model '{model}' for this request does not match the rest of the "
                "batch. Each batch must contain requests for a single model.",
                param="body.model",
                line=line,
            )
        if self.endpoint == "/v1/embeddings":
            self.embedding_inputs += len(tokens.embedding_inputs(body["input"]))
            if self.embedding_inputs > MAXIMUM_LINES:
                return batch_error(
                    "too_many_tasks",
                    f"The batch has more than {MAXIMUM_LINES} embedding inputs.",
                    param="body.input",
                    line=line,
                )
        return None


def _missing(name: str, param: str, line: int) -> LineError:
    return batch_error(
        "missing_required_parameter",
        f"Missing required parameter: '{name}'.",
        param=param,
        line=line,
    )


def _wrong_type(param: str, expected: str, line: int) -> LineError:
    return batch_error(
        "invalid_type",
        f"Invalid type for '{param}': expected {expected}.",
        param=param,
        line=line,
    )
