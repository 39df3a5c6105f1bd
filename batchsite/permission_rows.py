"""The rows of the permission table: one for each address, method and act."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from batches.models.api_key import Scope
from batchsite.permission_table import (
    ACT,
    ACTS,
    ALIKE,
    ANONYMOUS,
    ANY_STAFF,
    ANYBODY,
    KEY,
    LEFT,
    MEMBERS,
    MODELS,
    NOWHERE,
    OBJECT,
    OF_OTHERS,
    OPERATIONS,
    PAGES,
    ROLES,
    SIGNED_IN,
    STAFF,
    USER,
    Outcome,
    Roles,
)


@dataclass(frozen=True)
class Row:
    """One line: `route` is as the URL resolver has it, `act` what it is asked to do."""

    method: str
    route: str
    cells: dict[str, Outcome]
    act: str = ""

    @property
    def name(self) -> str:
        return f"{self.method} /{self.route}" + (f" {self.act}" if self.act else "")


def rows() -> Iterator[Row]:
    """The whole table, part by part."""
    yield from operations()
    yield from alike()
    for label in MODELS:
        yield from model_pages(label)
    yield from acts()
    yield from pages()


def operations() -> Iterator[Row]:
    for name, door in OPERATIONS.items():
        yield Row(*_parts(name), door.cells())


def alike() -> Iterator[Row]:
    for name, outcome in ALIKE.items():
        callers = (*ROLES, *Scope)
        yield Row(*_parts(name), {caller.value: outcome for caller in callers})


def model_pages(label: str) -> Iterator[Row]:
    """List, page, history, adding, changing and deleting of one model."""
    shown = MODELS[label]
    root = root_of(label)
    yield _page("GET", root, shown.see)
    yield _page("GET", f"{root}{OBJECT}/", ANY_STAFF)  # leads to the next
    yield _page("GET", f"{root}{OBJECT}/change/", shown.see)
    yield _page("GET", f"{root}{OBJECT}/history/", shown.see)
    yield _page("GET", f"{root}add/", shown.add)
    yield _page("POST", f"{root}{OBJECT}/change/", shown.change)
    yield _page("GET", f"{root}{OBJECT}/delete/", shown.delete)


def acts() -> Iterator[Row]:
    for label, allowed in ACTS.items():
        for act, roles in allowed.items():
            yield _page("POST", f"{root_of(label)}{ACT}", roles, act)


def pages() -> Iterator[Row]:
    for name, roles in PAGES.items():
        yield _page(*_parts(name), roles)
    for name in OF_OTHERS:
        yield _page(*_parts(name), SIGNED_IN, let_in=Outcome.NOT_FOUND)
    yield _page(*_parts(LEFT), ANYBODY, let_in=Outcome.SIGN_IN)
    for name in NOWHERE:
        yield _page(*_parts(name), ANY_STAFF, let_in=Outcome.NOT_FOUND)

    # An app of which they may see nothing is not there for them.
    app = _page("GET", "admin/<app_label>/", MEMBERS)
    yield replace(app, cells={**app.cells, STAFF.value: Outcome.NOT_FOUND})


def _parts(name: str) -> tuple[str, str]:
    method, _, route = name.partition(" ")
    return method, route


def root_of(label: str) -> str:
    return f"admin/{label.replace('.', '/')}/"


def _page(
    method: str,
    route: str,
    roles: Roles,
    act: str = "",
    let_in: Outcome = Outcome.ALLOWED,
) -> Row:
    """Who is not staff is led to sign in; who is may be refused. Keys open no page."""
    stranger = let_in if ANONYMOUS in roles else Outcome.SIGN_IN
    user = let_in if USER in roles else Outcome.SIGN_IN
    cells = {ANONYMOUS.value: stranger, USER.value: user, KEY: stranger}
    for role in ROLES:
        cells.setdefault(role.value, let_in if role in roles else Outcome.FORBIDDEN)
    return Row(method, route, cells, act)
