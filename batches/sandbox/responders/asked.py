"""What a request asks for: its result schema, and segments if it is a translation."""

from dataclasses import dataclass
from typing import Any

import orjson

from batches.sandbox.tokens import content_text


@dataclass(frozen=True)
class Translation:
    """A request to translate segments; `segments` is [(id, text)] in their order."""

    source_language: str
    target_language: str
    segments: list[tuple[Any, str]]  # ids go back as they came


def result_schema(body: dict[str, Any]) -> dict[str, Any] | None:
    """The JSON schema that the answer must follow; {} for any JSON object."""
    wanted = body.get("response_format")  # chat completions
    if isinstance(wanted, dict):
        if wanted.get("type") == "json_schema":
            inner = wanted.get("json_schema")
            schema = inner.get("schema") if isinstance(inner, dict) else None
            return schema if isinstance(schema, dict) else {}
        return {} if wanted.get("type") == "json_object" else None
    text = body.get("text")  # responses
    wanted = text.get("format") if isinstance(text, dict) else None
    if isinstance(wanted, dict):
        if wanted.get("type") == "json_schema":
            schema = wanted.get("schema")
            return schema if isinstance(schema, dict) else {}
        return {} if wanted.get("type") == "json_object" else None
    return None


def schema_name(body: dict[str, Any]) -> str:
    """What the request calls its result schema; blank where it asks for none."""
    chat = body.get("response_format")
    text = body.get("text")
    named = chat.get("json_schema") if isinstance(chat, dict) else None
    if named is None and isinstance(text, dict):
        named = text.get("format")
    name = named.get("name") if isinstance(named, dict) else None
    return name if isinstance(name, str) else ""


def user_text(body: dict[str, Any]) -> str:
    """The last thing the user said, in either dialect."""
    given = body.get("messages")
    if given is None:
        given = body.get("input")
    if isinstance(given, str):
        return given
    if isinstance(given, list):
        for message in reversed(given):
            if isinstance(message, dict) and message.get("role", "user") == "user":
                return content_text(message.get("content"))
    return ""


def translation(text: str) -> Translation | None:
    """The segments of a user message that is a translation request; None otherwise."""
    if '"segments"' not in text:
        return None
    try:
        asked = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    segments = asked.get("segments") if isinstance(asked, dict) else None
    if not isinstance(segments, list):
        return None
    pairs = []
    for segment in segments:
        if not isinstance(segment, dict) or not isinstance(segment.get("text"), str):
            return None
        pairs.append((segment.get("id"), segment["text"]))
    return Translation(
        str(asked.get("source_language") or ""),
        str(asked.get("target_language") or ""),
        pairs,
    )
