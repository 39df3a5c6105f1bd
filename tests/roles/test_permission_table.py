"""Every cell of the permission table, by a request; and no address without a row."""

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver, reverse_lazy

from batches.models import Run
from batches.models.api_key import Scope
from batches.services.api_keys import create_api_key
from batchsite.api import api
from batchsite.permission_rows import Row, rows
from batchsite.permission_table import ACTS, Outcome
from tests.roles.answers import check_answer
from tests.roles.callers import CLIENT, Callers
from tests.roles.rows import Rows

TABLE = list(rows())
PARTS: dict[str, list[Row]] = {}
for one in TABLE:
    PARTS.setdefault("/".join(one.route.split("/")[:2]), []).append(one)
OF_THE_TESTS = "admin/gallery/"
APP_LABELS = re.compile(r"\^\(\?P<app_label>[^)]*\)/\$")
NOBODYS = "00000000-0000-4000-8000-000000000000"
CHOICE = {"kind": "lesson", "language": "ar"}
# What a request carries, where one without anything is not understood.
CARRIED: dict[str, dict[str, Any]] = {
    "POST /admin/translations/translation/coverage/send/": CHOICE,
    "GET /admin/translations/translation/coverage/export/": CHOICE,
}
PLACE = re.compile(r"<(?:\w+:)?(\w+)>")
KEYS = {"id", "pk", "key", "object_id"}  # of a row of the model that the route names
MODELS = {
    f"admin/{m._meta.label_lower.replace('.', '/')}": m for m in apps.get_models()
}
DOORS = {reverse_lazy("admin:login"), reverse_lazy("my:sign_in")}
PLACES = {
    "object_id": "1",
    "content_type_id": "1",
    "app_label": "translations_lessons",
    "public_id": NOBODYS,
    "session_id": "none",
    "external_id": "none",
    "kind": "lesson",
    "token": "none",
    "suffix": "csv",
    "form": "jsonl",
    "url": "nothing-here",
}


class World:
    """All who call, a row of each model, and somebody else's run."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.callers = Callers()
        somebody = User.objects.create_user("somebody-else")
        self.run = Run.objects.create(workload="dictionary", owner=somebody)
        self.key, _ = create_api_key("theirs", [Scope.READ], by="test", owner=somebody)

    def path(self, row: Row) -> str:
        """An address that the row's route stands for."""
        run = str(self.run.public_id)
        places = {**PLACES, "name": row.act, "job_id": run, "prefix": self.key.prefix}
        if row.route.startswith("my/"):
            places |= {"public_id": run, "kind": "csv"}
        root = "/".join(row.route.split("/")[:3])
        if root in MODELS and {*PLACE.findall(row.route)} & KEYS:
            places |= dict.fromkeys(KEYS, str(self.rows.of(MODELS[root]).pk))
        route = row.route.replace("(?P<url>.*)$", "<url>")
        route = route.replace("^api(?:/|$)", "api/nothing-here")
        return "/" + PLACE.sub(lambda found: places[found[1]], route)

    def ask(self, row: Row, caller: str) -> Any:
        """The answer; whatever it changed is taken back."""
        path = self.path(row)  # makes the row that it is of
        carried: dict[str, Any] = {"headers": self.callers.headers.get(caller)}
        if row.route.startswith("api/"):
            carried["content_type"] = "application/json"
        CLIENT.cookies.clear()
        CLIENT.cookies.load(self.callers.cookies.get(caller, {}))
        with transaction.atomic():
            send = getattr(CLIENT, row.method.lower())
            response = send(path, CARRIED.get(row.name, {}), **carried)
            transaction.set_rollback(True)
        return response

    def meets(self, row: Row, caller: str) -> Outcome:
        """What comes of it; whatever is no refusal lets the caller in."""
        response = self.ask(row, caller)
        assert response.status_code < 500, (row.name, caller)
        check_answer(response)
        if response.status_code == 302 and response.url.partition("?")[0] in DOORS:
            return Outcome.SIGN_IN
        told_apart = {Outcome.UNKNOWN, Outcome.FORBIDDEN, row.cells[caller]}
        status = str(response.status_code)
        return Outcome(status) if status in told_apart else Outcome.ALLOWED


@pytest.fixture
def world(db: None, settings: Any, caplog: pytest.LogCaptureFixture) -> World:
    caplog.set_level(logging.CRITICAL, "django.request")  # thousands of refusals
    settings.OPENAI_WEBHOOK_SECRET = "whsec_" + "c2VjcmV0" * 4
    return World()


# The pages of the admin are by far the most: some thousand requests.
PART_BY_PART = [
    pytest.param(part, marks=[pytest.mark.slow] if part.startswith("admin/") else [])
    for part in PARTS
]


@pytest.mark.parametrize("part", PART_BY_PART)
def test_everybody_meets_what_the_table_says(world: World, part: str) -> None:
    """All rows of a part, so that its callers and rows are made once."""
    wrong = {}
    for row in PARTS[part]:
        met = {caller: world.meets(row, caller) for caller in row.cells}
        if met != row.cells:
            wrong[row.name] = {
                caller: f"{outcome}, not {row.cells[caller]}"
                for caller, outcome in met.items()
                if outcome != row.cells[caller]
            }

    assert wrong == {}


# --- no address without a row ---------------------------------------------------------


def routes(resolver: URLResolver, before: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield APP_LABELS.sub("<app_label>/", route)
        else:
            yield from routes(entry, route)


def test_every_address_has_a_row() -> None:
    known = {row.route for row in TABLE}

    there = {r for r in routes(get_resolver()) if not r.startswith(OF_THE_TESTS)}

    assert there - known == set(), "add rows to batchsite/permission_table.py"
    assert known - there == set(), "these rows are of addresses that are no more"


def test_every_operation_of_the_api_has_a_row() -> None:
    known = {
        (row.method, "/" + PLACE.sub(r"{\1}", row.route))
        for row in TABLE
        if row.route.startswith("api/")
    }
    paths = api.get_openapi_schema()["paths"]

    there = {(method.upper(), path) for path in paths for method in paths[path]}

    assert there - known == set()


def test_every_act_has_a_row() -> None:
    there = {
        model._meta.label_lower: {act.name for act in model_admin.acts}
        for model, model_admin in admin.site._registry.items()
        if getattr(model_admin, "acts", ())
    }

    assert there == {label: set(allowed) for label, allowed in ACTS.items()}


def test_no_row_is_there_twice() -> None:
    names = [row.name for row in TABLE]

    assert len(names) == len(set(names))
