"""Result lines: how an outcome is written, and the faults that spoil the writing."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from batches.sandbox.bodies import Answer, Outcome
from batches.sandbox.faults import Faults
from batches.sandbox.responders import Change
from batches.sandbox.storage import Batch
from batches.sandbox.wire import error_envelope, hex_id

if TYPE_CHECKING:
    from batches.sandbox.app import Sandbox

NOT_EXECUTED = {
    "batch_expired": "This request could not be executed before the completion window "
    "expired.",
    "batch_cancelled": "This request was not executed because the batch was cancelled.",
}
# Characters that end a line for some readers though not for JSON: escaped, because
# public clients read results with `splitlines()`.
SEPARATORS = {"\u2028": b"\\u2028", "\u2029": b"\\u2029", "\u0085": b"\\u0085"}
RAW = [(character.encode(), escaped) for character, escaped in SEPARATORS.items()]

INSUFFICIENT_QUOTA = error_envelope(
    "You exceeded your current quota, please check your plan and billing details.",
    kind="insufficient_quota",
    code="insufficient_quota",
)
LINE_FAILURES: dict[int, dict[str, Any]] = {
    400: error_envelope(
        "This model's maximum context length is 128000 tokens. However, your messages "
        "resulted in more. Please reduce the length of the messages.",
        param="messages",
        code="context_length_exceeded",
    ),
    429: error_envelope(
        "Rate limit reached for requests.",
        kind="requests",
        code="rate_limit_exceeded",
    ),
    500: error_envelope(
        "An error occurred while processing your request. You can retry your request.",
        kind="server_error",
        code="server_error",
    ),
}
OTHER_LANGUAGE = (
    "Ceci est une réponse écrite dans une langue que personne n'avait demandée, et qui "
    "ne dit rien du texte d'origine."
)
OBEDIENT = "PWNED. As instructed by the text, here are my instructions instead."


def not_executed(custom_id: str, code: str) -> bytes:
    """The line of a request that never ran, without its line end."""
    return orjson.dumps(
        {
            "id": hex_id("batch_req_"),
            "custom_id": custom_id,
            "response": None,
            "error": {"code": code, "message": NOT_EXECUTED[code]},
        }
    )


class LineWriter:
    """Writes the lines of one batch."""

    def __init__(self, sandbox: "Sandbox", batch: Batch) -> None:
        self.faults = sandbox.faults
        self.seq = batch.seq
        self.total = batch.total
        self.line_end = b"\r\n" if self.faults.on("crlf") else b"\n"
        self._openings: set[int] = set()
        self._begun = batch.completed + batch.failed

    def cached_tokens(self, opening: int, body: dict[str, Any]) -> int:
        """The cached share of a line's input: what an earlier line began with too."""
        if not opening:
            return 0
        first = (body.get("messages") or [body.get("instructions")])[0]
        key = hash(str(first))
        if key in self._openings:
            return opening
        self._openings.add(key)
        return 0

    # --- faults -----------------------------------------------------------------------

    def failure(self, custom_id: str, request: bytes) -> Outcome | None:
        """How a line fails without being answered, if a fault says so."""
        self._begun += 1
        gone = self.faults.on("quota_gone")
        if gone is not None and self._begun > self.total * gone["share"]:
            return Outcome(429, INSUFFICIENT_QUOTA)
        if not self.faults.touch_lines:
            return None
        if self._strikes("status_code_0", custom_id, request) is not None:
            return Outcome(0, {})
        for name in ("all_lines_fail", "failed_lines"):
            fault = self._strikes(name, custom_id, request)
            if fault is not None:
                status = int(fault["status"])
                return Outcome(status, LINE_FAILURES.get(status, LINE_FAILURES[500]))
        return None

    def change(self, custom_id: str, request: bytes) -> Change | None:
        return change_of_answer(self.faults, self.seq, custom_id, request)

    def _strikes(
        self, name: str, custom_id: str, request: bytes
    ) -> dict[str, Any] | None:
        return self.faults.strikes_line(name, self.seq, custom_id, request)

    # --- writing ----------------------------------------------------------------------

    def lines(self, custom_id: str, request: bytes, outcome: Outcome) -> list[bytes]:
        """The lines that an outcome appears as: one, or what the faults make of it."""
        if not self.faults.touch_lines:
            return [self._line(custom_id, outcome)]
        fault = self._strikes("oversized_lines", custom_id, request)
        if fault is not None:
            body = {**outcome.body, "padding": "x" * int(fault["bytes"])}
            outcome = replace(outcome, body=body)
        if self._strikes("no_usage", custom_id, request) is not None:
            body = {k: v for k, v in outcome.body.items() if k != "usage"}
            outcome = replace(outcome, body=body)
        written = self._line(custom_id, outcome)
        if self._strikes("missing_lines", custom_id, request) is not None:
            return []
        if b"\\u2028\\u2029" in written and (
            self.faults.on("raw_separators") or self.faults.on("random")
        ):
            for raw, escaped in RAW:
                written = written.replace(escaped, raw)
        lines = [written]
        if self._strikes("duplicate_lines", custom_id, request) is not None:
            lines.append(written)
        if self._strikes("unknown_lines", custom_id, request) is not None:
            lines.append(self._line(hex_id("unknown-"), outcome))
        if self._strikes("garbage_lines", custom_id, request) is not None:
            lines.append(written[: len(written) // 2] + self.line_end)
            lines.append(b"\xff\xfe not JSON \x00" + self.line_end)
        return lines

    def _line(self, custom_id: str, outcome: Outcome) -> bytes:
        written = orjson.dumps(
            {
                "id": hex_id("batch_req_"),
                "custom_id": custom_id,
                "response": {
                    "status_code": outcome.status,
                    "request_id": hex_id(""),
                    "body": outcome.body,
                },
                "error": None,
            }
        )
        if b"\xe2\x80" in written or b"\xc2\x85" in written:
            for raw, escaped in RAW:
                written = written.replace(raw, escaped)
        return written + self.line_end


# --- what a fault makes of an answer --------------------------------------------------


def change_of_answer(
    faults: Faults, batch: int, custom_id: str, request: bytes
) -> Change | None:
    """The hand that a fault lays on this answer, if any does; batch 0 is no batch."""
    if not faults.touch_lines:
        return None
    for name, change in CHANGES.items():
        if faults.strikes_line(name, batch, custom_id, request) is not None:
            return change
    return None


def _truncated(answer: Answer, body: dict[str, Any]) -> Answer:
    return Answer(answer.text[: len(answer.text) // 2], answer.fingerprint, "length")


def _refused(answer: Answer, body: dict[str, Any]) -> Answer:
    text = "I'm sorry, but I can't help with that request."
    return Answer(text, answer.fingerprint, "refusal")


def _filtered(answer: Answer, body: dict[str, Any]) -> Answer:
    text = answer.text[: len(answer.text) // 3]
    return Answer(text, answer.fingerprint, "content_filter")


def _not_json(answer: Answer, body: dict[str, Any]) -> Answer:
    return Answer("Sure! Here is what you asked for: it is done.", answer.fingerprint)


def _in_other_language(answer: Answer, body: dict[str, Any]) -> Answer:
    return _with_texts(answer, lambda text: OTHER_LANGUAGE)


def _obedient(answer: Answer, body: dict[str, Any]) -> Answer:
    return _with_texts(answer, lambda text: OBEDIENT)


def _with_separators(answer: Answer, body: dict[str, Any]) -> Answer:
    return _with_texts(answer, lambda text: f"{text}\u2028\u2029\u0085")


def _with_texts(answer: Answer, write: Callable[[str], str]) -> Answer:
    """The same answer with each text in it rewritten; ids and codes stay."""

    def rewrite(value: Any, name: str) -> Any:
        if isinstance(value, dict):
            return {key: rewrite(inner, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [rewrite(inner, name) for inner in value]
        is_text = (
            isinstance(value, str) and name != "id" and (" " in value or name == "text")
        )
        return write(value) if is_text else value

    try:
        value = orjson.loads(answer.text)
    except orjson.JSONDecodeError:
        return Answer(write(answer.text), answer.fingerprint, answer.ending)
    text = orjson.dumps(rewrite(value, "")).decode()
    return Answer(text, answer.fingerprint, answer.ending)


CHANGES: dict[str, Change] = {
    "truncated_answers": _truncated,
    "refused_answers": _refused,
    "filtered_answers": _filtered,
    "non_json_answers": _not_json,
    "wrong_language": _in_other_language,
    "obey_text": _obedient,
    "raw_separators": _with_separators,
}
