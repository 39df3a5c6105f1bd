"""What OpenAI refuses about a single request that a batch's validation lets through.

Such a request is answered 400: at once, or as its line in the error file.
"""

import re
from functools import lru_cache
from typing import Any

import orjson

from batches.sandbox import models
from batches.sandbox.wire import error_envelope

SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Input tokens that a model takes, by the beginning of its name; the first match counts.
CONTEXT_TOKENS = (
    ("gpt-4.1", 1_047_576),
    ("gpt-4o", 128_000),
    ("gpt-4-turbo", 128_000),
    ("gpt-4", 8_192),
    ("gpt-3.5", 16_385),
    ("o", 200_000),
    ("text-embedding", 8_192),
)
LATER_MODELS_TOKENS = 400_000


def refusal(
    endpoint: str, body: dict[str, Any], input_tokens: int
) -> dict[str, Any] | None:
    """The error body for a request that would not be answered; None if it would."""
    model = body["model"]
    most = context_tokens(model)
    if endpoint != "/v1/embeddings" and input_tokens > most:
        return error_envelope(
            f"This model's maximum context length is {most} tokens. However, your "
            f"messages resulted in {input_tokens} tokens. Please reduce the length of "
            "the messages.",
            param="messages",
            code="context_length_exceeded",
        )
    if endpoint == "/v1/embeddings":
        return None
    if "max_tokens" in body and models.is_reasoning(model):
        return error_envelope(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        )
    if endpoint == "/v1/responses":
        text = body.get("text")
        wanted = text.get("format") if isinstance(text, dict) else None
        inner, param = wanted, "text.format"
    else:
        wanted = body.get("response_format")
        inner = wanted.get("json_schema") if isinstance(wanted, dict) else None
        param = "response_format"
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return None
    return _schema_refusal(orjson.dumps(inner), param)


def context_tokens(model: str) -> int:
    for beginning, count in CONTEXT_TOKENS:
        if model.startswith(beginning):
            return count
    return LATER_MODELS_TOKENS


@lru_cache(maxsize=256)
def _schema_refusal(text: bytes, param: str) -> dict[str, Any] | None:
    """What is wrong with a result format; the same one comes with every line."""
    wanted = orjson.loads(text)
    if not isinstance(wanted, dict):
        return _missing(f"{param}.json_schema")
    name = wanted.get("name")
    if not isinstance(name, str):
        return _missing(
            f"{param}.name" if "text" in param else f"{param}.json_schema.name"
        )
    if not SCHEMA_NAME.fullmatch(name):
        return error_envelope(
            f"Invalid '{param}.name': expected 1 to 64 letters, digits, '_' or '-'.",
            param=param,
            code="invalid_value",
        )
    schema = wanted.get("schema")
    if not wanted.get("strict"):
        return None
    if not isinstance(schema, dict) or schema.get("type") != "object":
        fault = "schema must be a JSON Schema of 'type: \"object\"'"
    else:
        fault = _strict_fault(schema, ()) or ""
    if not fault:
        return None
    return error_envelope(
        f"Invalid schema for response_format '{name}': {fault}.", param=param
    )


def _strict_fault(schema: Any, place: tuple[str, ...]) -> str | None:
    """The first breach of the rules of strict schemas, and where it is."""
    if not isinstance(schema, dict):
        return None
    if "properties" in schema or schema.get("type") == "object":
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False:
            return (
                f"In context={place}, 'additionalProperties' is required to be "
                "supplied and to be false"
            )
        left_out = properties.keys() - set(schema.get("required", ()))
        if left_out:
            return (
                f"In context={place}, 'required' is required to be supplied and to be "
                "an array including every key in properties. Missing "
                f"'{min(left_out)}'"
            )
    inner = [
        *(
            ("properties", name, part)
            for name, part in schema.get("properties", {}).items()
        ),
        *(("$defs", name, part) for name, part in schema.get("$defs", {}).items()),
        *(("anyOf", str(n), part) for n, part in enumerate(schema.get("anyOf", ()))),
    ]
    if "items" in schema:
        inner.append(("items", "", schema["items"]))
    for kind, name, part in inner:
        fault = _strict_fault(part, (*place, kind, name) if name else (*place, kind))
        if fault is not None:
            return fault
    return None


def _missing(param: str) -> dict[str, Any]:
    return error_envelope(
        f"Missing required parameter: '{param}'.",
        param=param,
        code="missing_required_parameter",
    )
