"""Checks objects and lines against the published shapes of OpenAI's wire."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

PATH = Path(__file__).with_name("openai-batch.schema.json")


@cache
def _validator(definition: str) -> jsonschema.Draft202012Validator:
    schema = json.loads(PATH.read_text())
    return jsonschema.Draft202012Validator({**schema, "$ref": f"#/$defs/{definition}"})


def check(definition: str, value: Any) -> None:
    """Fail unless the value is a valid `Batch`, `File`, `BatchOutputLine`, …"""
    _validator(definition).validate(value)
