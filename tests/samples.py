"""What there is to work on, by workload: the content that ships with the product."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import orjson
from django.core.management import call_command

from batches.services.prompts import current_prompt
from batches.workloads import all_workloads, get_workload
from tests.processes import ROOT
from translations.files.importing import import_file

CHATS = ROOT / "translations" / "chats" / "content"
CONTENT = ROOT / "translations" / "lessons" / "content"


def lessons() -> dict[str, Any]:
    call_command("import_content", "lessons", str(CONTENT / "lessons.jsonl"))
    return {}


def quizzes() -> dict[str, Any]:
    lessons()
    call_command("import_content", "quizzes", str(CONTENT / "quizzes.jsonl"))
    return {}


def requests() -> dict[str, Any]:
    lines = [
        orjson.dumps(
            {
                "custom_id": lesson["id"],
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {
                    "model": "gpt-4o-mini",
                    "messages": [{"role": "user", "content": lesson["title"]}],
                    "max_completion_tokens": 100,
                },
            }
        )
        for lesson in map(
            orjson.loads, (CONTENT / "lessons.jsonl").read_bytes().splitlines()
        )
    ]
    file = import_file(BytesIO(b"\n".join(lines)), name="titles.jsonl")
    return {"file": file.pk}


def chats() -> dict[str, Any]:
    call_command("import_chats", str(CHATS / "chats.jsonl"))
    return {}


def references() -> dict[str, Any]:
    call_command("add_references")
    version = current_prompt(get_workload("translation"))
    return {"of": "translation", "prompt": version.number}


WORDS = ["patience", "river", "candle"]
# What there is to work on, by workload: made by the function, which gives the options.
SAMPLES: dict[str, Callable[[], dict[str, Any]]] = {
    "translation": lambda: {**lessons(), "languages": ["en", "ar"]},
    "summary": lessons,
    "quiz_improvement": quizzes,
    "dictionary": lambda: {"words": WORDS},
    "word_features": lambda: {
        "words": WORDS,
        "features": ["context_definition", "usage_examples", "etymology"],
        "sentence": "Patience is the river that carries the candle.",
    },
    "file": requests,
    "session_analysis": chats,
    "golden": references,
}


def shipped() -> set[str]:
    """The workloads of the apps that ship, not those of the tests."""
    return {
        key
        for key, workload in all_workloads().items()
        if not type(workload).__module__.startswith("tests.")
    }
