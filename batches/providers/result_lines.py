"""Reading one line of an output or error file: the vendor's shapes end here.

Split files at "\\n" only: a text may hold U+2028, U+2029 and U+0085, at which
`str.splitlines` would cut it in two. Shapes: OpenAI's batch output lines, where a
failed request has its HTTP status and error body under `response`, and one that never
ran has `response` null and a top-level `error`.
"""

from typing import Annotated

import msgspec

# Lines of the error file for requests that were not executed; nothing was billed.
NOT_EXECUTED = frozenset({"batch_expired", "batch_cancelled"})


_NUL = rb"\u0000"
# A count that no column could hold is no count.
_Tokens = Annotated[int, msgspec.Meta(ge=0, le=2_000_000_000)]
_Status = Annotated[int, msgspec.Meta(ge=0, le=999)]


class _ErrorBody(msgspec.Struct, gc=False):
    code: str | int | None = None
    type: str | None = None
    message: str | None = None


class _Message(msgspec.Struct, gc=False):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct, gc=False):
    message: _Message
    finish_reason: str | None = None


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: _Tokens | None = None
    cache_write_tokens: _Tokens | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: _Tokens = 0
    completion_tokens: _Tokens = 0
    prompt_tokens_details: _InputDetails | None = None


class _Body(msgspec.Struct, gc=False):
    """A chat completion, or the body of a refusal, which has only `error`."""

    choices: list[_Choice] | None = None
    model: str | None = None
    usage: _Usage | None = None
    system_fingerprint: str | None = None
    error: _ErrorBody | None = None


class _Response(msgspec.Struct, gc=False):
    status_code: _Status | None = None
    body: _Body | None = None


class _Line(msgspec.Struct, gc=False):
    custom_id: str
    response: _Response | None = None
    error: _ErrorBody | None = None


class _OddLine(msgspec.Struct, gc=False):
    """What can be had of a line whose response is of no documented shape."""

    custom_id: str


class ResultLine(msgspec.Struct, gc=False):
    """What a line says. `error_code` is empty exactly where there is an answer.

    Tokens are the provider's own count; those read from its cache and those written to
    it are part of `input_tokens`.
    `number` is its 1-based place in its file, where that is known.
    """

    custom_id: str
    number: int | None = None
    http_status: int | None = None
    text: str = ""
    finish_reason: str = ""
    refusal: str = ""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    written_tokens: int = 0
    model: str = ""
    fingerprint: str = ""
    error_code: str = ""
    error_message: str = ""


_TEXTS = tuple(
    field.name for field in msgspec.structs.fields(ResultLine) if field.type is str
)
_decode = msgspec.json.Decoder(_Line).decode
_decode_odd = msgspec.json.Decoder(_OddLine).decode


def read_line(raw: bytes, number: int | None = None) -> ResultLine | None:
    """Read one line of a chat batch; None where not even its custom_id can be read."""
    try:
        line = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        read = _read_odd(raw, number, err)
    else:
        read = _read(line, number)
    if _NUL in raw and read is not None:
        _replace_nul(read)
    return read


def _read(line: _Line, number: int | None) -> ResultLine:
    response = line.response
    if response is None:
        return _not_answered(line, number)
    body = response.body
    if response.status_code != 200 or line.error is not None:
        read = _refused(line, response, number)
    elif body is None or not body.choices:
        read = ResultLine(line.custom_id, number, 200)
        read.error_code = "empty_answer"
        read.error_message = "The answer has no choices."
    else:
        choice = body.choices[0]
        message = choice.message
        read = ResultLine(
            line.custom_id,
            number,
            200,
            message.content or "",
            choice.finish_reason or "",
            message.refusal or "",
        )
    if body is not None:
        read.model, read.fingerprint = body.model or "", body.system_fingerprint or ""
        if (usage := body.usage) is not None:
            read.input_tokens = usage.prompt_tokens
            read.output_tokens = usage.completion_tokens
            details = usage.prompt_tokens_details
            if details is not None:
                if cached := details.cached_tokens:
                    read.cached_tokens = min(cached, read.input_tokens)
                if written := details.cache_write_tokens:
                    left = read.input_tokens - read.cached_tokens
                    read.written_tokens = min(written, left)
    return read


def _replace_nul(read: ResultLine) -> None:
    """Put U+FFFD for every NUL that was escaped: PostgreSQL takes none in a text.

    An answer that is JSON itself may hold the escape as a text of six characters.
    """
    for name in _TEXTS:
        if "\0" in (text := getattr(read, name)):
            setattr(read, name, text.replace("\0", "\ufffd"))


def _not_answered(line: _Line, number: int | None) -> ResultLine:
    error = line.error or _ErrorBody()
    return ResultLine(
        line.custom_id,
        number,
        error_code=_code(error, "no_response"),
        error_message=error.message or "The line has neither response nor error.",
    )


def _refused(line: _Line, response: _Response, number: int | None) -> ResultLine:
    status, body = response.status_code, response.body
    said = (body.error if body else None) or line.error or _ErrorBody()
    return ResultLine(
        line.custom_id,
        number,
        status,
        error_code=_code(said, f"http_{status or 0}"),
        error_message=said.message or f"The provider answered {status}.",
    )


def _read_odd(raw: bytes, number: int | None, err: Exception) -> ResultLine | None:
    try:
        line = _decode_odd(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return ResultLine(
        line.custom_id,
        number,
        error_code="unreadable_answer",
        error_message=f"The answer is not of the documented shape: {err}",
    )


def _code(error: _ErrorBody, default: str) -> str:
    return str(error.code or error.type or default)[:64]
