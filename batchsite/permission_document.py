"""The permission table as Markdown."""

from collections.abc import Iterable, Iterator

from batches.models.api_key import Scope
from batches.services.roles import Role
from batchsite.permission_rows import (
    Row,
    acts,
    alike,
    operations,
    pages,
    root_of,
)
from batchsite.permission_table import ACT, KEY, MODELS, Outcome, Roles

ALLOWED, REFUSED = "✓", "–"
STAFF_ROLES = [role for role in Role if role not in (Role.ANONYMOUS, Role.USER)]


def document() -> str:
    """All parts, with their headings."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    callers = [*Role, *Scope]
    yield "## The API, by operation\n"
    yield from _table(
        "Operation", callers, [(_name(row), row) for row in (*operations(), *alike())]
    )
    yield "\n## The admin's rows, by model\n"
    yield from _models()
    yield "\n## What is done to rows\n"
    named = [(f"`{_model_of(row)}`: {row.act}", row) for row in acts()]
    yield from _table("Act", list(Role), named)
    yield "\n## Pages of their own\n"
    named = [(_name(row), row) for row in pages()]
    yield from _table("Page", [*Role, KEY], named)


def _table(
    first: str, callers: Iterable[str], named: Iterable[tuple[str, Row]]
) -> Iterator[str]:
    callers = [str(caller) for caller in callers]
    yield from _head(first, callers)
    for name, row in named:
        yield _line(name, [_shown(row.cells[caller]) for caller in callers])


def _models() -> Iterator[str]:
    """Who may see, add, change and delete: four letters, where one may."""
    yield "s: see rows and their history; a: add; c: change; d: delete.\n"
    yield from _head("Model", [str(role) for role in STAFF_ROLES])
    for label, shown in MODELS.items():
        letters: dict[str, Roles] = {
            "s": shown.see,
            "a": shown.add,
            "c": shown.change,
            "d": shown.delete,
        }
        cells = [
            "".join(letter for letter, roles in letters.items() if role in roles)
            for role in STAFF_ROLES
        ]
        yield _line(f"`{label}`", [cell or REFUSED for cell in cells])


def _head(first: str, names: list[str]) -> list[str]:
    return [_line(first, names), _line("---", ["---"] * len(names))]


def _line(first: str, cells: list[str]) -> str:
    return f"| {' | '.join([first, *cells])} |"


def _shown(outcome: Outcome) -> str:
    return ALLOWED if outcome is Outcome.ALLOWED else outcome.value


def _name(row: Row) -> str:
    return f"`{row.name}`".replace("|", "\\|")


def _model_of(row: Row) -> str:
    found = (label for label in MODELS if row.route == f"{root_of(label)}{ACT}")
    return next(found)
