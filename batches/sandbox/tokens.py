"""Token counts with the model's own tokenizer, loaded when first needed.

The formula for chat messages is OpenAI's cookbook "How to count tokens with tiktoken":
3 tokens a message and its texts, 1 more for a name, 3 to open the answer. A result
schema is counted as its compact JSON.
"""

import re
from collections.abc import Callable
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import orjson

OLDER_MODELS = re.compile(r"gpt-4(?!o|\.)|gpt-3\.5|text-embedding")
CACHE_STEP = 128  # prompt caching goes by blocks of 128 tokens, from 1,024 on
CACHE_MINIMUM = 1024


@cache
def _bindings() -> Any:
    """The compiled half of bpe_openai. Its Python half takes half a second and 70 MB
    to load every encoding there is; one of them takes 50 ms this way."""
    package = find_spec("bpe_openai")
    for place in (package and package.submodule_search_locations) or ():
        for path in Path(place).glob("_bindings*.so"):
            spec = spec_from_file_location("bpe_openai._bindings", path)
            if spec is not None and spec.loader is not None:
                module = module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    return import_module("bpe_openai._bindings")


@cache
def _tokenizer(encoding: str) -> Any:
    return _bindings().tokenizer_for_encoding(encoding)


@cache
def _counter(encoding: str) -> Callable[[str], int]:
    count: Callable[[str], int] = _tokenizer(encoding).count
    return count


@cache
def encoding_of(model: str) -> str:
    return "cl100k_base" if OLDER_MODELS.match(model) else "o200k_base"


def count_text(text: str, model: str) -> int:
    return _counter(encoding_of(model))(text)


@lru_cache(maxsize=256)
def _count_repeated(text: str, encoding: str) -> int:
    """For texts that many lines share: instructions and schemas."""
    return _counter(encoding)(text)


def cut_text(text: str, tokens: int, model: str) -> str:
    """The text up to so many tokens, without a torn character at its end."""
    tokenizer = _tokenizer(encoding_of(model))
    ids = tokenizer.encode(text)[:tokens]
    while ids:
        try:
            return str(tokenizer.decode(ids))
        except Exception:  # noqa: BLE001  (the last token is half a character)
            ids.pop()
    return ""


def warm_up() -> None:
    count_text("warm", "gpt-4o-mini")


def input_tokens(endpoint: str, body: dict[str, Any]) -> tuple[int, int]:
    """Tokens of a request, and of the opening that other requests may share with it."""
    model = body.get("model")
    model = model if isinstance(model, str) else ""
    if endpoint == "/v1/chat/completions":
        return _chat_tokens(body, model)
    if endpoint == "/v1/responses":
        return _responses_tokens(body, model)
    if endpoint == "/v1/embeddings":
        return _embedding_tokens(body.get("input"), model), 0
    return 0, 0


def _chat_tokens(body: dict[str, Any], model: str) -> tuple[int, int]:
    encoding = encoding_of(model)
    count = _counter(encoding)
    total, opening = 3, 0
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict):
            continue
        total += 4  # 3 and the role
        if message.get("role") in ("system", "developer"):
            total += _count_repeated(content_text(message.get("content")), encoding)
            opening = total - 3
        else:
            total += count(content_text(message.get("content")))
        if message.get("name"):
            total += 1 + count(str(message["name"]))
    wanted = body.get("response_format")
    if isinstance(wanted, dict) and "json_schema" in wanted:
        schema = orjson.dumps(wanted["json_schema"]).decode()
        total += _count_repeated(schema, encoding)
    return total, opening


def _responses_tokens(body: dict[str, Any], model: str) -> tuple[int, int]:
    encoding = encoding_of(model)
    count = _counter(encoding)
    total, opening = 3, 0
    instructions = body.get("instructions")
    if isinstance(instructions, str):
        total += 4 + _count_repeated(instructions, encoding)
        opening = total - 3
    given = body.get("input")
    for item in [{"content": given}] if isinstance(given, str) else given or ():
        if isinstance(item, dict):
            total += 4 + count(content_text(item.get("content")))
    text = body.get("text")
    wanted = text.get("format") if isinstance(text, dict) else None
    if isinstance(wanted, dict) and "schema" in wanted:
        total += _count_repeated(orjson.dumps(wanted["schema"]).decode(), encoding)
    return total, opening


def _embedding_tokens(given: Any, model: str) -> int:
    return sum(
        count_text(text, model) if isinstance(text, str) else len(text)
        for text in embedding_inputs(given)
    )


def embedding_inputs(given: Any) -> list[Any]:
    """The inputs of an embeddings request: texts, or lists of token numbers."""
    if isinstance(given, str):
        return [given]
    if isinstance(given, list):
        if given and all(isinstance(number, int) for number in given):
            return [given]
        return [text for text in given if isinstance(text, str | list)]
    return []


def content_text(content: Any) -> str:
    """The text of a message, whether it is a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(
            part["text"]
            for part in content
            if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return ""


def cacheable_tokens(opening: int) -> int:
    """How much of a shared opening is billed as cached, once another line began so."""
    return 0 if opening < CACHE_MINIMUM else opening // CACHE_STEP * CACHE_STEP
