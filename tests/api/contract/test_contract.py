"""The API's four first families, row by row of docs/requirements.md.

The tables say of each row either what is sent and what the answer looks like, or which
other tests hold it.
"""

import ast
import json
import re
from functools import cache

import pytest

from tests.api.contract import s0, s2, s3, s4
from tests.api.contract.rows import ROOT, Call, Contract, Elsewhere, calls
from tests.api.contract.scenes import SCENES, Stage
from tests.api.contract.shapes import Exactly, differences, nullable

CONTRACT: Contract = {**s0.CONTRACT, **s2.CONTRACT, **s3.CONTRACT, **s4.CONTRACT}
# Every row that asks something of the API: each must have an entry.
USERS_ROWS = [*range(1, 10), *range(15, 29), *range(30, 39), 44, 45]  # 29: the default
ROWS = [
    *(f"S0.{number}" for number in [23, 24, 25, *range(30, 44)]),
    *(f"S2.{number}" for number in USERS_ROWS),
    *(f"S3.{number}" for number in [*range(42, 53), 59]),
    *(f"S4.{number}" for number in [6, 7, *range(14, 37), 46, 47, 48, *range(64, 76)]),
]
OPERATIONS = {  # how many there are, as the documents count them or as we built them
    "/api/admin/batch-jobs": 10,
    "/api/v1/ai/batch": 7,
    "/api/admin/legacy": 3,
}
NAMED = re.compile(r"^\| (S[0234]\.\d+) \| `(?:GET|POST|PUT|DELETE) ", re.MULTILINE)


@pytest.fixture
def stage(with_key, make_user, sandbox, nobody_has_asked_yet) -> Stage:
    user = make_user("hodan", is_superuser=True)
    return Stage(with_key("admin", owner=user), user, sandbox)


def filled(text: str, ids: dict[str, str]) -> str:
    for name, value in ids.items():
        text = text.replace(f"{{{name}}}", value)
    return text


CALLS = calls(CONTRACT)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rows", "call"),
    CALLS,
    ids=[f"{rows} {call.ask} {call.status}" for rows, call in CALLS],
)
def test_an_answer_has_the_shape_of_the_rows_own_example(
    stage: Stage, rows: str, call: Call
):
    ids = {**SCENES["nothing"](stage), **SCENES[call.scene](stage)}
    method, path = filled(call.ask, ids).split(" ", 1)
    sent = None if call.sent is None else filled(json.dumps(call.sent), ids)

    send = getattr(stage.caller, method.lower())
    response = send(path) if sent is None else send(path, sent)

    assert response.status_code == call.status, response.content
    answer = response.json()
    assert differences(call.example, answer) == []
    said = answer.get("error", answer.get("message", "")) if call.message else ""
    assert filled(call.message, ids) in said


def test_every_row_has_an_entry_that_says_something():
    assert [row for row in ROWS if not CONTRACT.get(row)] == []
    assert [row for row in CONTRACT if row not in ROWS] == []


def test_no_row_that_names_an_address_is_left_out():
    named = set(NAMED.findall((ROOT / "docs" / "requirements.md").read_text()))

    assert len(named) > 20
    assert named - set(ROWS) == set()


@cache
def functions_of(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)}


def test_every_test_that_a_row_refers_to_is_there():
    referred = {
        name
        for ways in CONTRACT.values()
        for way in ways
        if isinstance(way, Elsewhere)
        for name in way.names
    }

    there = {name for name in referred if _is_there(*name.split("::"))}

    assert referred - there == set()


def _is_there(file: str, name: str) -> bool:
    return (ROOT / file).exists() and name in functions_of(file)


@pytest.mark.parametrize(("family", "count"), OPERATIONS.items())
def test_a_family_has_so_many_operations(document, family, count):
    of_family = [
        (method, path)
        for path, operations in document["paths"].items()
        for method in operations
        if path == family or path.startswith(f"{family}/")
    ]

    assert len(of_family) == count


@pytest.mark.parametrize(
    ("example", "found", "wrong"),
    [
        ({"a": 1}, {"a": 2}, []),
        ({"a": 1}, {}, ["answer.a is missing"]),
        ({"a": 1}, {"a": 1, "b": 2}, ["answer.b is not named"]),
        ({"a": 1}, {"a": "1"}, ["answer.a is '1', not like 1"]),
        ({"a": 1}, {"a": True}, ["answer.a is True, not like 1"]),
        ({"a": 1}, {"a": None}, ["answer.a is None, not like 1"]),
        ({"a": nullable(1)}, {"a": None}, []),
        ({"a": Exactly(1)}, {"a": 2}, ["answer.a is 2, not 1"]),
        ([{"a": 1}], [], ["answer is [], not like [{'a': 1}]"]),
        ([1], [1, "2"], ["answer.1 is '2', not like 1"]),
        (
            "word",
            "2026-03-01T23:30:00Z",
            ["answer is '2026-03-01T23:30:00Z', not like 'word'"],
        ),
    ],
)
def test_what_differs_from_an_example_is_told(example, found, wrong):
    assert differences(example, found) == wrong
