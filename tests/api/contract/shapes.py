"""Whether an answer has the shape of an example: its very names, and values like its.

An example is what a document prints: its numbers stand for numbers, its times for
times, and a list's one entry for all. `Either` is a value of more than one kind,
`Whatever` any of a type, `Exactly` this one.
"""

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass(frozen=True)
class Either:
    """A value like one of these, such as a time or null."""

    examples: tuple[Any, ...]


@dataclass(frozen=True)
class Exactly:
    """This value and no other."""

    value: Any


@dataclass(frozen=True)
class Whatever:
    """A value of this type, whatever is in it; `object` for any at all."""

    kind: type


def nullable(example: Any) -> Either:
    return Either((example, None))


ID = UUID(int=0)  # an example of what is an id of ours
TIME_EXAMPLE = "2026-03-01T23:30:00Z"


def differences(example: Any, found: Any, at: str = "answer") -> list[str]:
    """Where they differ, as sentences; none where the shape is the same."""
    match example:
        case Exactly():
            is_right = example.value == found
            return [] if is_right else [f"{at} is {found!r}, not {example.value!r}"]
        case Whatever(kind):
            is_right = isinstance(found, kind)
            return [] if is_right else [f"{at} is {found!r}, and no {kind.__name__}"]
        case Either():
            tries = [differences(one, found, at) for one in example.examples]
            return min(tries, key=len)
        case dict():
            return _of_objects(example, found, at)
        case list():
            return _of_lists(example, found, at)
        case _:
            is_right = _is_like(example, found)
            return [] if is_right else [f"{at} is {found!r}, not like {example!r}"]


def _of_objects(example: dict[str, Any], found: Any, at: str) -> list[str]:
    if not isinstance(found, dict):
        return [f"{at} is {found!r}, and no object"]
    missing = [f"{at}.{name} is missing" for name in example.keys() - found.keys()]
    more = [f"{at}.{name} is not named" for name in found.keys() - example.keys()]
    both = example.keys() & found.keys()
    inside = (differences(example[key], found[key], f"{at}.{key}") for key in both)
    return sorted(missing + more + [one for several in inside for one in several])


def _of_lists(example: list[Any], found: Any, at: str) -> list[str]:
    if not isinstance(found, list) or bool(found) != bool(example):
        return [f"{at} is {found!r}, not like {example!r}"]
    inside = (
        differences(example[0], one, f"{at}.{number}")
        for number, one in enumerate(found)
    )
    return [one for several in inside for one in several]


def _is_like(example: Any, found: Any) -> bool:
    match example:
        case None | bool():
            return example is found if example is None else isinstance(found, bool)
        case int():
            return isinstance(found, int) and not isinstance(found, bool)
        case float():
            return isinstance(found, int | float) and not isinstance(found, bool)
        case UUID():
            return isinstance(found, str) and str(_uuid(found)) == found
        case str():
            is_time = bool(TIME.fullmatch(example))
            return isinstance(found, str) and bool(TIME.fullmatch(found)) == is_time
    raise TypeError(f"{example!r} is no example")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
