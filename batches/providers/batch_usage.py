"""What a provider says that a whole batch used, out of its answer about the batch."""

from typing import Annotated, NamedTuple

import msgspec

_Tokens = Annotated[int, msgspec.Meta(ge=0)]


class Tokens(NamedTuple):
    """Sums over requests; `cached` are part of `input`."""

    input: int = 0
    cached: int = 0
    output: int = 0

    def __str__(self) -> str:
        fresh = f"{self.input:,} input ({self.cached:,} cached)"
        return f"{fresh} and {self.output:,} output tokens"

    def beyond(self, other: "Tokens") -> "Tokens":
        """What these have more than others have; never below 0."""
        more = max(0, self.input - other.input)
        cached = max(0, self.cached - other.cached)
        return Tokens(more, min(cached, more), max(0, self.output - other.output))


class _Details(msgspec.Struct):
    cached_tokens: _Tokens | None = None


class _Usage(msgspec.Struct):
    input_tokens: _Tokens
    output_tokens: _Tokens
    input_tokens_details: _Details | None = None


class _Batch(msgspec.Struct):
    usage: _Usage | None = None


_decode = msgspec.json.Decoder(_Batch).decode


def batch_usage(answer: str, *, cached: int = 0) -> Tokens | None:
    """A batch's own `usage`; None where it has none that can be read.

    Batches made before September 2025 have none, and neither have those of many other
    servers. `cached` is assumed where the answer does not tell it.
    """
    try:
        usage = _decode(answer or "{}").usage
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    if usage is None:
        return None
    details = usage.input_tokens_details
    told = details.cached_tokens if details else None
    return Tokens(
        usage.input_tokens, cached if told is None else told, usage.output_tokens
    )
