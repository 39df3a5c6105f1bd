"""How many tokens a text is, counted offline with the model family's own encoding."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from batches.errors import BatchError

if TYPE_CHECKING:
    from bpe_openai import Encoding

# Longest prefix wins. What is not listed counts as the newest family does.
ENCODINGS = {
    "gpt-3.5": "cl100k_base",
    "gpt-4": "cl100k_base",
    "gpt-4o": "o200k_base",
    "gpt-4.1": "o200k_base",
    "gpt-4.5": "o200k_base",
    "text-embedding-": "cl100k_base",
}
NEWEST = "o200k_base"

# The encoder refuses very long texts; pieces of this size are far inside its bound, and
# cutting adds at most a token a piece.
PIECE_CHARACTERS = 50_000

# What the chat format adds to each message and to the whole (OpenAI cookbook, "How to
# count tokens", 2024).
PER_MESSAGE = 4
PER_REQUEST = 3

EMBEDDINGS = "/v1/embeddings"
TEXTS = frozenset({"text", "input_text", "output_text"})


def count_tokens(model: str, text: str) -> int:
    encoding = _encoding(_encoding_name(model))
    return sum(
        len(encoding.encode_ordinary(text[start : start + PIECE_CHARACTERS]))
        for start in range(0, len(text), PIECE_CHARACTERS)
    )


@lru_cache(maxsize=256)
def count_repeated(model: str, text: str) -> int:
    """The same for a text that many requests share: instructions, schemas."""
    return count_tokens(model, text)


def count_request(endpoint: str, model: str, body: Mapping[str, Any]) -> int:
    """The input tokens of a request to any endpoint, with what its format adds.

    Raises BatchError for content whose tokens cannot be counted here, such as images:
    what such a request may cost could not be reserved.
    """
    if endpoint == EMBEDDINGS:
        return _count_embedded(model, body.get("input", ""))
    if "messages" in body:
        messages, shared = body["messages"], [body.get("response_format")]
    else:
        given = body.get("input", "")
        messages = [{"content": given}] if isinstance(given, str) else given
        shared = [(body.get("text") or {}).get("format")]
    counted = PER_REQUEST + PER_MESSAGE * len(messages)
    for message in messages:
        count = count_repeated if message.get("role") == "system" else count_tokens
        content = message.get("content")
        for text in [content] if isinstance(content, str) else _texts(content):
            counted += count(model, text)
    shared.append(body.get("tools"))
    for part in shared:
        if part:
            counted += count_repeated(model, orjson.dumps(part).decode())
    if instructions := body.get("instructions"):
        counted += PER_MESSAGE + count_repeated(model, instructions)
    return counted


def _texts(content: Any) -> list[str]:
    """The texts of a message that is given in parts."""
    texts = []
    for part in content or ():
        if part.get("type") not in TEXTS:
            raise BatchError(
                f"The tokens of a {part.get('type')!r} part cannot be counted here, so "
                "what it costs cannot be reserved. Send texts only."
            )
        texts.append(part["text"])
    return texts


def _count_embedded(model: str, given: Any) -> int:
    """One text or several, each as text or as tokens already."""
    if isinstance(given, str):
        return count_tokens(model, given)
    return sum(
        1 if isinstance(one, int) else _count_embedded(model, one) for one in given
    )


def _encoding_name(model: str) -> str:
    model = model.removeprefix("ft:")  # one tuned by somebody is of its base's family
    known = [prefix for prefix in ENCODINGS if model.startswith(prefix)]
    return ENCODINGS[max(known, key=len)] if known else NEWEST


@lru_cache(maxsize=4)
def _encoding(name: str) -> "Encoding":
    # 0.3 s and 140 MB: loaded by the first count, not by every command.
    from bpe_openai import get_encoding

    return get_encoding(name)
