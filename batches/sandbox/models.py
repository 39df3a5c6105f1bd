"""Which models the sandbox has: the families of OpenAI's list, by name."""

import re
from typing import Any

LISTED = (
    "gpt-6-luna",
    "gpt-5.6-luna",
    "gpt-5.4-mini",
    "gpt-5.4-nano",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4-turbo",
    "gpt-3.5-turbo",
    "o3",
    "o4-mini",
    "text-embedding-3-small",
    "text-embedding-3-large",
    "text-embedding-ada-002",
)

FAMILY = re.compile(
    r"(ft:)?(gpt-(3\.5-turbo|4|4-turbo|4o|4o-mini|4\.1|4\.1-mini|4\.1-nano"
    r"|[5-9](\.\d)?(-(mini|nano|pro|luna))?)"
    r"|o[1-9](-mini|-pro)?|text-embedding-(3-small|3-large|ada-002))"
    r"(-\d{4}(-\d\d-\d\d)?)?(:.*)?"
)
REASONING = re.compile(r"gpt-[5-9]|o[1-9]")


def is_known(model: str) -> bool:
    """Whether OpenAI would have such a model: a listed family, perhaps with a date."""
    return FAMILY.fullmatch(model) is not None


def is_reasoning(model: str) -> bool:
    return REASONING.match(model) is not None


def to_wire(model: str) -> dict[str, Any]:
    return {
        "id": model,
        "object": "model",
        "created": 1_715_367_049,
        "owned_by": "system",
    }
