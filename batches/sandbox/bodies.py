"""The objects that an endpoint answers with, made from an answer's text."""

import base64
import hashlib
import math
import time
from array import array
from dataclasses import dataclass, replace
from typing import Any

from batches.sandbox import models, tokens
from batches.sandbox.wire import hex_id

DIMENSIONS = {"text-embedding-3-large": 3072}  # the others have 1536


@dataclass(frozen=True)
class Answer:
    """What a responder says, before it is dressed as an endpoint's object.

    `ending` is `stop`, `length` (cut at the output limit), `content_filter` or
    `refusal`; `fingerprint` tells a client where the text comes from.
    """

    text: str
    fingerprint: str
    ending: str = "stop"


@dataclass(frozen=True)
class Usage:
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True)
class Outcome:
    """What one request came to: the HTTP status, the JSON body, what is billed."""

    status: int
    body: dict[str, Any]
    usage: Usage = Usage()


def output_limit(endpoint: str, body: dict[str, Any]) -> int | None:
    """The output limit of a request in tokens; None if it has none."""
    names = (
        ("max_output_tokens",)
        if endpoint == "/v1/responses"
        else ("max_completion_tokens", "max_tokens")
    )
    for name in names:
        limit = body.get(name)
        if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0:
            return limit
    return None


def dress(
    endpoint: str,
    body: dict[str, Any],
    answer: Answer,
    *,
    input_tokens: int,
    cached_tokens: int = 0,
) -> Outcome:
    """The endpoint's object for an answer, cut where the request's limit says so."""
    model = body["model"]
    output_tokens = tokens.count_text(answer.text, model) if answer.text else 0
    limit = output_limit(endpoint, body)
    if limit is not None and output_tokens > limit:
        text = tokens.cut_text(answer.text, limit, model)
        answer = replace(answer, text=text, ending="length")
        output_tokens = limit
    usage = Usage(input_tokens, cached_tokens, output_tokens)
    make = _response if endpoint == "/v1/responses" else _chat_completion
    return Outcome(200, make(body, answer, usage), usage)


def _chat_completion(
    body: dict[str, Any], answer: Answer, usage: Usage
) -> dict[str, Any]:
    refused = answer.ending == "refusal"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if refused else answer.text,
        "refusal": answer.text if refused else None,
        "annotations": [],
    }
    finish_reason = "stop" if refused else answer.ending
    choices = body.get("n") if isinstance(body.get("n"), int) else 1
    return {
        "id": hex_id("chatcmpl-"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": [
            {
                "index": index,
                "message": message,
                "logprobs": None,
                "finish_reason": finish_reason,
            }
            for index in range(choices or 1)
        ],
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "prompt_tokens_details": {
                "cached_tokens": usage.cached_tokens,
                "cache_write_tokens": 0,
                "audio_tokens": 0,
            },
            "completion_tokens_details": {
                "reasoning_tokens": usage.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": answer.fingerprint,
    }


def _response(body: dict[str, Any], answer: Answer, usage: Usage) -> dict[str, Any]:
    part = (
        {"type": "refusal", "refusal": answer.text}
        if answer.ending == "refusal"
        else {
            "type": "output_text",
            "text": answer.text,
            "annotations": [],
            "logprobs": [],
        }
    )
    reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(
        answer.ending
    )
    status = "incomplete" if reason else "completed"
    output: list[dict[str, Any]] = []
    if models.is_reasoning(body["model"]):
        output.append({"id": hex_id("rs_"), "type": "reasoning", "summary": []})
    output.append(
        {
            "id": hex_id("msg_"),
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [part],
        }
    )
    return {
        "id": hex_id("resp_"),
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": body["model"],
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": {
            "input_tokens": usage.input_tokens,
            "input_tokens_details": {
                "cached_tokens": usage.cached_tokens,
                "cache_write_tokens": 0,
            },
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            "total_tokens": usage.input_tokens + usage.output_tokens,
        },
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
        "system_fingerprint": answer.fingerprint,
    }


def embeddings(body: dict[str, Any], *, input_tokens: int) -> Outcome:
    """Unit vectors that depend on the input alone; base64 of floats where asked for."""
    size = body.get("dimensions") or DIMENSIONS.get(body["model"], 1536)
    data = []
    for index, given in enumerate(tokens.embedding_inputs(body.get("input"))):
        vector = _unit_vector(given if isinstance(given, str) else repr(given), size)
        coded: Any = vector.tolist()
        if body.get("encoding_format") == "base64":
            coded = base64.b64encode(vector.tobytes()).decode()
        data.append({"object": "embedding", "index": index, "embedding": coded})
    value = {
        "object": "list",
        "data": data,
        "model": body["model"],
        "usage": {"prompt_tokens": input_tokens, "total_tokens": input_tokens},
    }
    return Outcome(200, value, Usage(input_tokens))


def _unit_vector(text: str, size: int) -> "array[float]":
    raw = array("h", hashlib.shake_128(text.encode()).digest(2 * size))
    length = math.sqrt(sum(number * number for number in raw)) or 1.0
    return array("f", [number / length for number in raw])
