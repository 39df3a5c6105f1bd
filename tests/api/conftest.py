"""Callers of the API; every answer is held against the OpenAPI document."""

import json
import re
from typing import Any

import jsonschema
import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from batches.services.api_keys import create_api_key
from batchsite.api import api
from translations.chats.judging import without_model
from translations.chats.models import ChatSession, Source
from translations.chats.storing import store_analyses
from translations.chats.taxonomies import ACADEMY
from translations.lessons.models import Course, Lesson

JOBS = "/api/admin/batch-jobs"
LESSONS = 3


@pytest.fixture(autouse=True)
def static_root(settings, tmp_path):
    """Whitenoise warns of a directory for static files that is not there."""
    settings.STATIC_ROOT = tmp_path


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """The OpenAPI document, as a client reads it."""
    return json.loads(json.dumps(api.get_openapi_schema(), default=str))


@pytest.fixture
def nobody_has_asked_yet(db) -> None:
    """So many looks a minute are let in, whatever tests came before."""
    cache.clear()


class Caller:
    """A client that sends JSON and lets no answer pass that is not documented."""

    def __init__(self, document: dict[str, Any], client: Client) -> None:
        self.document = document
        self.client = client

    def get(self, path: str, **headers: str) -> Any:
        return self._send("GET", path, "", headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        data = "" if body is None else body
        if not isinstance(data, str | bytes):
            data = json.dumps(data)
        return self._send("POST", path, data, headers)

    def put(self, path: str, body: Any, **headers: str) -> Any:
        data = body if isinstance(body, str) else json.dumps(body)
        return self._send("PUT", path, data, headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self._send("DELETE", path, "", headers)

    def _send(
        self, method: str, path: str, data: str | bytes, headers: dict[str, str]
    ) -> Any:
        address = path
        if not path.startswith("/"):
            address = f"{JOBS}/{path}" if path[:1].strip("?") else f"{JOBS}{path}"
        response = self.client.generic(
            method,
            address,
            data,
            content_type="application/json",
            headers={name.replace("_", "-"): text for name, text in headers.items()},
        )
        self._check(method, address.partition("?")[0], response)
        return response

    def _check(self, method: str, address: str, response: Any) -> None:
        if response.streaming:
            told = self._operation(method.lower(), address)["responses"]["200"]
            assert response["Content-Type"].partition(";")[0] in told["content"]
            return
        assert response["Content-Type"].startswith("application/json"), response.content
        operation = self._operation(method.lower(), address)
        if operation is None:
            return
        documented = operation["responses"].get(str(response.status_code))
        assert documented, f"{response.status_code} is not documented for {address}"
        schema = documented["content"]["application/json"]["schema"]
        jsonschema.validate(
            response.json(), {**schema, "components": self.document["components"]}
        )

    def _operation(self, method: str, address: str) -> dict[str, Any] | None:
        """Fixed names before ids, as the addresses are looked up."""
        paths = self.document["paths"]
        if method in paths.get(address, {}):
            return paths[address][method]
        for template, operations in paths.items():
            pattern = re.sub(r"\{(public|job)_id\}", "[0-9a-f-]{36}", template)
            pattern = re.sub(r"\{\w+\}", "[^/]+", pattern)
            if re.fullmatch(pattern, address) and method in operations:
                return operations[method]
        return None


@pytest.fixture
def anonymous(document) -> Caller:
    return Caller(document, Client())


@pytest.fixture
def make_user(db):
    def make(
        name: str = "amina", *, is_staff: bool = True, is_superuser: bool = False
    ) -> User:
        return User.objects.create_user(
            name, password="x", is_staff=is_staff, is_superuser=is_superuser
        )

    return make


@pytest.fixture
def signed_in(document, make_user):
    """A client with a session, which must bring the CSRF token to write."""

    def make(**given: Any) -> Caller:
        client = Client(enforce_csrf_checks=True)
        client.force_login(make_user(**given))
        return Caller(document, client)

    return make


@pytest.fixture
def with_key(document, db):
    """A program with a key of these scopes."""

    def make(*scopes: str, **given: Any) -> Caller:
        _, text = create_api_key(
            f"program {len(scopes)} {scopes}", scopes, by="test", **given
        )
        return Caller(document, Client(headers={"X-API-Key": text}))

    return make


@pytest.fixture
def program(with_key) -> Caller:
    """A program that may do everything."""
    return with_key("admin")


@pytest.fixture
def user(make_user):
    return make_user("amina", is_staff=False)


@pytest.fixture
def mine(with_key, user) -> Caller:
    """A program of a user who is not staff."""
    return with_key("submit", "operate", "read:content", owner=user)


@pytest.fixture
def lessons(db) -> list[Lesson]:
    """Three lessons with a title alone: six requests in two languages."""
    course = Course.objects.create(external_id="waalidnimo", title="Waalidnimo")
    return [
        Lesson.objects.create(
            course=course, external_id=f"lesson-{number}", title=f"Casharka {number}"
        )
        for number in range(LESSONS)
    ]


@pytest.fixture
def analysed_chat(db) -> ChatSession:
    """A chat with next to no words, and its analysis."""
    session = ChatSession.objects.create(
        external_id="chat-0", source=Source.API, has_transcript=True
    )
    judged = without_model(ACADEMY, source_hash="", language="und")
    store_analyses([(session.pk, judged)])
    return session
