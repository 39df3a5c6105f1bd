"""Files of requests, as somebody would bring them."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import orjson
import pytest

from translations.files.importing import Asked, import_file
from translations.files.models import RequestFile

SCHEMA = {
    "type": "object",
    "properties": {"mood": {"type": "string"}, "stars": {"type": "integer"}},
    "required": ["mood", "stars"],
    "additionalProperties": False,
}


def request_line(custom_id: Any = "a", text: str = "Hello", **body: Any) -> dict:
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": text}],
            "max_completion_tokens": 50,
            **body,
        },
    }


def wanted(schema: Any = SCHEMA, *, strict: bool = True) -> dict[str, Any]:
    inner = {"name": "answer", "strict": strict, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": inner}}


def jsonl(*lines: Any) -> bytes:
    return b"".join(
        line if isinstance(line, bytes) else orjson.dumps(line) + b"\n"
        for line in lines
    )


@pytest.fixture
def bring() -> Callable[..., RequestFile]:
    """Import lines, or the bytes of a table (`name` ends in .csv)."""

    def bring(*lines: Any, name: str = "mine.jsonl", **asked: Any) -> RequestFile:
        return import_file(BytesIO(jsonl(*lines)), name=name, asked=Asked(**asked))

    return bring
