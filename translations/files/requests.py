"""What one line asks for: read from a batch file, or made of a table's row."""

from functools import lru_cache
from string import Template
from typing import Any

import jsonschema
import orjson
from referencing import Registry

from batches.errors import BatchError
from batches.services.rendering import OUTPUT_LIMITS, output_limit
from batches.wire_schema import strict_problem
from batches.workloads import CHAT

LONGEST_ID = 255
# Answers are kept as the one text that they are; what these would add would be lost.
NOT_KEPT = ("audio", "functions", "logprobs", "modalities", "tools")


class BadRequestLine(ValueError):
    """Why a line cannot be sent: the field, its value, and what would do."""

    def __init__(self, field: str, value: Any, problem: str) -> None:
        super().__init__(problem)
        self.field, self.value, self.problem = field, value, problem


def read_request(line: bytes, limit: int | None) -> tuple[str, str, dict[str, Any]]:
    """(custom_id, model, body without its model) of a line of a batch file.

    `limit` is the output limit for a request that says none. Raises BadRequestLine.
    """
    try:
        given = orjson.loads(line)
    except orjson.JSONDecodeError as err:
        shown = line.strip()[:80].decode("utf-8", "replace")
        raise BadRequestLine(
            "", shown, f"This is not JSON: {err.msg} at character {err.pos + 1}."
        ) from err
    try:
        orjson.dumps(given)
    except orjson.JSONEncodeError as err:
        problem = "It is nested too deeply to be sent."
        raise BadRequestLine("", line[:80].decode("utf-8", "replace"), problem) from err
    if not isinstance(given, dict):
        raise BadRequestLine("", given, "A line must be a JSON object.")
    custom_id = check_id(given.get("custom_id"))
    if (method := given.get("method", "POST")) != "POST":
        raise BadRequestLine("method", method, "Write POST, or leave it out.")
    if (url := given.get("url")) != CHAT:
        raise BadRequestLine("url", url, f"Only {CHAT} is taken here.")
    body = given.get("body")
    if not isinstance(body, dict):
        raise BadRequestLine("body", body, "Give the request's body as an object.")
    model = body.pop("model", None)
    if not isinstance(model, str) or not model:
        raise BadRequestLine("body.model", model, "Name the model, as gpt-4o-mini.")
    check_body(body, limit)
    return custom_id, model, body


def check_id(given: Any) -> str:
    """A custom_id that can be used; raises BadRequestLine."""
    if not isinstance(given, str) or not 0 < len(given) <= LONGEST_ID:
        raise BadRequestLine(
            "custom_id", given, f"Give a text of 1 to {LONGEST_ID} characters."
        )
    if not given.isprintable():
        raise BadRequestLine("custom_id", given, "It has signs that cannot be printed.")
    return given


def check_body(body: dict[str, Any], limit: int | None) -> None:
    """See that a body can be sent, and give it an output limit where it has none."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestLine("body.messages", messages, "Give at least one message.")
    if body.get("stream"):
        raise BadRequestLine(
            "body.stream", body["stream"], "A batch cannot stream; leave it out."
        )
    for name in NOT_KEPT:
        if body.get(name):
            raise BadRequestLine(
                f"body.{name}",
                body[name],
                "Answers are kept as text here, so this would be lost; leave it out.",
            )
    if limit is not None and not any(name in body for name in OUTPUT_LIMITS):
        body["max_completion_tokens"] = limit
    try:
        output_limit(CHAT, body)
    except BatchError as err:
        given = {name: body[name] for name in (*OUTPUT_LIMITS, "n") if name in body}
        raise BadRequestLine(
            "body", given, f"{err} Or import it with --max-output-tokens N."
        ) from err
    _check_format(body.get("response_format"))


def _check_format(wanted: Any) -> None:
    if wanted is None:
        return
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        raise BadRequestLine(
            "body.response_format", wanted, "Use text, json_object or json_schema."
        )
    if kind == "json_schema":
        inner = wanted.get("json_schema")
        if not isinstance(inner, dict) or "schema" not in inner:
            raise BadRequestLine(
                "body.response_format.json_schema", inner, "It must have a schema."
            )
        said = orjson.dumps(inner["schema"], option=orjson.OPT_SORT_KEYS)
        if problem := schema_problem(said, is_strict=inner.get("strict") is True):
            raise BadRequestLine(
                "body.response_format.json_schema.schema", inner["schema"], problem
            )


@lru_cache(maxsize=64)
def schema_problem(schema: bytes, *, is_strict: bool = True) -> str:
    """Why answers cannot be asked for in this JSON schema; '' if they can."""
    given = orjson.loads(schema)
    if is_strict and (problem := strict_problem(given)):
        return problem
    if problem := _bad_reference(given, given):
        return problem
    try:
        jsonschema.Draft202012Validator.check_schema(given)
    except jsonschema.SchemaError as err:
        return f"This is no JSON schema: {err.message[:200]}."
    return ""


def _bad_reference(node: Any, root: Any) -> str:
    """Which $ref of a schema leads nowhere, or out of it; '' if none does."""
    if isinstance(node, list):
        parts = node
    elif isinstance(node, dict):
        parts = list(node.values())
        reference = node.get("$ref")
        if isinstance(reference, str) and not _leads_somewhere(reference, root):
            return (
                f"$ref {reference[:80]!r} leads nowhere in this schema; put what it "
                "means under $defs."
            )
    else:
        return ""
    return next(filter(None, (_bad_reference(part, root) for part in parts)), "")


def _leads_somewhere(reference: str, root: Any) -> bool:
    if reference != "#" and not reference.startswith("#/"):
        return False
    place = root
    for step in reference.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(place, dict) or step not in place:
            return False
        place = place[step]
    return True


@lru_cache(maxsize=64)
def _validator(schema: bytes) -> jsonschema.Draft202012Validator:
    # An empty registry: nothing is fetched, whatever a schema refers to.
    return jsonschema.Draft202012Validator(orjson.loads(schema), registry=Registry())


def mismatch(answer: Any, schema: Any) -> str:
    """Where an answer differs from its schema, and how; '' if it fits."""
    said = orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)
    error = next(_validator(said).iter_errors(answer), None)
    return "" if error is None else f"{error.json_path}: {error.message[:200]}"


# --- rows of a table ------------------------------------------------------------------


def columns_named(prompt: str) -> list[str]:
    """The $columns in a prompt, in their order; raises ValueError for a lone $."""
    template = Template(prompt)
    if not template.is_valid():
        raise ValueError("a $ that belongs to no column; write $$ for the sign itself")
    return template.get_identifiers()


def body_of_row(
    row: dict[str, str],
    *,
    prompt: str,
    schema: dict[str, Any] | None,
    output_limit: int,
) -> dict[str, Any]:
    """The request for a row. A prompt with $columns is filled with them; one without
    stands apart from the row, which goes along as data."""
    if columns_named(prompt):
        filled = Template(prompt).safe_substitute(row)
        messages = [{"role": "user", "content": filled}]
    else:
        messages = [
            {"role": "system", "content": prompt},
            {"role": "user", "content": orjson.dumps(row).decode()},
        ]
    body: dict[str, Any] = {
        "messages": messages,
        "max_completion_tokens": output_limit,
    }
    if schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        }
    return body
