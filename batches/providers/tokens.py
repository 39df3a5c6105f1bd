"""How many tokens a text is, counted offline with the model family's own encoding."""

from functools import lru_cache
from typing import TYPE_CHECKING

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


def _encoding_name(model: str) -> str:
    known = [prefix for prefix in ENCODINGS if model.startswith(prefix)]
    return ENCODINGS[max(known, key=len)] if known else NEWEST


@lru_cache(maxsize=4)
def _encoding(name: str) -> "Encoding":
    # 0.3 s and 140 MB: loaded by the first count, not by every command.
    from bpe_openai import get_encoding

    return get_encoding(name)
