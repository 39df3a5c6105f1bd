"""The OpenAPI document: a change of it is a change for every client, and is seen."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from ninja import Schema

SNAPSHOT = Path(__file__).parent / "openapi.json"


def test_the_document_is_the_one_that_was_agreed_on(document):
    """`UPDATE_SNAPSHOTS=1 pytest tests/api/test_openapi.py` agrees on a new one."""
    text = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(text)

    assert text == SNAPSHOT.read_text()


def test_every_operation_says_who_may_call_it_and_how_it_may_fail(document):
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["security"], (method, path)
            assert {"400", "401", "403", "500"} <= set(operation["responses"])
            assert operation["summary"]


def schemas(of: type[Schema] = Schema) -> Iterator[type[Schema]]:
    for one in of.__subclasses__():
        yield one
        yield from schemas(one)


def test_no_two_schemas_have_one_name(document):
    """The document would show one of them in the place of both."""
    names = Counter(
        one.__name__
        for one in set(schemas())
        if one.__module__.startswith(("batches.", "translations.", "batchsite."))
    )

    shown = document["components"]["schemas"]
    assert [name for name in shown if names[name] > 1] == []


@pytest.mark.django_db
def test_the_document_that_is_served_is_this_one(client, make_user, document):
    client.force_login(make_user())

    assert client.get("/api/openapi.json").json() == document


@pytest.mark.django_db
def test_the_pages_of_the_documentation_load_nothing_from_elsewhere(client, make_user):
    client.force_login(make_user())

    page = client.get("/api/docs").content.decode()

    assert "https://" not in page
    assert "/static/ninja/" in page


@pytest.mark.django_db
def test_the_pages_of_the_documentation_can_write_in_a_session(client, make_user):
    client.force_login(make_user())

    page = client.get("/api/docs").content.decode()

    assert 'data-api-csrf="true"' in page
    assert 'data-csrf-token=""' not in page
