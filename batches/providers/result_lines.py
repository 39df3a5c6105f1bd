"""Reading one line of an output or error file: the vendor's shapes end here.

Split files at "\\n" only: a text may hold U+2028, U+2029 and U+0085, at which
`str.splitlines` would cut it in two. Shapes: OpenAI's batch output lines, where a
failed request has its HTTP status and error body under `response`, and one that never
ran has `response` null and a top-level `error`.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

# Lines of the error file for requests that were not executed; nothing was billed.
NOT_EXECUTED = frozenset({"batch_expired", "batch_cancelled"})


class _ErrorBody(msgspec.Struct):
    code: str | int | None = None
    type: str | None = None
    message: str | None = None


class _Response(msgspec.Struct):
    status_code: int | None = None
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: _ErrorBody | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _InputDetails | None = None


class _Chat(msgspec.Struct):
    choices: list[_Choice] = []
    model: str | None = None
    usage: _Usage | None = None
    system_fingerprint: str | None = None


class _Refused(msgspec.Struct):
    error: _ErrorBody | None = None


@dataclass(slots=True)
class ResultLine:
    """What a line says. `error_code` is empty exactly where there is an answer.

    Tokens are the provider's own count; `cached_tokens` are part of `input_tokens`.
    """

    custom_id: str
    http_status: int | None = None
    text: str = ""
    finish_reason: str = ""
    refusal: str = ""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    model: str = ""
    fingerprint: str = ""
    error_code: str = ""
    error_message: str = ""


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_chat = msgspec.json.Decoder(_Chat).decode
_decode_refused = msgspec.json.Decoder(_Refused).decode


def read_line(raw: bytes) -> ResultLine | None:
    """Read one line of a chat batch; None where not even its custom_id can be read."""
    try:
        line = _decode_line(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    read = ResultLine(custom_id=line.custom_id)
    if line.response is None:
        error = line.error or _ErrorBody(code="no_response")
        read.error_code = _code(error, "no_response")
        read.error_message = error.message or "The line has neither response nor error."
        return read
    read.http_status = line.response.status_code
    try:
        if read.http_status == 200 and line.error is None:
            _read_chat(line.response.body, read)
        else:
            _read_refused(line, read)
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        read.error_code = "unreadable_answer"
        read.error_message = f"The answer's body is not as documented: {err}"
    return read


def _read_chat(body: Any, read: ResultLine) -> None:
    chat = _decode_chat(body)
    read.model = chat.model or ""
    read.fingerprint = chat.system_fingerprint or ""
    if chat.usage:
        read.input_tokens = chat.usage.prompt_tokens
        read.output_tokens = chat.usage.completion_tokens
        if details := chat.usage.prompt_tokens_details:
            read.cached_tokens = details.cached_tokens or 0
    if not chat.choices:
        read.error_code = "empty_answer"
        read.error_message = "The answer has no choices."
        return
    choice = chat.choices[0]
    read.text = choice.message.content or ""
    read.refusal = choice.message.refusal or ""
    read.finish_reason = choice.finish_reason or ""


def _read_refused(line: _Line, read: ResultLine) -> None:
    body = _decode_refused(line.response.body) if line.response else _Refused()
    error = body.error if body and body.error else line.error or _ErrorBody()
    read.error_code = _code(error, f"http_{read.http_status or 0}")
    read.error_message = error.message or f"The provider answered {read.http_status}."


def _code(error: _ErrorBody, default: str) -> str:
    return str(error.code or error.type or default)[:64]
