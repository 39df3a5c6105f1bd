"""What a row of the requirements asks of the API, and where that is tested."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Call:
    """A request and what comes back: the row's own example is its shape.

    `scene` names what there is before, and with that what stands in `{…}` of the
    address and the body. `sent` is the body. `message` is part of an error's sentence.
    """

    ask: str
    example: Any
    scene: str = "nothing"
    sent: Any = None
    status: int = 200
    message: str = ""


@dataclass(frozen=True)
class Elsewhere:
    """Tests elsewhere that hold the row, as `file::test`."""

    names: tuple[str, ...]


Contract = dict[str, list[Call | Elsewhere]]


def elsewhere(*names: str) -> Elsewhere:
    return Elsewhere(names)


def api_tests(file: str, *names: str) -> Elsewhere:
    """Tests of one file in tests/api."""
    return Elsewhere(tuple(f"tests/api/{file}.py::{name}" for name in names))


def calls(contract: Contract) -> list[tuple[str, Call]]:
    """Every call once, behind the rows that it is of."""
    rows: dict[int, list[str]] = {}
    found: dict[int, Call] = {}
    for row, ways in contract.items():
        for one in ways:
            if isinstance(one, Call):
                found[id(one)] = one
                rows.setdefault(id(one), []).append(row)
    return [(", ".join(rows[key]), one) for key, one in found.items()]
