"""Deterministic answers that say what they are, for a world without a key."""

from typing import Any

import orjson

from batches.sandbox.bodies import Answer
from batches.sandbox.responders import LocalResponder
from batches.sandbox.responders.asked import (
    Translation,
    result_schema,
    translation,
    user_text,
)
from batches.sandbox.responders.instances import instance_of
from batches.sandbox.responders.script import pseudo_text

FINGERPRINT = "sandbox_pseudo"
LONGEST_ECHO = 500  # characters of the request that a plain answer repeats


class PseudoResponder(LocalResponder):
    """A valid instance of the schema asked for; segments in the target's script."""

    def __init__(self) -> None:
        self._instances: dict[bytes, str] = {}

    def answer(self, body: dict[str, Any]) -> Answer:
        text = user_text(body)
        schema = result_schema(body)
        asked = translation(text)
        if asked is not None:
            said = translated(
                asked, schema, lambda t: pseudo_text(t, asked.target_language)
            )
        elif schema is not None:
            said = self._instance_text(schema)
        else:
            said = pseudo_text(text[:LONGEST_ECHO], "en") or "‹pseudo›"
        return Answer(said, FINGERPRINT)

    def _instance_text(self, schema: dict[str, Any]) -> str:
        key = orjson.dumps(schema)
        if key not in self._instances:
            if len(self._instances) > 100:
                self._instances.clear()
            instance = instance_of(schema) if schema else {"answer": "‹pseudo›"}
            self._instances[key] = orjson.dumps(instance).decode()
        return self._instances[key]


def translated(asked: Translation, schema: dict[str, Any] | None, write: Any) -> str:
    """The JSON answer to a translation: every segment by `write(text)`, nothing
    uncertain, and whatever else the schema demands."""
    result: dict[str, Any] = {}
    properties = (schema or {}).get("properties", {})
    for name in (schema or {}).get("required", []):
        if name != "segments":
            wanted = properties.get(name, {})
            is_array = wanted.get("type") == "array" and not wanted.get("minItems")
            result[name] = [] if is_array else instance_of(wanted, name=name)
    result["segments"] = [
        {"id": segment_id, "text": write(text)} for segment_id, text in asked.segments
    ]
    if schema is None or "uncertain" in properties:
        result.setdefault("uncertain", [])
    return orjson.dumps(result).decode()
