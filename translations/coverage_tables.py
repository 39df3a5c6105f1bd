"""Coverage in the shapes that leave the house: JSON, and text for a terminal."""

from collections.abc import Sequence
from typing import Any

from translations.coverage import SHOWN, Line, State

COLUMNS = ("content", "group", "language", *State, "total", "done")


def as_dict(line: Line) -> dict[str, Any]:
    return {
        "kind": line.entry.kind,
        "group": line.group_key,
        "group_name": line.group,
        "language": line.language,
        **{state.value: count for state, count in line.counts.items()},
        "total": line.total,
        "percent": line.percent,
    }


def as_text(lines: Sequence[Line]) -> str:
    """A table with a line for each, and one with the sums; names are one line each."""
    rows = [
        [
            line.entry.kind,
            " ".join(line.group.split()) or "-",
            line.language,
            *(str(line.counts[state]) for state in State),
            str(line.total),
            f"{line.percent} %",
        ]
        for line in lines
    ]
    sums = [sum(line.counts[state] for line in lines) for state in State]
    total = sum(sums)
    shown = sum(line.counts[state] for line in lines for state in SHOWN)
    percent = 100 * shown // total if total else 0
    rows.append(["all", "-", "-", *map(str, sums), str(total), f"{percent} %"])
    widths = [max(map(len, cells)) for cells in zip(COLUMNS, *rows, strict=True)]
    return "".join(
        "  ".join(
            cell.ljust(width) if place < 3 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        + "\n"
        for row in [COLUMNS, *rows]
    )
